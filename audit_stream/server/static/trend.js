/**
 * Events over time, stacked by kind: uPlot draws, this file says what. The kinds seen most when the page
 * opened keep a colour each (`.k0` … in the style sheet), the others share one. A drag or a click gives a
 * span that ends at bucket edges, so the list then has as many events as the chart showed.
 */
/* global uPlot */
import { bucketTime } from "./clock.js";
import { byId, h, plural, say } from "./dom.js";
import { compact, count, visible } from "./text.js";

const HEIGHT = 132;
const COLOURS = 7;
const FEWEST = 12; // bars that the width is made for
const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

export class Trend {
	constructor(onSpan) {
		this.onSpan = onSpan;
		this.colours = new Map();
		this.plot = byId("plot");
		new ResizeObserver(() => this.chart?.setSize(this.#size())).observe(this.plot);
	}

	/** Gives out colours, most frequent kinds first; returns whether there were new ones. */
	learn(kinds) {
		const before = this.colours.size;
		for (const kind of kinds) {
			if (this.colours.size < COLOURS && !this.colours.has(kind)) this.colours.set(kind, `k${this.colours.size}`);
		}
		return this.colours.size !== before;
	}

	colourOf(kind) {
		return this.colours.get(kind) ?? `k${COLOURS}`;
	}

	/** `over_time` of `/stats`, and the time asked for. */
	show({ bucket_seconds: width, start, kinds }, { since, until }) {
		const seconds = (iso) => Date.parse(iso) / 1000;
		const from = start ? seconds(start) : Date.now() / 1000;
		const length = Math.max(0, ...Object.values(kinds).map((values) => values.length));
		this.width = width;
		this.times = Array.from({ length }, (_, index) => from + index * width);
		this.bands = this.#bands(kinds);
		const end = from + Math.max(1, length) * width;
		const last = until ? seconds(until) : since ? Math.max(end, Date.now() / 1000) : end;
		this.extent = [since ? seconds(since) : Math.min(from, last - FEWEST * width), last];
		this.#draw();
		this.#legend();
	}

	/** Draws anew: the scheme or the zone changed. */
	refresh() {
		this.shape = null;
		if (this.bands) this.#draw();
	}

	/** Kinds with their own colour, most frequent first, and one band for the others. */
	#bands(kinds) {
		const sum = (values) => values.reduce((total, n) => total + n, 0);
		const bands = Object.entries(kinds)
			.map(([name, values]) => ({ name, values, total: sum(values), colour: this.colourOf(name) }))
			.filter((band) => band.total)
			.sort((a, b) => b.total - a.total);
		const rest = bands.filter((band) => band.colour === `k${COLOURS}`);
		const own = bands.filter((band) => !rest.includes(band));
		if (rest.length < 2) return own.concat(rest);
		const values = this.times.map((_, at) => sum(rest.map((band) => band.values[at])));
		return [...own, { name: "other kinds", values, total: sum(values), colour: `k${COLOURS}` }];
	}

	#draw() {
		// Running sums: the tallest is drawn first, each other one over it.
		let below = this.times.map(() => 0);
		const sums = this.bands.map(({ values }) => (below = below.map((n, at) => n + values[at])));
		const data = [this.times, ...sums.reverse()];
		const shape = this.bands.map((band) => band.colour).join();
		if (shape === this.shape) return this.chart.setData(data);
		this.chart?.destroy();
		this.shape = shape;
		this.chart = new uPlot(this.#options(), data, this.plot);
	}

	#size() {
		return { width: Math.max(80, this.plot.clientWidth), height: HEIGHT };
	}

	#options() {
		const axis = { stroke: this.#colour("ink"), font: "11px system-ui, sans-serif", ticks: { show: false } };
		const bars = uPlot.paths.bars({ align: 1, size: [1, Infinity], gap: 1 });
		const series = this.bands.map(({ colour }) => ({ fill: this.#colour(colour), width: 0, points: { show: false }, paths: bars }));
		return {
			...this.#size(),
			padding: [8, 20, 0, 0],
			legend: { show: false },
			cursor: { y: false, points: { show: false }, drag: { setScale: false, dist: 4 }, bind: { dblclick: () => null } },
			scales: { x: { range: () => this.extent }, y: { range: (_, __, most) => [0, Math.max(1, (most || 0) * 1.08)] } },
			axes: [
				{ ...axis, size: 24, space: 84, grid: { show: false }, values: (_, times) => this.#labels(times) },
				{
					...axis,
					size: 50,
					space: 32,
					incrs: Array.from({ length: 30 }, (_, at) => [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3)),
					grid: { stroke: this.#colour("rule"), width: 1 },
					values: (_, numbers) => numbers.map(compact),
				},
			],
			series: [{}, ...series.reverse()],
			hooks: {
				setSelect: [(chart) => this.#selected(chart)],
				setCursor: [(chart) => this.#legend(this.#bucket(chart))],
				ready: [(chart) => chart.over.addEventListener("click", () => this.#clicked(this.#bucket(chart)))],
			},
		};
	}

	/** A canvas knows no custom properties: the style sheet is asked through an element. */
	#colour(name) {
		const probe = h(`i.probe.${name}`);
		this.plot.append(probe);
		const { backgroundColor } = getComputedStyle(probe);
		probe.remove();
		return backgroundColor;
	}

	#labels(times) {
		const step = times.length > 1 ? times[1] - times[0] : this.width;
		let before = "";
		return times.map((time) => {
			const day = bucketTime(time * 1000, 86400);
			const label = bucketTime(time * 1000, step, day !== before);
			before = day;
			return step < 1 ? "" : label;
		});
	}

	#selected(chart) {
		const { left, width } = chart.select;
		if (!width) return;
		this.draggedAt = performance.now();
		this.#choose(chart.posToVal(left, "x"), chart.posToVal(left + width, "x"));
		chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
	}

	/** The one under the pointer, else -1; uPlot's own index is the nearest edge. */
	#bucket({ cursor, posToVal }) {
		return cursor.left < 0 ? -1 : Math.floor((posToVal(cursor.left, "x") - this.times[0]) / this.width);
	}

	#clicked(at) {
		if (performance.now() - this.draggedAt < 300) return;
		if (this.bands.some(({ values }) => values[at])) this.#choose(this.times[at], this.times[at] + 1e-3);
	}

	#choose(from, to) {
		const edge = (time, round) => this.times[0] + round((time - this.times[0]) / this.width) * this.width;
		this.onSpan(...[edge(from, Math.floor), edge(to, Math.ceil)].map((time) => new Date(time * 1000).toISOString()));
	}

	/** For one bucket, or for all of them. */
	#legend(at = -1) {
		const one = at in this.times;
		const numbers = this.bands.map((band) => (one ? band.values[at] : band.total));
		const total = numbers.reduce((sum, n) => sum + n, 0);
		const [size, unit] = UNITS.find(([seconds]) => this.width % seconds === 0);
		const bucket = `${this.width / size} ${plural(this.width / size, unit)}`;
		const events = `${count(total)} ${plural(total, "event")}`;
		const label = one ? `${bucketTime(this.times[at] * 1000, this.width, true)}, ${bucket}: ${events}` : `${events}, ${bucket} a bar`;
		byId("trend").classList.toggle("one", one);
		say("trend-caption", label);
		if (!one) this.plot.setAttribute("aria-label", `Events over time: ${label}`);
		byId("legend").replaceChildren(
			...this.bands.map(({ name, colour }, index) => h("li", h(`i.swatch.${colour}`), visible(name), h("b", count(numbers[index])))),
		);
	}
}
