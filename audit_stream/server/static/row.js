/**
 * One line of the log.
 *
 * Guarantees: everything that comes from an event is text in a cell of its own. The mark at the
 * left says what is known: filled when the last verification covered the event, hollow when it
 * came since; joined to the row below when that is the event before it and its hash is the one
 * this event names, dashed when a filter hides what lies between, red when the two do not link.
 */
import { ago, rowTime } from "./clock.js";
import { h } from "./dom.js";
import { clip, visible } from "./text.js";

/** @param {import("./entry.js").Entry} entry */
export function rowOf(entry, { colours }) {
  const preview = h("span", { class: "preview" });
  for (const [key, value] of entry.pairs) {
    preview.append(h("span", { class: "key" }, visible(key), "="), visible(value), " ");
  }
  return h(
    "li",
    { class: entry.damaged ? "event damaged" : "event", "data-id": entry.id },
    h(
      "button",
      { class: "row", type: "button", "aria-expanded": "false" },
      h("span", { class: "node", "aria-hidden": "true" }),
      h("span", { class: "id" }, `#${entry.id}`),
      h("time", { class: "when", datetime: entry.damaged ? null : entry.timestamp }, rowTime(entry.time)),
      h("span", { class: "ago" }, ago(entry.time)),
      h(
        "span",
        { class: "kind" },
        h("i", { class: `swatch ${colours.of(entry.kind)}`, "aria-hidden": "true" }),
        visible(clip(entry.kind, 120)),
      ),
      h("span", { class: "source" }, visible(clip(entry.source, 120))),
      preview,
    ),
  );
}

export function tickRow(row, entry) {
  const cell = row.querySelector(".ago");
  const text = ago(entry.time);
  if (cell.textContent !== text) cell.textContent = text;
}

/** @param {import("./entry.js").Entry | undefined} older the next row below @param {number} verified */
export function markRow(row, entry, older, verified) {
  const adjacent = older !== undefined && older.id === entry.id - 1;
  const linked = adjacent && entry.prevHash === older.hash;
  row.classList.toggle("verified", entry.id <= verified);
  row.classList.toggle("linked", linked);
  row.classList.toggle("unlinked", adjacent && !linked);
  row.classList.toggle("first", entry.id === 1);
}
