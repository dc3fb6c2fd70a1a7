/**
 * The events the page holds: a window on the ledger that cannot outgrow the page, with no hole in it and
 * no event twice. Where a bound cuts it, the older part can be loaded again, or `detached` says that the
 * newer part must be.
 */
const FOLLOWING = 5000;
const READING = 20000;
const HELD = 2000;

export class EventLog {
	constructor() {
		this.replace([], {});
	}

	/** `complete`: nothing older exists. `detached`: newer events exist that are not here. */
	replace(entries, { complete = false, detached = false }) {
		this.items = entries; // oldest first
		this.complete = complete;
		this.detached = detached;
		this.held = []; // came while paused
		this.heldCount = 0;
	}

	get oldestId() {
		return this.items.at(0)?.id ?? 0;
	}

	get newestId() {
		return this.items.at(-1)?.id ?? 0;
	}

	follow(entry) {
		this.items.push(entry);
		// In steps, so that a busy stream does not move the whole array for each event.
		if (this.items.length > FOLLOWING * 1.2) this.#keepNewest();
	}

	hold(entry) {
		this.heldCount += 1;
		if (!this.detached) this.held.push(entry);
		if (this.held.length > HELD) this.#detach();
	}

	/** Takes in what was held back. */
	release() {
		this.replace(this.items.concat(this.held), this);
		if (this.items.length > FOLLOWING) this.#keepNewest();
	}

	addOlder(entries, complete) {
		this.items = entries.concat(this.items);
		this.complete = complete;
		if (this.items.length <= READING) return;
		this.items = this.items.slice(0, READING);
		this.#detach();
	}

	#detach() {
		this.detached = true;
		this.held = [];
	}

	#keepNewest() {
		this.items = this.items.slice(-FOLLOWING);
		this.complete = false;
	}
}
