/**
 * The log on screen: newest first, and only the rows that can be seen.
 *
 * Guarantees: the number of elements depends on the height of the window, never on the number of
 * events; a row that has the keyboard's focus is kept, wherever it goes; rows stand in the document
 * in the order in which they are seen. Works alike whether the list scrolls in its own pane (wide
 * windows) or with the page (phones): only the rectangle of the list matters.
 */
import { detailOf } from "./detail.js";
import { h } from "./dom.js";
import { markRow, rowOf, tickRow } from "./row.js";

const OVERSCAN_PX = 400;
const NEAR_END_PX = 800;

export class LogView {
  /**
   * @param {{list: HTMLElement, pane: HTMLElement, bar: HTMLElement,
   *   context: object, onScroll: (atTop: boolean) => void, onNearEnd: () => void,
   *   onOpen: (anyOpen: boolean) => void}} options `context` is what rows and details need
   */
  constructor(options) {
    Object.assign(this, options);
    /** @type {import("./entry.js").Entry[]} oldest first */
    this.items = [];
    /** Open events and how much taller than a plain row each is. */
    this.open = new Map();
    this.rows = new Map();
    this.active = null;
    this.sizes = new ResizeObserver((changes) => this.#resized(changes));
    this.list.addEventListener("click", (event) => this.#clicked(event));
    this.list.addEventListener("keydown", (event) => this.#pressed(event));
    this.list.addEventListener("focusin", (event) => this.#focused(event));
    document.addEventListener("scroll", () => this.#scrolled(), { capture: true, passive: true });
    window.addEventListener("resize", () => this.#measure());
    this.#measure();
  }

  /** @param {{keep?: boolean}} [how] keep: hold the first visible row still, rows came above it */
  show(items, { keep = false } = {}) {
    const before = this.#height();
    this.items = items;
    if (this.open.size || this.active) this.#forget(new Set(items));
    this.render();
    if (keep) this.#scroller().scrollTop += this.#height() - before;
  }

  clear() {
    this.open.clear();
    this.active = null;
    this.toTop();
  }

  /** Opens an event that is in the list and brings it into view. */
  reveal(id) {
    const index = this.items.findLastIndex((entry) => entry.id === id);
    if (index < 0) return;
    const entry = this.items[index];
    this.open.set(entry, 0);
    this.active = entry;
    this.render();
    this.#bringIn(entry, 0.25);
    this.onOpen(true);
  }

  toTop() {
    if (!this.atTop()) this.#scroller().scrollTop += this.#offset();
  }

  atTop() {
    return this.#offset() > -this.rowHeight / 2;
  }

  tick() {
    for (const [entry, row] of this.rows) tickRow(row, entry);
  }

  /** Everything that a row shows besides its event may have changed: the zone, the verdict. */
  refresh() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.render();
  }

  render() {
    const total = this.#height();
    this.list.style.height = `${total}px`;
    const top = -this.list.getBoundingClientRect().top;
    const from = top - OVERSCAN_PX;
    const to = top + window.innerHeight + OVERSCAN_PX;
    const wanted = this.#inside(from, to);
    for (const [entry, row] of this.rows) if (!wanted.has(entry)) this.#drop(entry, row);
    let place = this.list.firstElementChild;
    for (const [entry, [y, older]] of wanted) {
      const row = this.rows.get(entry) ?? this.#make(entry);
      if (row === place) place = place.nextElementSibling;
      else this.list.insertBefore(row, place);
      row.style.transform = `translateY(${y}px)`;
      markRow(row, entry, older, this.context.verified());
      row.firstElementChild.tabIndex = this.#isStop(entry, y, top) ? 0 : -1;
    }
    if (total - (top + window.innerHeight) < NEAR_END_PX) this.onNearEnd();
  }

  /** @returns {Map<Entry, [number, Entry | undefined]>} in the order seen: entry → top, next older */
  #inside(from, to) {
    const result = new Map();
    const held = document.activeElement?.closest?.("li.event");
    const extras = this.#extras();
    const last = this.items.length - 1;
    let y = 0;
    let index = Math.max(0, this.#indexAt(from, extras));
    y = this.#topOf(index, extras);
    const early = [];
    const late = [];
    for (const [entry, row] of this.rows) {
      if (row !== held) continue;
      const at = last - this.items.lastIndexOf(entry);
      if (at > last) continue;
      const top = this.#topOf(at, extras);
      if (at < index) early.push([entry, top, at]);
      else if (top > to) late.push([entry, top, at]);
    }
    const put = ([entry, top, at]) => result.set(entry, [top, this.items[last - at - 1]]);
    early.forEach(put);
    for (; index <= last && y <= to; index += 1) {
      const entry = this.items[last - index];
      put([entry, y, index]);
      y += this.rowHeight + (this.open.get(entry) ?? 0);
    }
    late.forEach(put);
    return result;
  }

  /** Open events as [index from the newest, extra height], in order. */
  #extras() {
    if (!this.open.size) return [];
    const last = this.items.length - 1;
    return [...this.open]
      .map(([entry, extra]) => [last - this.items.lastIndexOf(entry), extra])
      .sort((a, b) => a[0] - b[0]);
  }

  #topOf(index, extras) {
    let y = index * this.rowHeight;
    for (const [at, extra] of extras) if (at < index) y += extra;
    return y;
  }

  #indexAt(y, extras) {
    for (const [at, extra] of extras) {
      const top = (at + 1) * this.rowHeight;
      if (y < top) break;
      if (y < top + extra) return at;
      y -= extra;
    }
    return Math.floor(y / this.rowHeight);
  }

  #height() {
    let height = this.items.length * this.rowHeight;
    for (const extra of this.open.values()) height += extra;
    return height;
  }

  #make(entry) {
    const row = rowOf(entry, this.context);
    this.rows.set(entry, row);
    if (this.open.has(entry)) this.#unfold(row, entry);
    return row;
  }

  #drop(entry, row) {
    const detail = row.querySelector(".detail");
    if (detail) this.sizes.unobserve(detail);
    row.remove();
    this.rows.delete(entry);
  }

  #unfold(row, entry) {
    const detail = detailOf(entry, this.context);
    row.append(detail);
    row.firstElementChild.setAttribute("aria-expanded", "true");
    row.classList.add("open");
    detail.entry = entry;
    this.sizes.observe(detail);
  }

  toggle(entry) {
    const row = this.rows.get(entry);
    if (this.open.delete(entry)) {
      if (row) {
        this.sizes.unobserve(row.querySelector(".detail"));
        row.querySelector(".detail").remove();
        row.firstElementChild.setAttribute("aria-expanded", "false");
        row.classList.remove("open");
      }
    } else {
      this.open.set(entry, 0);
      if (row) this.#unfold(row, entry);
    }
    this.render();
    this.onOpen(this.open.size > 0);
  }

  #resized(changes) {
    let changed = false;
    for (const { target } of changes) {
      if (!target.isConnected || !this.open.has(target.entry)) continue;
      const height = target.offsetHeight;
      if (this.open.get(target.entry) === height) continue;
      this.open.set(target.entry, height);
      changed = true;
    }
    if (changed) this.render();
  }

  #forget(present) {
    for (const entry of this.open.keys()) if (!present.has(entry)) this.open.delete(entry);
    if (this.active && !present.has(this.active)) this.active = null;
  }

  /** One row is the list's stop for the Tab key: the active one, else the topmost in view. */
  #isStop(entry, y, top) {
    if (this.active) return entry === this.active;
    return y <= Math.max(top, 0) && y + this.rowHeight > Math.max(top, 0);
  }

  #entryAt(element) {
    const row = element.closest("li.event");
    for (const [entry, candidate] of this.rows) if (candidate === row) return entry;
    return null;
  }

  #clicked(event) {
    const button = event.target.closest("button.row");
    if (button) this.toggle(this.#entryAt(button));
  }

  #focused(event) {
    this.active = this.#entryAt(event.target);
  }

  #pressed(event) {
    if (!event.target.matches("button.row") || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.items.lastIndexOf(this.active);
    const page = Math.max(1, Math.floor(this.pane.clientHeight / this.rowHeight) - 1);
    const moves = {
      ArrowDown: at - 1,
      ArrowUp: at + 1,
      j: at - 1,
      k: at + 1,
      PageDown: Math.max(0, at - page),
      PageUp: Math.min(this.items.length - 1, at + page),
      Home: this.items.length - 1,
      End: 0,
    };
    const entry = this.items[moves[event.key]];
    if (!entry) return;
    event.preventDefault();
    this.active = entry;
    this.#bringIn(entry);
    this.rows.get(entry)?.firstElementChild.focus({ preventScroll: true });
  }

  /** @param {number} [share] put it that far down the window; without it, move as little as needed */
  #bringIn(entry, share) {
    const index = this.items.length - 1 - this.items.lastIndexOf(entry);
    const y = this.#topOf(index, this.#extras());
    const [top, bottom] = this.#port();
    const at = this.list.getBoundingClientRect().top + y;
    let by = 0;
    if (share !== undefined) by = at - (top + (bottom - top) * share);
    else if (at < top) by = at - top;
    else if (at + this.rowHeight > bottom) by = at + this.rowHeight - bottom;
    if (by) this.#scroller().scrollTop += by;
    this.render();
  }

  /** Where rows can be seen, as [top, bottom]: below the bar, which sticks. */
  #port() {
    const { bottom } = this.#ownPane() ? this.pane.getBoundingClientRect() : { bottom: innerHeight };
    return [this.bar.getBoundingClientRect().bottom, bottom];
  }

  #offset() {
    return this.list.getBoundingClientRect().top - this.#port()[0];
  }

  #ownPane() {
    return getComputedStyle(this.pane).overflowY === "auto";
  }

  #scroller() {
    return this.#ownPane() ? this.pane : document.scrollingElement;
  }

  #measure() {
    const probe = h("li", { class: "event probe" });
    this.list.append(probe);
    this.rowHeight = probe.offsetHeight || 32;
    probe.remove();
    this.render();
  }

  #scrolled() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.render());
    this.onScroll(this.atTop());
  }
}
