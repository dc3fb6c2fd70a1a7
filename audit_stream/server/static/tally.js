/**
 * Asking for the counts: not more often than they change, nor than the server can afford.
 *
 * Guarantees: one question at a time; the pause after an answer is twenty times what the answer
 * took, so a console costs the server at most a twentieth of one core; a late answer to an old
 * filter is dropped.
 */
import { getJson } from "./api.js";
import { query, span } from "./filter.js";

const SHORTEST_MS = 1500;
const LONGEST_MS = 30000;

export class Tally {
  /**
   * @param {{onTally: (tally: {stats: object, byKind: object, bySource: object,
   *   span: {since: string, until: string}}) => void, onProblem: (problem: Error) => void}} hooks
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.turn = 0;
    this.dueAt = 0;
  }

  /** @param {import("./filter.js").Filter} filter */
  ask(filter) {
    this.filter = filter;
    this.turn += 1;
    this.busy = false;
    this.#fetch();
  }

  stop() {
    this.turn += 1;
    clearTimeout(this.timer);
  }

  /** Something changed: ask again as soon as that is reasonable. */
  touch() {
    if (this.busy || this.planned || !this.filter) return;
    this.planned = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#fetch(), Math.max(0, this.dueAt - Date.now()));
  }

  async #fetch() {
    clearTimeout(this.timer);
    this.planned = false;
    this.busy = true;
    const { turn, filter } = this;
    const began = performance.now();
    try {
      const tally = await collect(filter);
      if (turn === this.turn) this.hooks.onTally(tally);
    } catch (error) {
      if (turn === this.turn) this.hooks.onProblem(error);
    }
    if (turn !== this.turn) return;
    this.busy = false;
    const pause = Math.min(LONGEST_MS, Math.max(SHORTEST_MS, 20 * (performance.now() - began)));
    this.dueAt = Date.now() + pause;
    // A quiet ledger is asked now and then too: "the last hour" moves by itself.
    this.timer = setTimeout(() => this.#fetch(), Math.max(pause, LONGEST_MS));
  }
}

async function collect(filter) {
  const plain = { ...filter, event: 0 };
  const terms = query(plain);
  terms.set("bucket", "auto");
  const [stats, kinds, sources] = await Promise.all([
    getJson("/stats", terms),
    filter.kinds.length ? getJson("/stats", query({ ...plain, kinds: [] })) : null,
    filter.sources.length ? getJson("/stats", query({ ...plain, sources: [] })) : null,
  ]);
  return {
    stats,
    byKind: (kinds ?? stats).by_kind,
    bySource: (sources ?? stats).by_source,
    span: span(plain),
  };
}
