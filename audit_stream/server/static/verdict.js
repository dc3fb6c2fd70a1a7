/**
 * What may be said about the chain, in words: from the last verification and the present head to
 * sentences. Never more than was verified; always up to where, and by what the end is vouched for, or
 * that nothing does.
 */
import { plural } from "./dom.js";
import { count } from "./text.js";

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
	intact: (found) => [
		"good",
		`Intact through #${found.checked}`,
		"Every line holds: form, number, link and hash.",
		vouched(found),
	],
	empty: (found) => ["good", "Empty", "The ledger has no events.", vouched(found)],
	torn: (found) => [
		"warn",
		`Torn tail after #${found.checked}`,
		`All ${count(found.checked)} complete lines hold. An append was cut off at byte ${count(found.byte_offset)}: ` +
			"it was never acknowledged, and the next one sets it aside.",
		vouched(found),
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

function vouched({ checked, pinned }) {
	if (!pinned) return "Nothing outside the file vouches for its end: events could be cut off there, or all rewritten, unseen.";
	const rest = checked - pinned.event_id;
	const known = `A ${pinned.by} vouches for it up to #${pinned.event_id}`;
	return rest > 0 ? `${known}; nothing outside the file vouches for the ${count(rest)} behind it.` : `${known}, its end.`;
}

/** The words stay the server's. */
const sentence = (reason) => (/[.!?]$/.test(reason) ? reason : `${reason ?? "No reason was given"}.`);
