/**
 * Checking an event in this browser, so that nobody has to take the server's word for it.
 *
 * It starts from the stored bytes and does what the format document asks of a verifier: canonical
 * form (RFC 8785; JavaScript's own number and string printing is its definition), number, link,
 * SHA-256 of the line with its `"hash":"…",` member cut out. Nothing here touches the page.
 */
import { getBytes } from "./api.js";

const LF = 10;
const START = /^\{"event_id":([1-9]\d{0,15}),("hash":"([0-9a-f]{64})",)/;
export const ZERO_HASH = "0".repeat(64);

/**
 * @typedef {{id: number, position: number, canonical: boolean, stored: string, computed: string,
 *   prevHash: string, hashMatches: boolean}} Checked
 */

export const canCheck = () => Boolean(globalThis.crypto?.subtle);

/** The event and its neighbours, each checked; a neighbour that does not exist is null. */
export async function checkAround(id) {
  const after = Math.max(0, id - 2);
  const query = new URLSearchParams({ after: String(after), limit: String(id - after + 1) });
  const lines = splitLines(await getBytes(query));
  const checked = await Promise.all(lines.map((line, index) => checkLine(line, after + index + 1)));
  const at = id - after - 1;
  return { before: checked[at - 1] ?? null, event: checked[at] ?? null, next: checked[at + 1] ?? null };
}

/** @param {Uint8Array} bytes */
export function splitLines(bytes) {
  const lines = [];
  for (let start = 0, end; (end = bytes.indexOf(LF, start)) >= 0; start = end + 1) {
    lines.push(bytes.subarray(start, end));
  }
  return lines;
}

/**
 * @param {Uint8Array} line without its LF
 * @param {number} position the number it should carry
 * @returns {Promise<Checked>}
 */
export async function checkLine(line, position) {
  const event = parseStrictly(line);
  const head = START.exec(new TextDecoder("latin1").decode(line.subarray(0, 128)));
  if (!event || !head) {
    return { id: position, position, canonical: false, stored: "", computed: "", prevHash: "", hashMatches: false };
  }
  const cut = head[0].length - head[2].length;
  const rest = new Uint8Array(line.length - head[2].length);
  rest.set(line.subarray(0, cut));
  rest.set(line.subarray(head[0].length), cut);
  const computed = hex(await crypto.subtle.digest("SHA-256", rest));
  return {
    id: Number(head[1]),
    position,
    canonical: sameBytes(new TextEncoder().encode(canonical(event)), line),
    stored: head[3],
    computed,
    prevHash: String(event.prev_hash),
    hashMatches: computed === head[3],
  };
}

function parseStrictly(line) {
  try {
    const event = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(line));
    return event !== null && typeof event === "object" ? event : null;
  } catch {
    return null;
  }
}

/** RFC 8785: members sorted by UTF-16 code units, which is how `sort` compares. */
export function canonical(value) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  const members = Object.keys(value).sort();
  return `{${members.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(",")}}`;
}

const hex = (buffer) =>
  Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");

const sameBytes = (a, b) => a.length === b.length && a.every((byte, index) => byte === b[index]);
