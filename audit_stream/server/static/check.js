/**
 * Checking an event here, so that nobody has to take the server's word for it. From the stored bytes it
 * does what the format asks of a verifier: canonical form (RFC 8785: as JavaScript prints numbers
 * and strings), link, and the SHA-256 of the line with its `"hash":"…",` cut out.
 */
import { getBytes } from "./api.js";
import { button, h } from "./dom.js";

const LF = 10;
const START = /^\{"event_id":([1-9]\d{0,15}),("hash":"([0-9a-f]{64})",)/;
const ZERO_HASH = "0".repeat(64);

/** The event and its neighbours, checked; one that is not there is undefined. */
async function checkAround(id) {
	const lines = splitLines(await getBytes(`after=${Math.max(0, id - 2)}&limit=3`));
	const checked = await Promise.all(lines.map(checkLine));
	return [id - 1, id, id + 1].map((number) => checked.find((link) => link.id === number));
}

function splitLines(bytes) {
	const lines = [];
	for (let start = 0, end; (end = bytes.indexOf(LF, start)) >= 0; start = end + 1) lines.push(bytes.subarray(start, end));
	return lines;
}

/** `line` is without its LF. */
async function checkLine(line) {
	const event = parse(line);
	const head = START.exec(new TextDecoder("latin1").decode(line.subarray(0, 128)));
	if (!event || !head) return {};
	const [all, id, member, stored] = head;
	const rest = new Uint8Array(line.length - member.length);
	rest.set(line.subarray(0, all.length - member.length));
	rest.set(line.subarray(all.length), all.length - member.length);
	const computed = hex(await crypto.subtle.digest("SHA-256", rest));
	const form = new TextEncoder().encode(canonical(event));
	return {
		id: Number(id),
		stored,
		computed,
		prevHash: String(event.prev_hash),
		canonical: form.length === line.length && form.every((byte, at) => byte === line[at]),
		hashed: computed === stored,
	};
}

function parse(line) {
	try {
		const event = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line));
		return typeof event === "object" ? event : null;
	} catch {
		return null;
	}
}

/** RFC 8785: members sorted by UTF-16 code units, which is how `sort` compares. */
function canonical(value) {
	if (value === null || typeof value !== "object") return JSON.stringify(value);
	if (Array.isArray(value)) return `[${value.map(canonical)}]`;
	return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`)}}`;
}

const hex = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Checks, and returns what was found as an element. */
export async function checkReport(id, onContext) {
	if (!globalThis.crypto?.subtle) {
		return h("p.bad", "Not checked: browsers offer WebCrypto only over https and on localhost.");
	}
	const [before, event, next] = await checkAround(id);
	if (!event) return h("p.bad", "Not checked: the server does not give this line out.");
	const tests = [
		[event.canonical, "the stored bytes are canonical JSON", "the stored bytes are not a canonical event"],
		[
			event.hashed,
			`its SHA-256 is its hash, ${event.computed}`,
			`its SHA-256 is ${event.computed}, its hash says ${event.stored}`,
		],
		linkTest(before, event),
	];
	if (next) tests.push(linkTest(event, next));
	const good = tests.every(([holds]) => holds);
	return h(
		"div",
		h(good ? "p.good" : "p.bad", `Event #${id} ${good ? "holds: checked here, from its stored bytes." : "does not hold."}`),
		chain([before, event, next].filter(Boolean), event, onContext),
		h("ul.tests", ...tests.map(([holds, yes, no]) => h(holds ? "li.good" : "li.bad", holds ? yes : no))),
	);
}

function linkTest(before, event) {
	const self = `#${event.id}`;
	const other = `#${event.id - 1}`;
	if (event.id === 1) return [event.prevHash === ZERO_HASH, "it is the first: its prev_hash is zeros", "its prev_hash must be zeros"];
	if (!before) return [false, "", `${self} links to ${other}, whose line is damaged`];
	const named = event.prevHash === before.stored;
	return [
		named && before.hashed,
		`${self} links to ${other}`,
		named ? `${self} links to ${other}, whose own hash does not hold` : `${self} names ${event.prevHash}, not the hash of ${other}`,
	];
}

function chain(links, self, onContext) {
	const items = links.map((link, index) => {
		const holds = link.canonical && link.hashed;
		const cut = index > 0 && link.prevHash !== links[index - 1].stored;
		const name = `#${link.id}`;
		return h(
			`li${holds ? "" : ".fails"}${cut ? ".cut" : ""}${link === self ? ".self" : ""}`,
			button(name, () => onContext(link.id), { "aria-label": `${name} ${holds ? "holds" : "does not hold"}` }),
			h("code", link.stored.slice(0, 12)),
		);
	});
	return h("ol.links", { "aria-label": "The event and its neighbours" }, ...items);
}
