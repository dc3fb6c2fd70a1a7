/**
 * One line of the log; whatever comes from an event is text in a cell of its own. The mark at the
 * left says what is known: filled when the last verification covered the event, hollow when it came
 * since; joined to the row below when that is the event before it, with the hash this one names;
 * dashed when a filter hides what lies between; red when the two do not link.
 */
import { ago, rowTime } from "./clock.js";
import { h, say } from "./dom.js";
import { clip, visible } from "./text.js";

export function rowOf(entry, { colourOf }) {
	const pairs = entry.pairs.flatMap(([key, value]) => [h("span.key", visible(key), "="), visible(value), " "]);
	return h(
		entry.damaged ? "li.event.damaged" : "li.event",
		{ "data-id": entry.id },
		h(
			"button.row",
			{ "aria-expanded": "false" },
			h("span.node", { "aria-hidden": "true" }),
			h("span.id", `#${entry.id}`),
			h("time.when", { datetime: entry.damaged ? null : entry.timestamp }, rowTime(entry.time)),
			h("span.ago", ago(entry.time)),
			h("span.kind", h(`i.swatch.${colourOf(entry.kind)}`), visible(clip(entry.kind, 120))),
			h("span.source", visible(clip(entry.source, 120))),
			h("span.preview", ...pairs),
		),
	);
}

export const tickRow = (row, entry) => say(row.querySelector(".ago"), ago(entry.time));

/** `older` is the next row below, `verified` the last event that the verification covered. */
export function markRow({ classList }, entry, older, verified) {
	const adjacent = older?.id === entry.id - 1;
	const linked = adjacent && entry.prevHash === older.hash;
	classList.toggle("verified", entry.id <= verified);
	classList.toggle("linked", linked);
	classList.toggle("unlinked", adjacent && !linked);
	classList.toggle("first", entry.id === 1);
}
