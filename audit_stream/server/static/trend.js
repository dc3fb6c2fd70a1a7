/**
 * Events over time, stacked by kind: uPlot draws, this file says what.
 *
 * Guarantees: at most eight bands (seven kinds and the rest); a drag or a click gives a span whose
 * ends are bucket edges, so the count in the chart is the count of the list that follows; the
 * numbers that the picture shows also stand in the legend as text, and the whole in its label.
 */
/* global uPlot */
import { bucketTime } from "./clock.js";
import { h, plural } from "./dom.js";
import { compact, count, visible } from "./text.js";

const HEIGHT = 132;
const BANDS = 7;
const REST = "other kinds";

export class Trend {
  /**
   * @param {{figure: HTMLElement, plot: HTMLElement, legend: HTMLElement, caption: HTMLElement,
   *   colours: import("./colours.js").Colours,
   *   onSpan: (since: string, until: string) => void}} options
   */
  constructor(options) {
    Object.assign(this, options);
    new ResizeObserver(() => this.#fit()).observe(this.plot);
  }

  /**
   * @param {{bucket_seconds: number, start: string, kinds: Record<string, number[]>}} overTime
   * @param {{since: string, until: string}} span what was asked for; "" is an open end
   */
  show(overTime, span) {
    this.width = overTime.bucket_seconds;
    this.bands = bandsOf(overTime.kinds, this.colours);
    const start = Date.parse(overTime.start) / 1000;
    const length = Math.max(0, ...this.bands.map((band) => band.values.length));
    this.times = Array.from({ length }, (_, index) => start + index * this.width);
    this.extent = this.#extentOf(span);
    this.#draw();
    this.#legend(null);
  }

  /** Draws again: the scheme or the zone changed. */
  refresh() {
    this.chart?.destroy();
    this.chart = null;
    if (this.bands) this.#draw();
  }

  #extentOf({ since, until }) {
    const first = since ? Date.parse(since) / 1000 : (this.times[0] ?? Date.now() / 1000);
    const end = (this.times.at(-1) ?? first) + this.width;
    const last = until ? Date.parse(until) / 1000 : since ? Math.max(end, Date.now() / 1000) : end;
    return [first, Math.max(last, first + this.width)];
  }

  #draw() {
    const shape = this.bands.map((band) => band.colour).join();
    const data = [this.times.length ? this.times : [this.extent[0]], ...stack(this.bands, this.times.length)];
    if (this.chart && this.shape === shape) {
      this.chart.setData(data);
      return;
    }
    this.chart?.destroy();
    this.plot.replaceChildren();
    this.shape = shape;
    this.chart = new uPlot(this.#options(), data, this.plot);
  }

  #options() {
    const ink = this.#resolve("ink-2");
    const line = this.#resolve("rule");
    const axis = { stroke: ink, font: "11px system-ui, sans-serif", ticks: { show: false } };
    return {
      width: Math.max(80, this.plot.clientWidth),
      height: HEIGHT,
      padding: [8, 8, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: 4 },
        bind: { dblclick: () => () => null },
      },
      scales: {
        x: { time: true, range: () => this.extent },
        y: { range: (_, __, max) => [0, Math.max(1, max * 1.08 || 1)] },
      },
      axes: [
        { ...axis, size: 24, space: 84, grid: { show: false }, values: (_, at) => this.#labels(at) },
        {
          ...axis,
          size: 44,
          space: 32,
          gap: 6,
          incrs: [1, 2, 5].flatMap((n) => Array.from({ length: 10 }, (_, e) => n * 10 ** e)).sort((a, b) => a - b),
          grid: { stroke: line, width: 1 },
          values: (_, at) => at.map((n) => compact(n)),
        },
      ],
      series: [{}, ...this.bands.map((band) => this.#series(band)).reverse()],
      hooks: {
        setSelect: [(chart) => this.#selected(chart)],
        setCursor: [(chart) => this.#legend(chart.cursor.idx)],
        ready: [(chart) => chart.over.addEventListener("click", (event) => this.#clicked(chart, event))],
      },
    };
  }

  #series({ colour }) {
    return {
      fill: this.#resolve(colour),
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars({ align: 1, size: [1, Infinity], gap: 1 }),
    };
  }

  /** A canvas knows no custom properties: the style sheet is asked through an element. */
  #resolve(name) {
    const probe = h("i", { class: `probe ${name}` });
    this.figure.append(probe);
    const { backgroundColor } = getComputedStyle(probe);
    probe.remove();
    return backgroundColor;
  }

  #labels(times) {
    const step = times.length > 1 ? times[1] - times[0] : this.width;
    let day = "";
    return times.map((seconds) => {
      const today = bucketTime(seconds * 1000, 86400);
      const label = bucketTime(seconds * 1000, step, step < 86400 && today !== day);
      day = today;
      return label;
    });
  }

  #selected(chart) {
    const { left, width } = chart.select;
    if (width < 4) return;
    const from = chart.posToVal(left, "x");
    const to = chart.posToVal(left + width, "x");
    chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.dragged = performance.now();
    this.#choose(from, to);
  }

  #clicked(chart, event) {
    if (performance.now() - (this.dragged ?? -1000) < 300) return;
    const at = chart.posToVal(event.offsetX, "x");
    const bucket = this.times.findLastIndex((time) => time <= at);
    if (bucket < 0 || !this.bands.some((band) => band.values[bucket])) return;
    this.#choose(this.times[bucket], this.times[bucket] + this.width / 2);
  }

  #choose(from, to) {
    const origin = this.times[0] ?? from;
    const edge = (seconds, round) => origin + round((seconds - origin) / this.width) * this.width;
    const iso = (seconds) => new Date(seconds * 1000).toISOString();
    this.onSpan(iso(edge(from, Math.floor)), iso(Math.max(edge(to, Math.ceil), edge(from, Math.floor) + this.width)));
  }

  /** @param {number | null} index the bucket under the pointer, or null for all of them */
  #legend(index) {
    if (!this.bands) return;
    const one = index !== null && index !== undefined && index < this.times.length;
    const valueOf = (band) => (one ? band.values[index] : band.total);
    const total = this.bands.reduce((sum, band) => sum + valueOf(band), 0);
    const bucket = widthName(this.width);
    const from = one ? this.times[index] * 1000 : 0;
    this.caption.textContent = one
      ? `${bucketTime(from, this.width, true)}, ${bucket}: ${count(total)} ${plural(total, "event")}`
      : `${count(total)} ${plural(total, "event")}, one bar is ${bucket}`;
    if (!one) this.plot.setAttribute("aria-label", this.#summary(total, bucket));
    this.legend.replaceChildren(
      ...this.bands.map((band) =>
        h(
          "li",
          {},
          h("i", { class: `swatch ${band.colour}`, "aria-hidden": "true" }),
          visible(band.name),
          h("b", {}, count(valueOf(band))),
        ),
      ),
    );
  }

  #summary(total, bucket) {
    const sums = this.times.map((_, at) => this.bands.reduce((sum, band) => sum + band.values[at], 0));
    const peak = Math.max(0, ...sums);
    if (!peak) return "Events over time: none";
    const when = bucketTime(this.times[sums.indexOf(peak)] * 1000, this.width, true);
    return `Events over time: ${count(total)} in all, at most ${count(peak)} in ${bucket}, at ${when}`;
  }

  #fit() {
    if (this.chart) this.chart.setSize({ width: Math.max(80, this.plot.clientWidth), height: HEIGHT });
  }
}

function widthName(seconds) {
  for (const [size, name] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
    if (seconds % size) continue;
    const n = seconds / size;
    return n === 1 ? `one ${name}` : `${n} ${name}s`;
  }
  return `${seconds} seconds`;
}

/** The kinds that have a colour, most frequent first, and one band for all the others. */
function bandsOf(kinds, colours) {
  const bands = Object.entries(kinds)
    .map(([name, values]) => ({
      name,
      values,
      total: values.reduce((sum, n) => sum + n, 0),
      colour: colours.of(name),
    }))
    .filter((band) => band.total)
    .sort((a, b) => b.total - a.total);
  const own = bands.filter((band) => band.colour !== `k${BANDS}`);
  const rest = bands.filter((band) => band.colour === `k${BANDS}`);
  if (rest.length > 1) {
    const values = rest[0].values.map((_, at) => rest.reduce((sum, band) => sum + band.values[at], 0));
    const total = rest.reduce((sum, band) => sum + band.total, 0);
    return [...own, { name: REST, values, total, colour: `k${BANDS}` }];
  }
  return [...own, ...rest];
}

/** Running sums, the tallest first: each band is drawn over the one behind it. */
function stack(bands, length) {
  const sums = [];
  let below = new Array(Math.max(1, length)).fill(0);
  for (const band of bands) {
    below = below.map((n, at) => n + (band.values[at] ?? 0));
    sums.unshift(below);
  }
  return sums;
}
