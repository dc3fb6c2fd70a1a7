/**
 * One event as the log holds it: little enough that ten thousand of them weigh nothing.
 *
 * Guarantees: never throws, whatever the line; a line that is not an event becomes an entry that
 * says so and still shows its text. `line` is the stored line, or null when it is too long to keep
 * (it is fetched again when somebody opens the event).
 */
import { clip } from "./text.js";

const KEPT_LINE = 16384;
const PREVIEW = 280;
const PREVIEW_PAIRS = 16;
const BARE = /^[\p{L}\p{N}_./:@+#%,→-]+$/u;

/**
 * @typedef {{id: number, time: number, timestamp: string, kind: string, source: string,
 *   hash: string, prevHash: string, pairs: [string, string][], line: string | null,
 *   damaged: boolean}} Entry
 */

/** @param {string} line @param {number} fallbackId used when the line does not say @returns {Entry} */
export function entryOf(line, fallbackId) {
  const event = decode(line);
  if (!event) return damaged(line, fallbackId);
  return {
    id: event.event_id,
    time: Date.parse(event.timestamp),
    timestamp: event.timestamp,
    kind: event.kind,
    source: event.source,
    hash: event.hash,
    prevHash: event.prev_hash,
    pairs: preview(event.payload),
    line: line.length <= KEPT_LINE ? line : null,
    damaged: false,
  };
}

function damaged(line, id) {
  return {
    id,
    time: NaN,
    timestamp: "",
    kind: "not a valid event",
    source: "",
    hash: "",
    prevHash: "",
    pairs: [["line", clip(line, PREVIEW)]],
    line: line.length <= KEPT_LINE ? line : null,
    damaged: true,
  };
}

/** @returns {any} the event, or null when the line is not one */
export function decode(line) {
  let event;
  try {
    event = JSON.parse(line);
  } catch {
    return null;
  }
  const text = ["kind", "source", "hash", "prev_hash", "timestamp"];
  const whole =
    event !== null &&
    typeof event === "object" &&
    Number.isSafeInteger(event.event_id) &&
    text.every((name) => typeof event[name] === "string") &&
    event.payload !== null &&
    typeof event.payload === "object";
  return whole ? event : null;
}

/** `key=value` pairs; a value that could be taken for several is quoted. */
function preview(payload) {
  const pairs = [];
  let left = PREVIEW;
  for (const [key, value] of Object.entries(payload)) {
    if (left <= 0 || pairs.length === PREVIEW_PAIRS) break;
    const name = clip(BARE.test(key) ? key : JSON.stringify(key), left);
    const bare = typeof value === "string" && BARE.test(value);
    const text = clip(bare ? value : JSON.stringify(value), left);
    pairs.push([name, text]);
    left -= name.length + text.length + 2;
  }
  return pairs;
}
