/**
 * The log on screen: newest first, and only the rows that can be seen, so the number of elements depends
 * on the window and never on the events. The row that has the focus is kept; rows stand in the document
 * as they are seen. The list may scroll in its own pane (wide windows) or with the page (phones).
 */
import { detailOf } from "./detail.js";
import { arrange } from "./dom.js";
import { markRow, rowOf, tickRow } from "./row.js";

const OVERSCAN_PX = 400;
const NEAR_END_PX = 800;

export class LogView {
	/** `list` in `pane` below `bar`; `context` for rows; `onScroll(atTop)`, `onNearEnd()`, `onOpen(any)` */
	constructor(options) {
		Object.assign(this, options);
		this.items = []; // oldest first
		this.open = new Map(); // open events, and how much taller than a plain row each is
		this.rows = new Map();
		this.active = null; // where the keyboard is
		this.sizes = new ResizeObserver((changes) => this.#resized(changes));
		this.list.addEventListener("click", ({ target }) => this.#clicked(target));
		this.list.addEventListener("keydown", (event) => this.#pressed(event));
		this.list.addEventListener("focusin", ({ target }) => (this.active = this.#entryAt(target)));
		document.addEventListener("scroll", () => this.#scrolled(), { capture: true, passive: true });
		window.addEventListener("resize", () => this.#measure());
		this.#measure();
	}

	show(items) {
		this.items = items;
		if (this.open.size || this.active) this.#forgetAbsent(new Set(items));
		this.render();
	}

	/** Closes everything and goes to the newest. */
	reset() {
		this.open.clear();
		this.active = null;
		this.refresh();
		if (!this.atTop()) this.#scroller().scrollTop += this.#offset();
	}

	/** Opens an event and brings it into view. */
	reveal(id) {
		const entry = this.items.findLast((item) => item.id === id);
		if (!entry) return;
		this.active = entry;
		if (!this.open.has(entry)) this.toggle(entry);
		this.#bringIn(entry, 0.25);
	}

	atTop() {
		return this.#offset() > -this.rowHeight / 2;
	}

	tick() {
		for (const [entry, row] of this.rows) tickRow(row, entry);
	}

	/** Makes rows anew: what they show besides their event has changed. */
	refresh() {
		this.list.replaceChildren();
		this.sizes.disconnect();
		this.rows.clear();
		this.render();
	}

	render() {
		this.extras = [...this.open].map(([entry, extra]) => [this.#indexOf(entry), extra]);
		const total = this.#topOf(this.items.length);
		this.list.style.height = `${total}px`;
		const top = -this.list.getBoundingClientRect().top;
		const wanted = this.#wanted(top);
		const entries = new Set(wanted.map((index) => this.#at(index)));
		for (const [entry, row] of this.rows) if (!entries.has(entry)) this.#drop(entry, row);
		arrange(this.list, wanted.map((index) => this.rows.get(this.#at(index)) ?? this.#make(this.#at(index))));
		for (const index of wanted) {
			const entry = this.#at(index);
			const row = this.rows.get(entry);
			const y = this.#topOf(index);
			row.style.transform = `translateY(${y}px)`;
			markRow(row, entry, this.#at(index + 1), this.context.verdict());
			// The list's one stop for the Tab key: the active row, else the topmost in view.
			const stop = this.active ? entry === this.active : index === 0 || Math.abs(y - top) <= this.rowHeight / 2;
			row.firstElementChild.tabIndex = stop ? 0 : -1;
		}
		if (total - top - window.innerHeight < NEAR_END_PX) this.onNearEnd();
	}

	toggle(entry) {
		const row = this.rows.get(entry);
		if (this.open.delete(entry)) {
			row.lastElementChild.remove();
			this.#mark(row, false);
		} else {
			this.open.set(entry, 0);
			if (row) this.#unfold(row, entry);
		}
		this.render();
		this.onOpen(this.open.size > 0);
	}

	/** Rows are counted from the newest. */
	#at(index) {
		return this.items[this.items.length - 1 - index];
	}

	#indexOf(entry) {
		return this.items.length - 1 - this.items.lastIndexOf(entry);
	}

	/** Those in sight, and the one that has the focus. */
	#wanted(top) {
		const from = top - OVERSCAN_PX;
		// Also when the list begins below the window.
		const to = Math.max(top, -OVERSCAN_PX) + window.innerHeight + OVERSCAN_PX;
		const wanted = [];
		const above = this.extras.reduce((sum, [, extra]) => sum + extra, 0);
		let index = Math.max(0, Math.floor((from - above) / this.rowHeight));
		while (index < this.items.length && this.#topOf(index + 1) < from) index += 1;
		for (; index < this.items.length && this.#topOf(index) <= to; index += 1) wanted.push(index);
		const focused = this.list.contains(document.activeElement) && this.active ? this.#indexOf(this.active) : -1;
		if (focused >= 0 && focused < this.items.length && !wanted.includes(focused)) wanted.push(focused);
		return wanted.sort((a, b) => a - b);
	}

	#topOf(index) {
		return this.extras.reduce((y, [at, extra]) => (at < index ? y + extra : y), index * this.rowHeight);
	}

	#make(entry) {
		const row = rowOf(entry, this.context);
		this.rows.set(entry, row);
		if (this.open.has(entry)) this.#unfold(row, entry);
		return row;
	}

	#drop(entry, row) {
		if (this.open.has(entry)) this.sizes.unobserve(row.lastElementChild);
		row.remove();
		this.rows.delete(entry);
	}

	#unfold(row, entry) {
		const detail = detailOf(entry, this.context);
		detail.entry = entry;
		row.append(detail);
		this.#mark(row, true);
		this.sizes.observe(detail);
	}

	#mark(row, open) {
		row.classList.toggle("open", open);
		row.firstElementChild.setAttribute("aria-expanded", open);
	}

	#resized(changes) {
		for (const { target } of changes) {
			if (target.isConnected && this.open.has(target.entry)) this.open.set(target.entry, target.offsetHeight);
		}
		this.render();
	}

	#forgetAbsent(present) {
		for (const entry of this.open.keys()) if (!present.has(entry)) this.open.delete(entry);
		if (!present.has(this.active)) this.active = null;
	}

	#entryAt(element) {
		const row = element.closest("li.event");
		for (const [entry, candidate] of this.rows) if (candidate === row) return entry;
		return null;
	}

	#clicked(target) {
		if (target.closest("button.row")) this.toggle(this.#entryAt(target));
	}

	#pressed(event) {
		if (!event.target.matches(".row") || event.ctrlKey || event.metaKey || event.altKey) return;
		const at = this.#indexOf(this.active);
		const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: this.items.length - 1 };
		const entry = event.key in moves && this.#at(moves[event.key]);
		if (!entry) return;
		event.preventDefault();
		this.active = entry;
		this.#bringIn(entry);
		this.rows.get(entry).firstElementChild.focus({ preventScroll: true });
	}

	/** Scrolls as little as needed, or, with `share`, puts it that far down the window. */
	#bringIn(entry, share) {
		const { top, bottom } = this.#port();
		const at = this.list.getBoundingClientRect().top + this.#topOf(this.#indexOf(entry));
		const past = Math.max(0, at + this.rowHeight - bottom);
		const by = share === undefined ? Math.min(0, at - top) + past : at - top - (bottom - top) * share;
		if (by) this.#scroller().scrollTop += by;
		this.render();
	}

	/** Where rows can be seen: below the bar, which sticks. */
	#port() {
		const own = this.#scroller() === this.pane;
		return {
			top: this.bar.getBoundingClientRect().bottom,
			bottom: own ? this.pane.getBoundingClientRect().bottom : window.innerHeight,
		};
	}

	#offset() {
		return this.list.getBoundingClientRect().top - this.#port().top;
	}

	#scroller() {
		return getComputedStyle(this.pane).overflowY === "auto" ? this.pane : document.scrollingElement;
	}

	#measure() {
		this.rowHeight = parseFloat(getComputedStyle(document.documentElement).getPropertyValue("--row"));
		this.render();
	}

	#scrolled() {
		cancelAnimationFrame(this.frame);
		this.frame = requestAnimationFrame(() => this.render());
		this.onScroll(this.atTop());
	}
}
