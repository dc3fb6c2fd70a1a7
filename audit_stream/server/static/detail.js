/**
 * A whole event, opened: its members, its payload field by field, the stored line, and its check by
 * this browser. "Copy JSON" gives the stored line, byte for byte; what is shown as text has every
 * invisible character made visible.
 */
import { getJson, getLines } from "./api.js";
import { checkReport } from "./check.js";
import { ago, exactTime } from "./clock.js";
import { button, copyButton, h, plural } from "./dom.js";
import { decode } from "./entry.js";
import { bytes, clip, count, plain, visible } from "./text.js";

const FIELDS = 200;
const SHOWN = 4000;
const SHOWN_LINE = 65536;
const LONGEST_NEEDLE = 512;

export function detailOf(entry, context) {
	const panel = h("div.detail", { role: "group", "aria-label": `Event #${entry.id}` });
	if (entry.line !== null) fill(panel, entry.id, entry.line, context);
	else load(panel, entry.id, context);
	return panel;
}

async function load(panel, id, context) {
	panel.append(h("p.muted", "Loading the event…"));
	try {
		const [line] = await getLines(`after=${id - 1}&before=${id + 1}&limit=1`);
		if (!line) await getJson(`/events/${id}`); // its problem says why
		panel.replaceChildren();
		fill(panel, id, line, context);
	} catch (error) {
		panel.replaceChildren(h("p.bad", `Event #${id} cannot be shown: ${error.message}.`));
	}
}

function fill(panel, id, line, context) {
	const event = decode(line);
	const report = h("div.check", { "aria-live": "polite" });
	panel.append(
		h(
			"div.actions",
			button("Check in this browser", () => check(id, report, context)),
			copyButton("Copy JSON", () => line),
			button("Link and context", () => context.onContext(id)),
		),
		report,
	);
	if (event) panel.append(members(event, context), payload(event.payload, context));
	panel.append(
		h(
			"details.stored",
			h("summary", `Stored line, ${bytes(new TextEncoder().encode(line).length)}`),
			h("pre", { tabindex: 0, "aria-label": "Stored line" }, visible(clip(line, SHOWN_LINE))),
		),
	);
}

async function check(id, report, { onContext }) {
	try {
		report.replaceChildren(await checkReport(id, onContext));
	} catch (error) {
		report.replaceChildren(h("p.bad", `Not checked: ${error.message}.`));
	}
}

function members({ timestamp, kind, source, hash, prev_hash }, { onFilter }) {
	return table("Event", [
		["timestamp", visible(exactTime(timestamp)), h("span.muted", ` ${ago(Date.parse(timestamp))}`)],
		["kind", visible(kind), only(`kind ${plain(kind)}`, () => onFilter({ kinds: [kind] }))],
		["source", visible(source), only(`source ${plain(source)}`, () => onFilter({ sources: [source] }))],
		["hash", visible(hash)],
		["prev_hash", visible(prev_hash)],
	]);
}

function payload(value, { onFilter }) {
	const fields = [];
	const more = flatten(value, "", fields);
	const rows = fields.map(([path, name, leaf]) => {
		const text = typeof leaf === "string" ? leaf : JSON.stringify(leaf);
		const needle = name === null ? "" : `${JSON.stringify(name)}:${JSON.stringify(leaf)}`;
		const label = `${plain(clip(path, 60))} ${plain(clip(text, 60))}`;
		const pick = needle && needle.length <= LONGEST_NEEDLE ? only(label, () => onFilter({ contains: needle })) : null;
		return [clip(path, 300), h(`span.${typeof leaf}`, visible(clip(text, SHOWN))), pick];
	});
	const part = table("Payload", rows);
	if (!rows.length) part.append(h("p.muted", "The payload is empty."));
	if (more) part.append(h("p.muted", `${count(more)} more ${plural(more, "field")}: see the stored line.`));
	return part;
}

/** Puts leaves with their dotted paths into `fields`, up to its bound; returns how many are left. */
function flatten(value, path, fields, name = null) {
	const inner = value !== null && typeof value === "object" ? Object.entries(value) : [];
	if (!inner.length && path) return fields.length < FIELDS ? fields.push([path, name, value]) * 0 : 1;
	const list = Array.isArray(value);
	let more = 0;
	for (const [key, member] of inner) {
		const step = list ? `${path}[${key}]` : path ? `${path}.${key}` : key || '""';
		more += flatten(member, step, fields, list ? null : key);
	}
	return more;
}

const table = (title, rows) =>
	h(
		"section.part",
		h("h3", title),
		h("dl.fields", ...rows.map(([name, ...cell]) => h("div", h("dt", visible(name)), h("dd", ...cell)))),
	);

const only = (what, work) => h("button.only", { "aria-label": `Only ${what}`, onclick: work }, "only");
