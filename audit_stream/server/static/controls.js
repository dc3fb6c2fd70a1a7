/**
 * The filter's controls: search, event number, time, and a chip for everything that narrows.
 *
 * Guarantees: what the controls show is always the filter in force, also after Back, a shared link
 * or a click elsewhere on the page; typing does not flood the server or the history.
 */
import { fromField, instant, isLocal, toField } from "./clock.js";
import { byId, h, say } from "./dom.js";
import { everything, isNarrow } from "./filter.js";
import { plain, visible } from "./text.js";

const TYPING_MS = 400;

export class Controls {
  /**
   * @param {(change: Partial<import("./filter.js").Filter>, how?: {quiet?: boolean}) => void} onChange
   *   quiet: do not make an entry in the history
   */
  constructor(onChange) {
    this.onChange = onChange;
    this.text = byId("contains");
    this.event = byId("event");
    this.form = byId("filters");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(false);
    });
    this.text.addEventListener("input", () => this.#typed());
    for (const button of document.querySelectorAll("[data-range]")) {
      button.addEventListener("click", () => this.#range(button.dataset.range));
    }
    byId("span").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#span();
    });
    byId("clear").addEventListener("click", () => onChange(everything()));
  }

  /** @param {import("./filter.js").Filter} filter */
  show(filter) {
    this.filter = filter;
    if (document.activeElement !== this.text || !this.text.value.startsWith(filter.contains)) {
      this.text.value = filter.contains;
    }
    this.event.value = filter.event || "";
    byId("since").value = toField(filter.since);
    byId("until").value = toField(filter.until);
    say(byId("zone-name"), isLocal() ? "local time" : "UTC");
    const custom = filter.since || filter.until;
    for (const button of document.querySelectorAll("[data-range]")) {
      const { range } = button.dataset;
      const on = range === "custom" ? Boolean(custom) : range === filter.range && !custom;
      button.setAttribute("aria-pressed", String(on));
    }
    this.#chips();
  }

  #typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#submit(true), TYPING_MS);
  }

  #submit(quiet) {
    clearTimeout(this.timer);
    const text = this.text.value;
    const number = /^#([1-9]\d*)$/.exec(text.trim())?.[1] ?? this.event.value;
    const asked = Number(number) || 0;
    if (asked && asked !== this.filter.event && !(quiet && number === this.event.value)) {
      this.onChange({ ...everything(), event: asked });
    } else if (text !== this.filter.contains) {
      this.onChange({ contains: text, event: 0 }, { quiet });
    }
  }

  #range(range) {
    const panel = byId("span");
    const toggle = document.querySelector("[data-range=custom]");
    panel.hidden = range !== "custom" || !panel.hidden;
    toggle.setAttribute("aria-expanded", String(!panel.hidden));
    if (range !== "custom") this.onChange({ range, since: "", until: "", event: 0 });
    else if (!panel.hidden) byId("since").focus();
  }

  #span() {
    const since = fromField(byId("since").value);
    const until = fromField(byId("until").value);
    const backwards = since && until && since >= until;
    say(byId("span-problem"), backwards ? "The end must come after the beginning." : "");
    if (backwards) return;
    this.onChange({ range: "", since, until, event: 0 });
    byId("span").hidden = true;
    document.querySelector("[data-range=custom]").setAttribute("aria-expanded", "false");
  }

  #chips() {
    const { kinds, sources, contains, since, until, event } = this.filter;
    const chips = [
      ...kinds.map((kind) => ["kind", kind, { kinds: kinds.filter((other) => other !== kind) }]),
      ...sources.map((source) => ["source", source, { sources: sources.filter((other) => other !== source) }]),
    ];
    if (contains) chips.push(["text", contains, { contains: "" }]);
    if (since) chips.push(["since", instant(Date.parse(since)), { since: "" }]);
    if (until) chips.push(["until", instant(Date.parse(until)), { until: "" }]);
    if (event) chips.push(["around", `#${event}`, { event: 0 }]);
    byId("chips").replaceChildren(...chips.map((chip) => this.#chip(...chip)));
    byId("narrow").hidden = !chips.length;
    byId("clear").hidden = !isNarrow(this.filter) && !event;
  }

  #chip(name, value, change) {
    return h(
      "li",
      { class: "chip" },
      h("span", { class: "muted" }, `${name} `),
      h("span", { class: "value" }, visible(value)),
      h(
        "button",
        { type: "button", "aria-label": `Remove ${name} ${plain(value)}`, onclick: () => this.onChange(change) },
        "×",
      ),
    );
  }
}
