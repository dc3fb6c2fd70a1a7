/**
 * What may be said about the chain, in words: from the last verification and the present head to
 * sentences. Never more than was verified; always up to where, and by what the end is vouched for, or
 * that nothing does.
 */
import { plural } from "./dom.js";
import { bytes, count } from "./text.js";

/** `verified`: the chain holds up to that event. `breakAt`: 0 when no line fails. `tone`: none, good, warn, bad. */
export function verdictOf(found, head) {
	const form = found && FORMS[found.verdict];
	if (!form) {
		const facts = [found?.reason ? sentence(found.reason) : "Nothing is known of this chain until it is verified."];
		return { tone: "none", title: found?.verdict ?? "Not verified yet", facts, verified: 0, breakAt: 0 };
	}
	const [tone, title, ...facts] = form(found);
	const newer = head - (found.last_event_id ?? found.checked);
	if (newer > 0 && tone !== "bad") facts.push(`${count(newer)} newer ${plural(newer, "event has", "events have")} not been verified yet.`);
	const vouched = tone !== "bad" || found.first_break_at;
	return { tone, title, facts, verified: vouched ? found.checked : 0, breakAt: found.first_break_at ?? 0 };
}

const FORMS = {
	intact: ({ checked, pinned }) => [
		"good",
		`Intact through #${checked}`,
		"Every line holds: form, number, link and hash.",
		vouched(pinned),
	],
	empty: ({ pinned }) => ["good", "Empty", "The ledger has no events.", vouched(pinned)],
	torn: ({ checked, byte_offset: at, torn_tail_bytes: size, pinned }) => [
		"warn",
		`Torn tail after #${checked}`,
		`All ${count(checked)} complete lines hold. An append was cut off at byte ${count(at ?? 0)}` +
			`${size ? ` (${bytes(size)} unfinished)` : ""}: it was never acknowledged, and the next one sets it aside.`,
		vouched(pinned),
	],
	broken: ({ checked, first_break_at: at, byte_offset: offset, reason }) => [
		"bad",
		`Broken at event #${at}`,
		`Reason: ${reason}, in the line at byte ${count(offset ?? 0)}.`,
		`${checked ? `Events #1 to #${checked} hold. ` : ""}Nothing can be said of #${at} and what follows it.`,
	],
	truncated: ({ reason }) => ["bad", "Cut short", sentence(reason), "What is left links, but there was more."],
	rewritten: ({ reason }) => ["bad", "Rewritten", sentence(reason), "The chain links, but is not the one vouched for."],
};

function vouched(by) {
	if (!by) return "Nothing outside the file vouches for its end: events could be cut off there, or all rewritten, unseen.";
	const name = typeof by === "object" ? Object.entries(by).map((pair) => pair.join(" ")).join(", ") : String(by);
	return `Its end is vouched for by ${name.replaceAll("_", " ")}.`;
}

/** The words stay the server's. */
const sentence = (reason) => (/[.!?]$/.test(reason) ? reason : `${reason ?? "No reason was given"}.`);
