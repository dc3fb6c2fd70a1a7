/**
 * The few numbers one reads from across the room: how many, how fast, how big, how long ago.
 *
 * The rate is the head's own movement over the last minute, so it is right whatever is filtered.
 */
import { ago, exactTime } from "./clock.js";
import { copyButton } from "./clipboard.js";
import { byId, say } from "./dom.js";
import { bytes, compact, count } from "./text.js";

const WINDOW_MS = 60000;
const STEP_MS = 1000;

export class Figures {
  constructor() {
    this.samples = [];
    this.stats = null;
    byId("head-copy").append(copyButton("Copy", async () => this.stats?.latest_hash ?? ""));
  }

  /** @param {{count: number, bytes: number, last_timestamp: string | null, latest_hash: string | null}} stats */
  show(stats) {
    this.stats = stats;
    say(byId("size"), bytes(stats.bytes ?? 0));
    say(byId("head-hash"), stats.latest_hash ? stats.latest_hash.slice(0, 16) : "none yet");
    byId("head-hash").title = stats.latest_hash ?? "";
    byId("head-copy").hidden = !stats.latest_hash;
    byId("last").title = stats.last_timestamp ? exactTime(stats.last_timestamp) : "";
    this.sawHead(stats.last_event_id);
    this.tick();
  }

  sawHead(id) {
    const now = Date.now();
    say(byId("count"), count(id));
    const last = this.samples.at(-1);
    if (last && id < last.id) this.samples = [];
    if (last && now - last.at < STEP_MS) last.id = Math.max(last.id, id);
    else this.samples.push({ at: now, id });
  }

  tick() {
    const now = Date.now();
    while (this.samples.length > 2 && this.samples[1].at < now - WINDOW_MS) this.samples.shift();
    const [first] = this.samples;
    const last = this.samples.at(-1);
    const minutes = first ? Math.min(WINDOW_MS, Math.max(now - first.at, 10000)) / 60000 : 1;
    say(byId("rate"), first ? `${compact((last.id - first.id) / minutes)}/min` : "0/min");
    const at = this.stats?.last_timestamp;
    say(byId("last"), at ? ago(Date.parse(at)) : "none yet");
  }
}
