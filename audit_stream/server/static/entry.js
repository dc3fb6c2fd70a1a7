/**
 * One event as the log holds it: little enough that ten thousand weigh nothing. Never throws: a line
 * that is not an event becomes an entry that says so and shows its text. `line` is the stored line,
 * or null when it is too long to keep (it is fetched again when somebody opens the event).
 */
import { clip } from "./text.js";

const KEPT_LINE = 16384;
const PREVIEW = 280;
const PREVIEW_PAIRS = 16;
const BARE = /^[\p{L}\p{N}_./:@+#%,→-]+$/u;
const TEXTS = ["kind", "source", "hash", "prev_hash", "timestamp"];

/** `position` is the number it should have, used where the line does not say. */
export function entryOf(line, position) {
	const event = decode(line);
	const kept = line.length <= KEPT_LINE ? line : null;
	if (!event) return { ...damaged(position), pairs: [["line", clip(line, PREVIEW)]], line: kept };
	const { event_id: id, prev_hash: prevHash, timestamp, kind, source, hash, payload } = event;
	return { id, time: Date.parse(timestamp), timestamp, kind, source, hash, prevHash, pairs: preview(payload), line: kept };
}

/** An entry for a line that is not a valid event: the server leaves such lines out. */
export const damaged = (id) => {
	const none = { timestamp: "", source: "", hash: "", prevHash: "", pairs: [], line: null };
	return { ...none, id, time: NaN, kind: "damaged line", damaged: true };
};

/** The event in a line, or null when it is not one. */
export function decode(line) {
	try {
		const event = JSON.parse(line);
		const whole = Number.isSafeInteger(event.event_id) && TEXTS.every((name) => typeof event[name] === "string");
		return whole && event.payload !== null && typeof event.payload === "object" ? event : null;
	} catch {
		return null;
	}
}

/** Pairs for `key=value`; what could be taken for several is quoted. */
function preview(payload) {
	const pairs = [];
	let left = PREVIEW;
	for (const [key, value] of Object.entries(payload)) {
		if (left <= 0 || pairs.length === PREVIEW_PAIRS) break;
		const pair = [key, value].map((part) =>
			clip(typeof part === "string" && BARE.test(part) ? part : JSON.stringify(part), left),
		);
		pairs.push(pair);
		left -= pair.join().length;
	}
	return pairs;
}
