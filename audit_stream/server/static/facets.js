/**
 * Counts by kind and by source, each a switch that filters.
 *
 * Guarantees: a list counts under every other filter but not under its own, so what else there is
 * stays in sight; a chosen value is listed even when nothing matches it; a refresh moves neither
 * the focus nor a row that keeps its place.
 */
import { h } from "./dom.js";
import { count, plain, visible } from "./text.js";

const FOLDED = 10;

export class Facet {
  /**
   * @param {{list: HTMLElement, more: HTMLButtonElement, colourOf?: (name: string) => string,
   *   onChoose: (chosen: string[]) => void}} options
   */
  constructor(options) {
    Object.assign(this, options);
    this.rows = new Map();
    this.unfolded = false;
    this.more.addEventListener("click", () => {
      this.unfolded = !this.unfolded;
      this.#render();
    });
  }

  /** @param {Record<string, number>} counts @param {string[]} chosen */
  show(counts, chosen) {
    this.counts = { ...Object.fromEntries(chosen.map((name) => [name, 0])), ...counts };
    this.chosen = chosen;
    this.#render();
  }

  #render() {
    const all = Object.entries(this.counts ?? {}).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    const chosen = new Set(this.chosen);
    const shown = this.unfolded ? all : all.filter(([name], at) => at < FOLDED || chosen.has(name));
    const most = all.length ? all[0][1] : 0;
    for (const [name, row] of this.rows) {
      if (shown.some(([other]) => other === name)) continue;
      row.remove();
      this.rows.delete(name);
    }
    let place = this.list.firstElementChild;
    for (const [name, n] of shown) {
      const row = this.rows.get(name) ?? this.#make(name);
      if (row === place) place = place.nextElementSibling;
      else this.list.insertBefore(row, place);
      this.#fill(row, n, most, chosen.has(name), chosen.size > 0);
    }
    const hidden = all.length - shown.length;
    this.more.hidden = all.length <= FOLDED;
    this.more.textContent = this.unfolded ? "Show fewer" : `Show ${hidden} more`;
    this.more.setAttribute("aria-expanded", String(this.unfolded));
  }

  #make(name) {
    const colour = this.colourOf;
    const row = h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "facet", title: plain(name), onclick: () => this.#toggle(name) },
        colour ? h("i", { class: "swatch", "aria-hidden": "true" }) : null,
        h("span", { class: "name" }, visible(name)),
        h("span", { class: "n" }),
        h("span", { class: "bar", "aria-hidden": "true" }),
      ),
    );
    this.rows.set(name, row);
    row.name = name;
    return row;
  }

  #fill(row, n, most, on, narrowed) {
    const button = row.firstElementChild;
    button.setAttribute("aria-pressed", String(on));
    button.classList.toggle("off", narrowed && !on);
    button.querySelector(".n").textContent = count(n);
    button.querySelector(".bar").style.width = `${most ? Math.max(n ? 1.5 : 0, (100 * n) / most) : 0}%`;
    if (this.colourOf) button.querySelector(".swatch").className = `swatch ${this.colourOf(row.name)}`;
  }

  #toggle(name) {
    const chosen = new Set(this.chosen);
    if (!chosen.delete(name)) chosen.add(name);
    this.onChoose([...chosen]);
  }
}
