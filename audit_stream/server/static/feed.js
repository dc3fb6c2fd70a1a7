/**
 * How events get into the log: the first page, the live stream, older pages. Each is shown once,
 * whichever way it came; while anything holds the feed (the button, the scroll position, an open event)
 * what is shown stands still and new events are counted. A ledger that was swapped or rewritten under
 * the page is said aloud, for the chain must go on from the last hash the page saw.
 */
import { Problem, getJson, getLines } from "./api.js";
import { Connection } from "./connection.js";
import { damaged, entryOf } from "./entry.js";
import { admits, query, streamQuery } from "./filter.js";
import { EventLog } from "./log.js";

const FIRST_PAGE = 100;
const PAGE = 200;
const AROUND = 25;
const READ_MOST = 1000;

export class Feed {
	/** @param hooks `onChange()`, `onHead()`, `onConnection(phase, why)`, `onProblem(problem)`, `onAlarm(text)` */
	constructor(hooks) {
		this.hooks = hooks;
		this.log = new EventLog();
		this.head = { id: 0, hash: "" };
		this.seen = this.head;
		this.holds = new Set();
		this.loading = "";
		this.turn = 0;
	}

	get following() {
		return this.holds.size === 0 && !this.log.detached;
	}

	/** From the newest, or around the one event that the filter names. */
	show(filter) {
		this.stop();
		this.filter = filter;
		this.log.replace([], {});
		this.holds.clear();
		return this.#load("first", (current) => (filter.event ? this.#around(filter.event, current) : this.#latest(current)));
	}

	stop() {
		this.turn += 1;
		this.connection?.stop();
	}

	sleep() {
		this.connection?.stop();
	}

	reconnect() {
		if (this.connection?.stopped) this.#connect(this.connection.after);
		else this.connection?.retry();
	}

	hold(reason, yes) {
		if (yes === this.holds.has(reason)) return;
		if (yes) this.holds.add(reason);
		else this.holds.delete(reason);
		if (this.following) this.log.release();
		this.hooks.onChange();
	}

	/** Follows again; false when the newest events have to be loaded first. */
	resume() {
		this.holds.clear();
		if (this.log.detached) return false;
		this.log.release();
		this.hooks.onChange();
		return true;
	}

	older() {
		if (this.loading || this.log.complete || !this.log.items.length) return;
		this.#load("older", async (current) => {
			const entries = await this.#page({ before: this.log.oldestId, limit: PAGE });
			if (current()) this.log.addOlder(entries, entries.length < PAGE);
		});
	}

	/** The head, as an event or another answer of the server tells it. */
	sawHead(id, hash) {
		if (id === this.seen.id && hash && this.seen.hash && hash !== this.seen.hash) this.#unlinked(id);
		if (id <= this.head.id) return;
		this.head = { id, hash };
		this.hooks.onHead();
	}

	async #load(name, work) {
		const { turn } = this;
		const current = () => turn === this.turn;
		this.loading = name;
		this.hooks.onChange();
		try {
			await work(current);
		} catch (error) {
			if (!(error instanceof Problem)) throw error;
			if (current()) this.hooks.onProblem(error);
		}
		if (!current()) return;
		this.loading = "";
		this.hooks.onChange();
	}

	async #page(cursor) {
		const terms = this.filter.event ? new URLSearchParams() : query(this.filter);
		const whole = !String(terms);
		for (const [name, value] of Object.entries(cursor)) terms.set(name, value);
		const entries = [];
		let id = cursor.after;
		// What is missing from the middle of an unfiltered page is there, but damaged.
		const fill = (to) => {
			for (id += 1; whole && id < to && entries.length < READ_MOST; id += 1) entries.push(damaged(id));
		};
		for (const line of await getLines(terms)) {
			const entry = entryOf(line, id + 1);
			fill(entry.id);
			entries.push(entry);
			id = entry.id;
		}
		fill(cursor.before);
		return entries;
	}

	async #latest(current) {
		let head = this.head.id;
		let entries = await this.#page({ limit: FIRST_PAGE });
		if (!entries.length && !head) {
			// The stream then starts at the head, known from before the page is read: what is appended in
			// between is in one of the two.
			head = (await getJson("/stats")).last_event_id;
			entries = await this.#page({ limit: FIRST_PAGE });
		}
		if (!current()) return;
		this.log.replace(entries, { complete: entries.length < FIRST_PAGE });
		this.#remember(entries.at(-1));
		this.#connect(Math.max(head, this.log.newestId));
	}

	async #around(id, current) {
		const after = Math.max(0, id - 1 - AROUND);
		const limit = 2 * AROUND + 1;
		const [entries, { last_event_id: head }] = await Promise.all([this.#page({ after, limit }), getJson("/stats")]);
		if (!current()) return;
		const detached = entries.length >= limit && entries.at(-1).id < head;
		this.log.replace(entries, { complete: after === 0, detached });
		// What lies between is not shown here, and may be a million events.
		this.#connect(detached || !entries.length ? head : this.log.newestId);
		if (!entries.some((entry) => entry.id === id)) throw new Problem(404, `no event #${id} to show: there is none, or its line is damaged`);
	}

	#connect(after) {
		const { turn } = this;
		const current = (work) => (...values) => turn === this.turn && work(...values);
		this.connection?.stop();
		this.connection = new Connection({
			query: this.filter.event ? new URLSearchParams() : streamQuery(this.filter),
			after,
			onEvent: current((id, line) => this.#arrived(id, line)),
			onReset: current((head) => this.#replaced(head)),
			onState: current(this.hooks.onConnection),
		});
	}

	#arrived(id, line) {
		const entry = entryOf(line, id);
		this.#remember(entry);
		if (!this.filter.event && !admits(this.filter, entry, line)) return;
		if (this.following) this.log.follow(entry);
		else this.log.hold(entry);
		this.hooks.onChange();
	}

	#remember(entry) {
		if (!entry || entry.damaged) return;
		const { id, hash, prevHash } = entry;
		if (id === this.seen.id + 1 && this.seen.hash && prevHash !== this.seen.hash) this.#unlinked(id);
		if (id > this.seen.id) this.seen = { id, hash };
		this.sawHead(id, hash);
	}

	#unlinked(id) {
		this.seen = { id: 0, hash: "" };
		this.hooks.onAlarm(
			`Event #${id} does not continue the chain this page has been watching: the ledger was rewritten or replaced.`,
		);
	}

	#replaced({ last_event_id: id, latest_hash: hash }) {
		this.hooks.onAlarm(
			`The ledger was cut short or replaced under this page, which had seen event #${this.head.id}.`,
		);
		this.head = this.seen = { id, hash: hash ?? "" };
		this.hooks.onHead();
		this.show({ ...this.filter, event: 0 });
	}
}
