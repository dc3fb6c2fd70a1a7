/**
 * "Is the chain intact?", the button that finds out, the bar that shows how much of the ledger the answer
 * covers, and the numbers one reads from across the room. The answer is the newest one known, whether the
 * server verified by itself or this page asked; while a verification runs the last one stays.
 */
import { Problem, readStream } from "./api.js";
import { ago, instant } from "./clock.js";
import { byId, copyButton, h, on, say, tell } from "./dom.js";
import { bytes, count, visible } from "./text.js";
import { verdictOf } from "./verdict.js";

const RATE_WINDOW_MS = 60000;

export class Status {
	constructor(hooks) {
		this.hooks = hooks;
		this.head = this.skew = 0;
		this.samples = []; // the head's movement over the last minute, whatever is filtered
		on("verify", "click", () => (this.running ? this.running.abort() : this.#verify()));
		on("neighbours", "click", () => hooks.onContext(this.verdict.breakAt));
		byId("head-copy").append(copyButton("Copy", () => this.stats.latest_hash));
		this.#render();
	}

	#take(found) {
		this.found = found;
		this.#render();
		this.hooks.onVerdict();
	}

	/** The ledger was replaced: what was found of another one says nothing of this one. */
	forget() {
		this.found = null;
		this.#render();
	}

	setHead(id) {
		const now = Date.now();
		const last = this.samples.at(-1);
		if (last?.id > id) this.samples = [];
		if (this.samples.length > 1 && now - last.at < 1000) last.id = id;
		else this.samples.push({ at: now, id });
		if (id === this.head) return;
		this.head = id;
		say("count", count(id));
		this.#render();
	}

	setStats(stats) {
		this.stats = stats;
		const { latest_hash: hash } = stats;
		say("size", bytes(stats.bytes));
		say("head-hash", hash ? hash.slice(0, 16) : "none yet");
		byId("head-copy").hidden = !hash;
		this.setHead(stats.last_event_id);
		this.tick();
	}

	setReadiness({ ready, detail, status, verification, now }) {
		this.skew = Date.now() - now || 0; // all that is compared is in the server's time
		tell("readiness", ready ? "" : `Appends are refused: ${detail || status}.`);
		const known = Date.parse(this.found?.finished_at);
		if (verification && !(Date.parse(verification.finished_at) <= known)) this.#take(verification);
	}

	tick() {
		const at = Date.parse(this.found?.finished_at);
		say("verified-at", at ? `Verified ${ago(at + this.skew)}` : "");
		byId("verified-at").title = at ? instant(at) : "";
		say("last", this.stats?.last_timestamp ? ago(Date.parse(this.stats.last_timestamp)) : "none yet");
		const now = Date.now();
		while (this.samples.length > 2 && this.samples[1].at < now - RATE_WINDOW_MS) this.samples.shift();
		say("rate", count(this.samples.length && this.samples.at(-1).id - this.samples[0].id));
	}

	#render() {
		this.verdict = verdictOf(this.found, this.head);
		const { tone, title, facts, breakAt } = this.verdict;
		byId("status").dataset.tone = tone;
		say("verdict", title);
		byId("facts").replaceChildren(...facts.map((fact) => h("p", visible(fact))));
		tell("neighbours", breakAt ? `Show #${breakAt} and its neighbours` : "");
		document.title = `${tone === "bad" ? "✗ " : ""}${title} · audit-stream`;
		byId("favicon").href = `/console/favicon${tone === "bad" ? "-alert" : ""}.svg`;
		if (!this.running) this.#cover();
		this.tick();
	}

	#cover() {
		const { verified, breakAt } = this.verdict;
		const head = Math.max(this.head, this.found?.last_event_id ?? 0);
		const rest = head - verified - (breakAt ? 1 : 0);
		const broken = breakAt ? `, event ${breakAt} does not` : "";
		this.#bar("img", `${verified} of ${head} events are verified and hold${broken}`, verified, breakAt, rest);
		say("reach", breakAt ? `break at #${breakAt}` : verified && rest > 0 ? `verified to #${verified}` : "");
		byId("reach").style.left = `clamp(100px, ${(100 * verified) / head}%, 100% - 130px)`;
		say("first", head ? "#1" : "");
		say("head", head ? `#${head}` : "");
	}

	#bar(role, label, good, bad, rest) {
		const bar = byId("coverage");
		bar.setAttribute("role", role);
		bar.setAttribute("aria-label", label);
		bar.removeAttribute("aria-valuenow");
		[good, bad, rest].forEach((amount, at) => {
			bar.children[at].style.flexGrow = amount;
			bar.children[at].hidden = amount <= 0;
		});
	}

	async #verify() {
		const { signal } = (this.running = new AbortController());
		let result;
		say("verify", "Cancel");
		this.#progress({ checked: 0, bytes: 0, total_bytes: 0 });
		const onEvent = (type, data) => {
			const found = JSON.parse(data);
			if (type === "progress") this.#progress(found);
			if (type === "result") result = found;
			if (type === "error") throw new Problem(found.status, found.detail);
		};
		try {
			await readStream("/verify", { signal, onEvent });
			if (!result) throw new Error();
		} catch (error) {
			const problem = error instanceof Problem ? error : new Problem(500, "the verification broke off");
			if (!signal.aborted) this.hooks.onProblem(problem);
		}
		this.running = null;
		say("verify", "Verify now");
		say("progress", "");
		if (result) this.#take({ finished_at: new Date(Date.now() - this.skew).toISOString(), ...result });
		this.#cover();
		if (result) say("said", `Verification finished: ${this.verdict.title}.`);
	}

	#progress({ checked, bytes: done, total_bytes: total }) {
		const percent = total ? (100 * done) / total : 0;
		this.#bar("progressbar", "Verification", done, 0, 0);
		byId("coverage").firstElementChild.style.width = `${percent}%`;
		byId("coverage").setAttribute("aria-valuenow", Math.round(percent));
		say("reach", "");
		say("progress", total ? `${count(checked)} events, ${bytes(done)} of ${bytes(total)}` : "Verifying…");
	}
}
