/**
 * One live stream that does not give up. Every event after the given id is handed over once and in
 * order, however often connection, server or network go away; one that falls silent for longer than the
 * keep-alive is taken for dead. Only an answer that waiting cannot change (not signed in, a refused
 * filter) ends the tries.
 */
import { Problem, readStream } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const OPEN_WITHIN_MS = 15000;
const SILENCE_MS = 45000; // three of the server's keep-alives
const FINAL = [400, 401, 403, 404, 422];

export class Connection {
	/**
	 * `query` and `after` say where to begin; `onEvent(id, line)`, `onReset(head)` and
	 * `onState(phase, why)`: connecting, live, waiting or refused.
	 */
	constructor(options) {
		this.options = options;
		this.after = options.after;
		this.tries = 0;
		this.#run();
	}

	stop() {
		this.stopped = true;
		this.abort.abort();
		this.retry();
	}

	/** Tries again now instead of when the wait is over. */
	retry() {
		this.wake?.();
	}

	async #run() {
		while (!this.stopped) {
			const problem = await this.#connect();
			if (this.stopped) return;
			if (FINAL.includes(problem.status)) return this.options.onState("refused", problem);
			await this.#wait(problem);
		}
	}

	/** Returns why the connection ended. */
	async #connect() {
		const { signal } = (this.abort = new AbortController());
		let limit = OPEN_WITHIN_MS;
		let alive = Date.now();
		// After a closed lid the clock is far ahead here: it connects anew at once.
		const watch = setInterval(() => Date.now() - alive > limit && this.abort.abort(), 1000);
		this.options.onState("connecting");
		this.options.query.set("after", this.after);
		try {
			await readStream(`/events/stream?${this.options.query}`, {
				signal,
				onOpen: () => {
					limit = SILENCE_MS;
					this.options.onState("live");
				},
				onBytes: () => {
					alive = Date.now();
					this.tries = 0;
				},
				onEvent: (...event) => this.stopped || this.#take(...event),
			});
			return new Problem(0, "the server ended the stream");
		} catch (error) {
			if (error instanceof Problem) return error;
			return new Problem(0, signal.aborted ? "the server fell silent" : "the connection broke");
		} finally {
			clearInterval(watch);
		}
	}

	#take(type, data, id) {
		if (type === "reset") {
			const head = JSON.parse(data);
			this.after = head.last_event_id;
			this.options.onReset(head);
		} else if (type === "message" && Number(id) > this.after) {
			this.after = Number(id);
			this.options.onEvent(this.after, data);
		}
	}

	async #wait(problem) {
		const backOff = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries);
		this.tries += 1;
		// Spread: a wall of consoles shall not come back in one instant.
		const ms = Math.max(backOff * (0.8 + 0.4 * Math.random()), Math.min(problem.retryAfter, 60) * 1000);
		this.options.onState("waiting", problem);
		await new Promise((resolve) => {
			this.wake = resolve;
			setTimeout(resolve, ms);
		});
	}
}
