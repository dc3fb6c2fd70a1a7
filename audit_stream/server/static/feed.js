/**
 * What is in the log and how it gets there: the first page, the live stream, older and newer pages.
 *
 * Guarantees: an event is shown once, whether it came by page or by stream; while anything holds
 * the feed (the button, the scroll position, an open event) the shown events stand still and the
 * new ones are counted; a ledger that was swapped or rewritten under the page is said so aloud, for
 * this page remembers the last hash it saw and a chain must go on from it.
 */
import { Problem, getJson, getLines } from "./api.js";
import { Connection } from "./connection.js";
import { entryOf } from "./entry.js";
import { admits, query, streamQuery } from "./filter.js";
import { EventLog } from "./log.js";

const FIRST_PAGE = 100;
const PAGE = 200;
const AROUND = 25;

export class Feed {
  /**
   * @param {{onChange: () => void, onHead: () => void, onConnection: (state: object) => void,
   *   onProblem: (problem: Problem) => void, onAlarm: (text: string) => void}} hooks
   */
  constructor(hooks) {
    this.hooks = hooks;
    this.log = new EventLog();
    this.head = { id: 0, hash: "" };
    this.seen = { id: 0, hash: "" };
    this.holds = new Set();
    this.loading = "";
    /** Rows were put above the ones that were there; whoever draws them takes note and clears it. */
    this.grewAbove = false;
    this.turn = 0;
  }

  get following() {
    return this.holds.size === 0 && !this.log.detached;
  }

  /** Shows what the filter asks for, from the newest, or around the one event it names. */
  async show(filter) {
    this.filter = filter;
    this.turn += 1;
    this.connection?.stop();
    this.log.clear();
    this.holds.clear();
    await this.#load("first", () => (filter.event ? this.#around(filter.event) : this.#latest()));
  }

  stop() {
    this.turn += 1;
    this.connection?.stop();
  }

  /** Connects anew where it left off (after a sleep, or when somebody asks). */
  reconnect() {
    if (this.connection && !this.connection.stopped) this.connection.retry();
    else if (this.filter) this.#connect(this.resumeAt ?? this.head.id);
  }

  sleep() {
    if (!this.connection || this.connection.stopped) return;
    this.resumeAt = this.connection.after;
    this.connection.stop();
  }

  hold(reason, yes) {
    if (yes === this.holds.has(reason)) return;
    if (yes) this.holds.add(reason);
    else this.holds.delete(reason);
    if (this.following && this.log.heldCount) this.log.release();
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
    return this.#load("older", async (current) => {
      const entries = await this.#page({ before: this.log.oldestId, limit: PAGE });
      if (current()) this.log.addOlder(entries, entries.length < PAGE);
    });
  }

  newer() {
    if (this.loading || !this.log.detached) return;
    return this.#load("newer", async (current) => {
      const entries = await this.#page({ after: this.log.newestId, limit: PAGE });
      if (!current()) return;
      this.log.addNewer(entries, entries.length === PAGE);
      this.grewAbove = true;
      if (!this.log.detached) this.#connect(Math.max(this.log.newestId, this.head.id));
    });
  }

  /** The head as another answer of the server tells it. */
  sawHead(id, hash) {
    if (id === this.seen.id && hash && this.seen.hash && hash !== this.seen.hash) this.#unlinked(id);
    if (id <= this.head.id) return;
    this.head = { id, hash };
    this.hooks.onHead();
  }

  async #load(name, work) {
    const turn = this.turn;
    const current = () => turn === this.turn;
    this.loading = name;
    this.hooks.onChange();
    try {
      await work(current);
    } catch (error) {
      if (!current()) return;
      if (!(error instanceof Problem)) throw error;
      this.hooks.onProblem(error);
    } finally {
      if (current()) {
        this.loading = "";
        this.hooks.onChange();
      }
    }
  }

  async #page(cursor) {
    const terms = this.filter.event ? new URLSearchParams() : query(this.filter);
    for (const [name, value] of Object.entries(cursor)) terms.set(name, String(value));
    const lines = await getLines(terms);
    let id = cursor.after ?? 0;
    return lines.map((line) => {
      const entry = entryOf(line, id + 1);
      id = entry.id;
      return entry;
    });
  }

  async #latest() {
    const turn = this.turn;
    const page = () => this.#page({ limit: FIRST_PAGE });
    let head = this.head.id;
    let entries = await page();
    if (!entries.length && head === 0) {
      // Nothing matches yet. The stream then starts at the head, which must be known from before
      // the page was read: what is appended in between is in one of the two.
      head = (await getJson("/stats")).last_event_id;
      entries = await page();
    }
    if (turn !== this.turn) return;
    this.log.replace(entries, { complete: entries.length < FIRST_PAGE });
    this.#remember(entries.at(-1));
    this.#connect(Math.max(head, this.log.newestId));
  }

  async #around(id) {
    const turn = this.turn;
    const after = Math.max(0, id - 1 - AROUND);
    const entries = await this.#page({ after, limit: 2 * AROUND + 1 });
    if (turn !== this.turn) return;
    const detached = entries.length === 2 * AROUND + 1 && entries.at(-1).id !== this.head.id;
    this.log.replace(entries, { complete: after === 0, detached });
    this.#connect(Math.max(this.head.id, this.log.newestId));
    if (!entries.some((entry) => entry.id === id)) {
      this.hooks.onProblem(new Problem(404, `there is no event #${id} in this ledger`));
    }
  }

  #connect(after) {
    this.connection?.stop();
    const turn = this.turn;
    const only = (work) => (value, more) => turn === this.turn && work(value, more);
    const terms = this.filter.event ? new URLSearchParams() : streamQuery(this.filter);
    this.connection = new Connection({
      query: terms,
      after,
      onEvent: only((id, line) => this.#arrived(id, line)),
      onReset: only((head) => this.#replaced(head)),
      onState: only((state) => this.hooks.onConnection(state)),
    }).start();
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
    if (entry.id === this.seen.id + 1 && this.seen.hash && entry.prevHash !== this.seen.hash) {
      this.#unlinked(entry.id);
    }
    if (entry.id > this.seen.id) this.seen = { id: entry.id, hash: entry.hash };
    this.sawHead(entry.id, entry.hash);
  }

  #unlinked(id) {
    this.seen = { id: 0, hash: "" };
    this.hooks.onAlarm(
      `Event #${id} does not continue the chain this page has been watching: ` +
        "the ledger was rewritten or replaced.",
    );
  }

  #replaced(head) {
    this.hooks.onAlarm(
      `The ledger was cut short or replaced: this page had seen event #${this.head.id}, ` +
        `and now the ledger ends at #${head.last_event_id}.`,
    );
    this.head = { id: head.last_event_id, hash: head.latest_hash ?? "" };
    this.seen = { ...this.head };
    this.hooks.onHead();
    this.show({ ...this.filter, event: 0 });
  }
}
