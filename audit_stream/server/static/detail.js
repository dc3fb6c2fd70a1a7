/**
 * A whole event, opened: its members, its payload field by field, the stored line itself, and the
 * check of its place in the chain made by this browser.
 *
 * Guarantees: "Copy JSON" gives the stored line, byte for byte; what is shown as text has every
 * invisible character made visible, so what is copied may be read here first.
 */
import { getLines } from "./api.js";
import { canCheck, checkAround } from "./check.js";
import { checkReport } from "./checkreport.js";
import { ago, exactTime, instant, isLocal } from "./clock.js";
import { copyButton } from "./clipboard.js";
import { h, plural } from "./dom.js";
import { decode } from "./entry.js";
import { bytes, clip, count, plain, visible } from "./text.js";

const FIELDS = 200;
const SHOWN = 4000;

/** @param {import("./entry.js").Entry} entry */
export function detailOf(entry, context) {
  const panel = h("div", { class: "detail", role: "group", "aria-label": `Event #${entry.id}` });
  if (entry.line !== null) fill(panel, entry, entry.line, context);
  else load(panel, entry, context);
  return panel;
}

async function load(panel, entry, context) {
  panel.append(h("p", { class: "muted" }, "Loading the event…"));
  try {
    const [line] = await getLines(new URLSearchParams({ after: String(entry.id - 1), limit: "1" }));
    panel.replaceChildren();
    fill(panel, entry, line, context);
  } catch (error) {
    panel.replaceChildren(h("p", { class: "bad" }, `The event could not be loaded: ${error.message}.`));
  }
}

function fill(panel, entry, line, context) {
  const event = decode(line);
  const report = h("div", { class: "check", "aria-live": "polite" });
  panel.append(actions(entry, line, report, context), report);
  if (event) panel.append(members(event, context), payload(event.payload, context));
  const size = new TextEncoder().encode(line).length;
  panel.append(
    h(
      "details",
      { class: "stored" },
      h("summary", {}, `Stored line, ${bytes(size)}`),
      h("pre", { tabindex: 0, "aria-label": "Stored line" }, visible(clip(line, 65536))),
    ),
  );
}

function actions(entry, line, report, { onContext }) {
  const check = h("button", { type: "button", class: "quiet" }, "Check in this browser");
  check.addEventListener("click", () => runCheck(entry.id, check, report, onContext));
  const link = `${location.origin}/?event=${entry.id}`;
  return h(
    "div",
    { class: "actions" },
    check,
    copyButton("Copy JSON", async () => line),
    copyButton("Copy link", async () => link),
    h("button", { type: "button", class: "quiet", onclick: () => onContext(entry.id) }, "Show in context"),
  );
}

async function runCheck(id, button, report, onContext) {
  if (!canCheck()) {
    report.replaceChildren(
      h("p", { class: "bad" }, "Browsers offer WebCrypto only over https and on localhost: not checked."),
    );
    return;
  }
  button.disabled = true;
  try {
    report.replaceChildren(checkReport(await checkAround(id), onContext));
  } catch (error) {
    report.replaceChildren(h("p", { class: "bad" }, `Not checked: ${error.message}.`));
  } finally {
    button.disabled = false;
  }
}

function members(event, { onFilter }) {
  const ms = Date.parse(event.timestamp);
  const other = isLocal() ? new Date(ms).toISOString() : new Date(ms).toLocaleString();
  const rows = [
    ["timestamp", [visible(exactTime(event.timestamp)), h("span", { class: "muted" }, ` ${ago(ms)}`)]],
    ["kind", [visible(event.kind), only(`kind ${plain(event.kind)}`, () => onFilter({ kinds: [event.kind] }))]],
    [
      "source",
      [visible(event.source), only(`source ${plain(event.source)}`, () => onFilter({ sources: [event.source] }))],
    ],
    ["hash", [visible(event.hash)]],
    ["prev_hash", [visible(event.prev_hash)]],
  ];
  if (!Number.isNaN(ms)) rows[0][1][1].title = isLocal() ? other : `${other} local time (${instant(ms)})`;
  return table("Event", rows);
}

function payload(value, { onFilter }) {
  const fields = [];
  const more = flatten(value, "", fields);
  const rows = fields.map(({ path, key, value: leaf }) => {
    const text = typeof leaf === "string" ? leaf : JSON.stringify(leaf);
    const cell = [h("span", { class: typeof leaf }, visible(clip(text, SHOWN)))];
    const needle = key === null ? null : `${JSON.stringify(key)}:${JSON.stringify(leaf)}`;
    if (needle && needle.length <= 512) {
      cell.push(only(`${plain(path)} ${plain(clip(text, 60))}`, () => onFilter({ contains: needle })));
    }
    return [clip(path, 300), cell];
  });
  const result = table("Payload", rows);
  if (!rows.length) result.append(h("p", { class: "muted" }, "The payload is empty."));
  if (more) {
    result.append(
      h("p", { class: "muted" }, `${count(more)} more ${plural(more, "field")}: see the stored line.`),
    );
  }
  return result;
}

/** Leaves with their dotted paths into `fields`, up to its bound. @returns {number} how many more */
function flatten(value, path, fields, key = null) {
  const inner = value !== null && typeof value === "object" ? Object.entries(value) : [];
  if (!inner.length) {
    if (path === "") return 0;
    if (fields.length >= FIELDS) return 1;
    fields.push({ path, key, value });
    return 0;
  }
  const list = Array.isArray(value);
  let more = 0;
  for (const [name, member] of inner) {
    const step = list ? `${path}[${name}]` : path ? `${path}.${name}` : name || '""';
    more += flatten(member, step, fields, list ? null : name);
  }
  return more;
}

function table(title, rows) {
  const body = h("dl", { class: "fields" });
  for (const [name, cell] of rows) body.append(h("div", {}, h("dt", {}, visible(name)), h("dd", {}, ...cell)));
  return h("section", { class: "part" }, h("h3", {}, title), body);
}

const only = (what, work) =>
  h("button", { type: "button", class: "only", "aria-label": `Only ${what}`, onclick: work }, "only");
