/**
 * The events the page holds: a window on the ledger that can never outgrow the page.
 *
 * Three bounds: what is kept while following, what is kept when somebody reads far back, and what
 * is held back while paused. Guarantees: an event is in the window at most once; the window has no
 * hole in it. When a bound would tear one, the window is cut at that place instead, and either the
 * older part can be loaded again or `detached` says that the newer part must be.
 */

const FOLLOWING = 5000;
const READING = 20000;
const HELD = 2000;

export class EventLog {
  constructor() {
    this.clear();
  }

  clear() {
    /** @type {import("./entry.js").Entry[]} oldest first */
    this.items = [];
    /** Came while paused, oldest first. */
    this.held = [];
    this.heldCount = 0;
    this.heldOverflowed = false;
    /** Newer events than the newest one here exist and are not held. */
    this.detached = false;
    /** There is nothing older than the oldest one here. */
    this.complete = false;
  }

  get oldestId() {
    return this.items.length ? this.items[0].id : 0;
  }

  get newestId() {
    return this.items.length ? this.items[this.items.length - 1].id : 0;
  }

  replace(entries, { complete, detached = false }) {
    this.clear();
    this.items = entries;
    this.complete = complete;
    this.detached = detached;
  }

  follow(entry) {
    this.items.push(entry);
    // In steps, so that a busy stream does not move the whole array for each event.
    if (this.items.length > FOLLOWING * 1.2) this.#cutOldest(this.items.length - FOLLOWING);
  }

  hold(entry) {
    this.heldCount += 1;
    if (this.detached) return;
    this.held.push(entry);
    if (this.held.length > HELD * 2) {
      this.held = this.held.slice(-HELD);
      this.heldOverflowed = true;
    }
  }

  /** Takes in what was held back. */
  release() {
    if (this.heldOverflowed) {
      this.items = this.held;
      this.complete = false;
    } else {
      this.items = this.items.concat(this.held);
    }
    this.held = [];
    this.heldCount = 0;
    this.heldOverflowed = false;
    if (this.items.length > FOLLOWING) this.#cutOldest(this.items.length - FOLLOWING);
  }

  addOlder(entries, complete) {
    this.items = entries.concat(this.items);
    this.complete = complete;
    if (this.items.length <= READING) return;
    this.items = this.items.slice(0, READING);
    this.detached = true;
    this.held = [];
  }

  addNewer(entries, detached) {
    this.items = this.items.concat(entries);
    this.detached = detached;
    if (!detached) this.heldCount = this.held.length;
    if (this.items.length > READING) this.#cutOldest(this.items.length - READING);
  }

  #cutOldest(n) {
    this.items = this.items.slice(n);
    this.complete = false;
  }
}
