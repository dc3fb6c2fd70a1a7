/**
 * One live stream that does not give up.
 *
 * Guarantees: every event after the given id is handed over once and in order, however often the
 * connection, the server or the network goes away; a connection that falls silent for longer than
 * the server's keep-alive is taken for dead; what is the matter is always known (`onState`).
 * Only an answer that waiting cannot change (not signed in, a refused filter) ends the tries.
 */
import { Problem } from "./api.js";
import { readStream } from "./sse.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;
const OPEN_WITHIN_MS = 15000;
// Three of the server's keep-alives (one every 15 s).
const SILENCE_MS = 45000;
const FINAL = new Set([400, 401, 403, 404, 422]);

/**
 * @typedef {{phase: "connecting" | "live" | "waiting" | "refused" | "stopped",
 *   why?: string, status?: number, retryAt?: number}} State
 */
export class Connection {
  /**
   * @param {{query: URLSearchParams, after: number, onEvent: (id: number, line: string) => void,
   *   onReset: (head: {last_event_id: number, latest_hash: string | null}) => void,
   *   onState: (state: State) => void}} options
   */
  constructor(options) {
    this.options = options;
    this.after = options.after;
    this.stopped = false;
    this.tries = 0;
    this.wake = () => {};
  }

  start() {
    this.#run();
    return this;
  }

  stop() {
    this.stopped = true;
    this.abort?.abort();
    this.wake();
  }

  /** Tries again now instead of when the wait is over. */
  retry() {
    this.wake();
  }

  async #run() {
    while (!this.stopped) {
      const problem = await this.#connect();
      if (this.stopped) return;
      if (problem.retryAfter === 0 && FINAL.has(problem.status)) {
        this.options.onState({ phase: "refused", why: problem.message, status: problem.status });
        return;
      }
      await this.#wait(problem);
    }
  }

  /** @returns {Promise<Problem>} why the connection ended */
  async #connect() {
    const abort = new AbortController();
    this.abort = abort;
    let limit = OPEN_WITHIN_MS;
    let alive = Date.now();
    // A page that slept (a closed lid) finds its clock far ahead here, and so connects anew at once.
    const watch = setInterval(() => Date.now() - alive > limit && abort.abort(), 1000);
    this.options.onState({ phase: "connecting" });
    try {
      const query = new URLSearchParams(this.options.query);
      query.set("after", String(this.after));
      await readStream(`/events/stream?${query}`, {
        signal: abort.signal,
        onOpen: () => {
          limit = SILENCE_MS;
          this.options.onState({ phase: "live" });
        },
        onBytes: () => {
          alive = Date.now();
          this.tries = 0;
        },
        onEvent: (type, data, id) => this.#take(type, data, id),
      });
      return new Problem(200, "the server ended the stream");
    } catch (error) {
      if (error instanceof Problem) return error;
      return new Problem(0, abort.signal.aborted ? "the server fell silent" : "the connection broke");
    } finally {
      clearInterval(watch);
    }
  }

  #take(type, data, id) {
    if (this.stopped) return;
    if (type === "reset") {
      const head = JSON.parse(data);
      this.after = head.last_event_id;
      this.options.onReset(head);
      return;
    }
    const number = Number(id);
    if (type !== "message" || !(number > this.after)) return;
    this.after = number;
    this.options.onEvent(number, data);
  }

  async #wait(problem) {
    const backOff = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries);
    this.tries += 1;
    // Spread, so that a wall of consoles does not come back in one instant.
    const ms = Math.max(backOff * (0.8 + 0.4 * Math.random()), Math.min(problem.retryAfter, 60) * 1000);
    this.options.onState({
      phase: "waiting",
      why: problem.message,
      status: problem.status,
      retryAt: Date.now() + ms,
    });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
