/**
 * One line of the log. The mark at its left is filled when the last verification covered the event, red
 * when it found it broken; joined to the row below when that is the event before, with the hash that this
 * one names; dashed when a filter hides what lies between; dotted red when the two do not link.
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

/** `older` is the next row below. */
export function markRow({ classList }, entry, older, { verified, breakAt }) {
	const adjacent = older?.id === entry.id - 1;
	const linked = adjacent && entry.prevHash === older.hash;
	classList.toggle("verified", entry.id <= verified);
	classList.toggle("breaks", entry.id === breakAt);
	classList.toggle("linked", linked);
	classList.toggle("unlinked", adjacent && !linked);
	classList.toggle("first", entry.id === 1);
}
