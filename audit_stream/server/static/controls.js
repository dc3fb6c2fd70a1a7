/**
 * The filter's controls: search, event number, time, and a chip for everything that narrows. They show
 * the filter in force, also after Back, a shared link or a click elsewhere; typing floods neither the
 * server nor the history.
 */
import { fromField, instant, isLocal, toField } from "./clock.js";
import { byId, h, on, say } from "./dom.js";
import { everything } from "./filter.js";
import { plain, visible } from "./text.js";

const TYPING_MS = 400;
const ranges = [...document.querySelectorAll("[data-range]")];
const custom = byId("custom");

export class Controls {
	/** `onChange(change, quiet)`; quiet: no entry in the history. */
	constructor(onChange) {
		this.onChange = onChange;
		this.text = byId("contains");
		this.event = byId("event");
		on("filters", "submit", (event) => this.#submit(event));
		on("contains", "input", () => {
			clearTimeout(this.timer);
			this.timer = setTimeout(() => this.#submit(), TYPING_MS);
		});
		for (const range of ranges) range.addEventListener("click", () => this.#time({ range: range.dataset.range }));
		on("custom", "click", () => this.#unfold(byId("span").hidden));
		on("span", "submit", (event) => this.#span(event));
		on("clear", "click", () => onChange(everything()));
	}

	show(filter) {
		this.filter = filter;
		const { contains, event, range, since, until } = filter;
		if (document.activeElement !== this.text || !this.text.value.startsWith(contains)) this.text.value = contains;
		this.event.value = event || "";
		byId("since").value = toField(since);
		byId("until").value = toField(until);
		say("zone-name", isLocal() ? "local time" : "UTC");
		const between = Boolean(since || until);
		for (const button of ranges) button.setAttribute("aria-pressed", button.dataset.range === range && !between);
		custom.setAttribute("aria-pressed", between);
		this.#chips();
	}

	/** Without an event of the form it was typed: the event field then has to wait for Enter. */
	#submit(entered) {
		entered?.preventDefault();
		clearTimeout(this.timer);
		const text = this.text.value;
		const asked = Number(/^#(\d+)$/.exec(text.trim())?.[1] ?? (entered ? this.event.value : 0));
		if (asked > 0 && asked !== this.filter.event) this.onChange({ ...everything(), event: asked });
		else if (text !== this.filter.contains) this.onChange({ contains: text, event: 0 }, !entered);
	}

	#time(change) {
		this.#unfold(false);
		this.onChange({ range: "", since: "", until: "", event: 0, ...change });
	}

	#unfold(yes) {
		byId("span").hidden = !yes;
		custom.setAttribute("aria-expanded", yes);
		if (yes) byId("since").focus();
	}

	#span(event) {
		event.preventDefault();
		const ends = ["since", "until"].map((id) => fromField(byId(id).value));
		const [since, until] = ends[1] ? ends.sort() : ends;
		this.#time({ since, until });
	}

	#chips() {
		const { kinds, sources, contains, since, until, event } = this.filter;
		const without = (list, value) => list.filter((other) => other !== value);
		const chips = [
			...kinds.map((kind) => ["kind", kind, { kinds: without(kinds, kind) }]),
			...sources.map((source) => ["source", source, { sources: without(sources, source) }]),
			["text", contains, { contains: "" }],
			["since", since && instant(Date.parse(since)), { since: "" }],
			["until", until && instant(Date.parse(until)), { until: "" }],
			["around", event ? `#${event}` : "", { event: 0 }],
		].filter(([, value]) => value);
		byId("chips").replaceChildren(...chips.map((chip) => this.#chip(...chip)));
		byId("narrow").hidden = !chips.length;
	}

	#chip(name, value, change) {
		const remove = { "aria-label": `Remove ${name} ${plain(value)}`, onclick: () => this.onChange(change) };
		return h("li.chip", h("span.muted", name), h("span.value", visible(value)), h("button", remove, "×"));
	}
}
