/**
 * Counts by kind or by source, each a switch that filters. A chosen value is listed even when nothing
 * matches it; a refresh moves neither the focus nor a row that keeps its place.
 */
import { arrange, byId, h, on } from "./dom.js";
import { count, plain, visible } from "./text.js";

const FOLDED = 10;
const UNFOLDED = 500;

export class Facet {
	constructor(id, colourOf, onChoose) {
		Object.assign(this, { list: byId(id), more: byId(`more-${id}`), colourOf, onChoose, rows: new Map() });
		on(`more-${id}`, "click", () => {
			this.unfolded = !this.unfolded;
			this.#render();
		});
	}

	show(counts, chosen) {
		this.counts = { ...Object.fromEntries(chosen.map((name) => [name, 0])), ...counts };
		this.chosen = new Set(chosen);
		this.#render();
	}

	#render() {
		const all = Object.entries(this.counts).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
		const most = this.unfolded ? UNFOLDED : FOLDED;
		const shown = all.filter(([name], at) => at < most || this.chosen.has(name));
		arrange(this.list, shown.map(([name, n]) => this.#row(name, n, all[0][1])));
		this.more.hidden = all.length <= FOLDED;
		this.more.textContent = this.unfolded ? "Show fewer" : `Show ${all.length - shown.length} more`;
	}

	#row(name, n, most) {
		const row = this.rows.get(name) ?? this.#make(name);
		const [swatch, , number, bar] = row.firstElementChild.children;
		const on = this.chosen.has(name);
		row.firstElementChild.setAttribute("aria-pressed", on);
		row.classList.toggle("off", this.chosen.size > 0 && !on);
		number.textContent = count(n);
		bar.style.width = `${n && Math.max(1.5, (100 * n) / most)}%`;
		swatch.className = `swatch ${this.colourOf(name)}`;
		return row;
	}

	#make(name) {
		const toggle = { title: plain(name), onclick: () => this.#toggle(name) };
		const parts = [h("i"), h("span.name", visible(name)), h("span.n"), h("i.bar")];
		const row = h("li", h("button.facet", toggle, ...parts));
		this.rows.set(name, row);
		return row;
	}

	#toggle(name) {
		const chosen = new Set(this.chosen);
		if (!chosen.delete(name)) chosen.add(name);
		this.onChoose([...chosen]);
	}
}
