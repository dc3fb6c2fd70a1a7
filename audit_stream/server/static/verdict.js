/**
 * What may be said about the chain, in words: the honest part of the page.
 *
 * Pure: from the last verification and the present head to sentences. Guarantees: never claims
 * more than was verified, always says up to where, and by what the end is vouched for, or that
 * nothing does.
 */
import { plural } from "./dom.js";
import { bytes, count } from "./text.js";

/**
 * @typedef {{verdict: string, checked: number, finished_at: string, first_break_at: number | null,
 *   byte_offset: number | null, reason: string | null, pinned: unknown,
 *   last_event_id: number}} Verification
 * @typedef {{tone: "none" | "good" | "warn" | "bad", title: string, facts: string[],
 *   verified: number, breakAt: number, unverified: number}} Verdict `verified` is the last event
 *   for which the chain was checked and holds; `breakAt` is 0 when no line fails
 */

/** @param {Verification | null} found @param {number} head @returns {Verdict} */
export function verdictOf(found, head) {
  const known = found && FORMS[found.verdict];
  if (!known) {
    return {
      tone: "none",
      title: found ? `Verdict: ${found.verdict}` : "Not verified yet",
      facts: found?.reason ? [sentence(found.reason)] : ["Nothing is known of this chain until it is verified."],
      verified: 0,
      breakAt: 0,
      unverified: head,
    };
  }
  const verified = found.checked;
  const unverified = Math.max(0, head - (found.last_event_id ?? verified));
  const verdict = { verified, breakAt: found.first_break_at ?? 0, unverified, ...known(found) };
  if (unverified) verdict.facts.push(newer(unverified));
  return verdict;
}

const FORMS = {
  intact: (found) => ({
    tone: "good",
    title: `Intact through #${found.checked}`,
    facts: ["Every line holds: form, number, link and hash.", vouched(found.pinned)],
  }),
  empty: (found) => ({ tone: "good", title: "Empty", facts: ["The ledger has no events.", vouched(found.pinned)] }),
  torn: (found) => ({
    tone: "warn",
    title: `Torn tail after #${found.checked}`,
    facts: [
      `All ${count(found.checked)} complete lines hold. An append was cut off at byte ${count(found.byte_offset ?? 0)}` +
        `${found.torn_tail_bytes ? ` (${bytes(found.torn_tail_bytes)} unfinished)` : ""}: ` +
        "it was never acknowledged, and the next append sets it aside.",
      vouched(found.pinned),
    ],
  }),
  broken: (found) => ({
    tone: "bad",
    title: `Broken at event #${found.first_break_at}`,
    facts: [
      `${sentence(found.reason)} Its line starts at byte ${count(found.byte_offset ?? 0)}.`,
      found.checked
        ? `Events #1 to #${found.checked} hold. Nothing can be said of #${found.first_break_at} and what follows it.`
        : "Nothing can be said of any event.",
    ],
  }),
  truncated: (found) => ({
    tone: "bad",
    title: "Cut short",
    facts: [sentence(found.reason), `The ${count(found.checked)} events that are left link, but there were more.`],
  }),
  rewritten: (found) => ({
    tone: "bad",
    title: "Rewritten",
    facts: [sentence(found.reason), `The ${count(found.checked)} events link, but they are not the ones vouched for.`],
  }),
};

const newer = (n) =>
  `${count(n)} newer ${plural(n, "event has", "events have")} not been verified yet.`;

function vouched(pinned) {
  if (pinned === null || pinned === undefined || pinned === false) {
    return "Nothing outside the file vouches for its end: the newest events could be cut off, or all of them rewritten, unseen.";
  }
  return `Its end is vouched for by ${name(pinned)}.`;
}

function name(pinned) {
  if (typeof pinned === "string") return pinned;
  if (typeof pinned !== "object") return "a pin";
  const parts = Object.entries(pinned).filter(([, value]) => value !== null && typeof value !== "object");
  return parts.map(([key, value]) => `${key.replaceAll("_", " ")} ${value}`).join(", ") || "a pin";
}

/** A reason as a sentence of its own; the words stay the server's. */
function sentence(reason) {
  if (!reason) return "No reason was given.";
  return /[.!?]$/.test(reason) ? reason : `${reason}.`;
}
