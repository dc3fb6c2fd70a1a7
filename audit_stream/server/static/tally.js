/**
 * The counts, asked for no more often than the server can afford: the pause after an answer is twenty
 * times as long as it took. Kinds and sources are counted under every filter but their own, so what else
 * there is stays in sight.
 */
import { Problem, getJson } from "./api.js";
import { query, span } from "./filter.js";

const SHORTEST_MS = 1500;
const LONGEST_MS = 30000;

export class Tally {
	constructor(onTally, onProblem) {
		Object.assign(this, { onTally, onProblem, turn: 0, dueAt: 0 });
	}

	ask(filter) {
		this.stop();
		this.filter = { ...filter, event: 0 };
		this.#fetch();
	}

	stop() {
		this.turn += 1;
		this.busy = true;
		clearTimeout(this.timer);
	}

	/** Something changed. */
	touch() {
		if (!this.busy) this.#plan(this.dueAt - Date.now());
		this.busy = true;
	}

	#plan(ms) {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.#fetch(), ms);
	}

	async #fetch() {
		const { turn } = this;
		const began = Date.now();
		this.busy = true;
		try {
			const tally = await this.#collect();
			if (turn === this.turn) this.onTally(tally);
		} catch (error) {
			if (!(error instanceof Problem)) throw error;
			if (turn === this.turn) this.onProblem(error);
		}
		if (turn !== this.turn) return;
		const now = Date.now();
		this.busy = false;
		this.dueAt = now + Math.min(LONGEST_MS, Math.max(SHORTEST_MS, 20 * (now - began)));
		this.#plan(LONGEST_MS); // a quiet ledger too: "the last hour" moves by itself
	}

	async #collect() {
		const { filter } = this;
		const without = (list) => (filter[list].length ? getJson("/stats", query({ ...filter, [list]: [] })) : null);
		const all = query(filter);
		all.set("bucket", "auto");
		const [stats, kinds, sources] = await Promise.all([getJson("/stats", all), without("kinds"), without("sources")]);
		return { stats, byKind: (kinds ?? stats).by_kind, bySource: (sources ?? stats).by_source, span: span(filter) };
	}
}
