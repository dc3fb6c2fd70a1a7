/**
 * "Is the chain intact?" at the top of the page, the button that finds out, and the bar that shows
 * how much of the ledger the answer covers.
 *
 * Guarantees: the answer is the newest one known, whether the server verified by itself or this
 * page asked; while a verification runs the last answer stays; leaving or cancelling stops it.
 */
import { Problem } from "./api.js";
import { ago, instant } from "./clock.js";
import { byId, h, say } from "./dom.js";
import { readStream } from "./sse.js";
import { bytes, count, visible } from "./text.js";
import { verdictOf } from "./verdict.js";

const TITLE = "audit-stream";

export class Status {
  /** @param {{onVerdict: () => void, onContext: (id: number) => void, onProblem: (p: Problem) => void}} hooks */
  constructor(hooks) {
    this.hooks = hooks;
    this.panel = byId("status");
    this.button = byId("verify");
    this.found = null;
    this.head = 0;
    this.readiness = null;
    this.button.addEventListener("click", () => (this.running ? this.running.abort() : this.#verify()));
    byId("neighbours").addEventListener("click", () => hooks.onContext(this.verdict.breakAt));
    this.#render();
  }

  get verified() {
    return this.verdict.verified;
  }

  /** @param {import("./verdict.js").Verification | null} found */
  take(found) {
    if (!found) return;
    if (this.found && Date.parse(found.finished_at) <= Date.parse(this.found.finished_at)) return;
    this.found = found;
    this.#render();
    this.hooks.onVerdict();
  }

  /** The ledger was replaced: what was found of another one says nothing of this one. */
  forget() {
    this.found = null;
    this.#render();
    this.hooks.onVerdict();
  }

  setHead(id) {
    if (id === this.head) return;
    this.head = id;
    this.#render();
  }

  /** @param {{ready: boolean, status: string, detail?: string | null}} readiness */
  setReadiness(readiness) {
    const alert = byId("readiness");
    alert.hidden = readiness.ready;
    say(alert, readiness.ready ? "" : `Appends are refused: ${readiness.detail || readiness.status}.`);
    this.take(readiness.verification);
  }

  tick() {
    const at = this.found ? Date.parse(this.found.finished_at) : NaN;
    const when = byId("verified-at");
    when.textContent = Number.isNaN(at) ? "" : `Verified ${ago(at)}`;
    when.title = Number.isNaN(at) ? "" : instant(at);
    if (!Number.isNaN(at)) when.dateTime = new Date(at).toISOString();
  }

  #render() {
    this.verdict = verdictOf(this.found, this.head);
    const { tone, title, facts, breakAt } = this.verdict;
    this.panel.dataset.tone = tone;
    say(byId("verdict"), title);
    byId("facts").replaceChildren(...facts.map((fact) => h("p", {}, visible(fact))));
    byId("neighbours").hidden = !breakAt;
    say(byId("neighbours"), `Show #${breakAt} and its neighbours`);
    document.title = `${tone === "bad" ? "✗ " : ""}${title} · ${TITLE}`;
    byId("favicon").href = `/console/favicon${tone === "bad" ? "-alert" : ""}.svg`;
    if (!this.running) this.#coverage();
    this.tick();
  }

  #coverage() {
    const { verified, breakAt, tone } = this.verdict;
    const head = Math.max(this.head, this.found?.last_event_id ?? 0);
    const rest = Math.max(0, head - verified - (breakAt ? 1 : 0));
    this.#bar(tone === "bad" && !breakAt ? 0 : verified, breakAt ? 1 : 0, tone === "bad" && !breakAt ? head : rest);
    byId("coverage").setAttribute("role", "img");
    byId("coverage").setAttribute("aria-label", coverageWords(verified, breakAt, rest, head));
    say(byId("coverage-from"), head ? "#1" : "no events yet");
    const reach = byId("coverage-at");
    say(reach, verified && verified < head && !breakAt ? `verified to #${verified}` : breakAt ? `break at #${breakAt}` : "");
    say(byId("coverage-to"), head ? `#${head}` : "");
  }

  #bar(good, broken, rest) {
    const grow = { "part-good": good, "part-bad": broken, "part-rest": rest };
    for (const [id, amount] of Object.entries(grow)) {
      byId(id).style.flexGrow = String(amount);
      byId(id).hidden = amount === 0;
    }
  }

  async #verify() {
    this.running = new AbortController();
    const { signal } = this.running;
    this.button.textContent = "Cancel";
    this.panel.classList.add("running");
    this.#progress({ checked: 0, bytes: 0, total_bytes: 0 }, Date.now());
    const started = Date.now();
    let result = null;
    try {
      await readStream("/verify", {
        signal,
        onEvent: (type, data) => {
          if (type === "progress") this.#progress(JSON.parse(data), started);
          if (type === "result") result = JSON.parse(data);
        },
      });
      if (!result) throw new Problem(0, "the server ended the verification without a result");
    } catch (error) {
      if (!signal.aborted) this.hooks.onProblem(error instanceof Problem ? error : new Problem(0, error.message));
    }
    this.running = null;
    this.button.textContent = "Verify now";
    this.panel.classList.remove("running");
    byId("progress").textContent = "";
    if (result) this.take({ finished_at: new Date().toISOString(), ...result });
    this.#coverage();
    if (result) say(byId("said"), `Verification finished: ${this.verdict.title}.`);
  }

  #progress({ checked, bytes: done, total_bytes: total }, started) {
    const share = total ? done / total : 0;
    const seconds = (Date.now() - started) / 1000;
    const bar = byId("coverage");
    bar.setAttribute("role", "progressbar");
    bar.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    bar.setAttribute("aria-label", "Verification");
    this.#bar(done || 0, 0, Math.max(total - done, done ? 0 : 1));
    const rate = seconds > 0.3 && checked ? `, ${count(Math.round(checked / seconds))} events/s` : "";
    const left = share > 0.02 && seconds > 1 ? `, ${Math.ceil(seconds / share - seconds)} s left` : "";
    byId("progress").textContent = total
      ? `Verifying: ${count(checked)} events, ${bytes(done)} of ${bytes(total)}${rate}${left}`
      : "Verifying…";
  }
}

function coverageWords(verified, breakAt, rest, head) {
  if (!head) return "The ledger has no events";
  if (breakAt) return `Events 1 to ${verified} of ${head} hold, event ${breakAt} does not`;
  return rest ? `${verified} of ${head} events are verified` : `All ${head} events are verified`;
}
