/**
 * Times as people read them. In UTC the digits of a whole event are the ledger's own, to the
 * microsecond; local time goes through the browser's clock, which knows milliseconds.
 */
import { choose, chosen } from "./choices.js";

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
let local = chosen("zone") === "local";

export const isLocal = () => local;

export function useLocal(yes) {
	local = yes;
	choose("zone", yes ? "local" : "utc");
}

const shift = (ms) => -new Date(ms).getTimezoneOffset();

/** The date and the time of an instant in the zone on show. */
function parts(ms) {
	const [date, time] = new Date(local ? ms + shift(ms) * 60000 : ms).toISOString().split("T");
	const [year, month, day] = date.split("-");
	return { date, time, year: Number(year), day: `${MONTHS[month - 1]} ${day}` };
}

/** For a row: `Nov 24 04:33:19.019`. */
export function rowTime(ms) {
	if (Number.isNaN(ms)) return "no valid time";
	const { time, year, day } = parts(ms);
	return year === new Date().getFullYear() ? `${day} ${time.slice(0, 12)}` : `${year} ${day} ${time.slice(0, 8)}`;
}

/** `2026-11-24 04:33:19 UTC`, or local with its offset. */
export function instant(ms) {
	const { date, time } = parts(ms);
	const minutes = Math.abs(shift(ms));
	const two = (n) => String(Math.floor(n)).padStart(2, "0");
	const zone = local ? `${shift(ms) < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}` : "UTC";
	return `${date} ${time.slice(0, 8)} ${zone}`;
}

/** A stored timestamp with all its digits. */
export function exactTime(stored) {
	const utc = /^(.+)[Tt](.+)(?:[Zz]|\+00:00)$/.exec(stored);
	if (utc && !local) return `${utc[1]} ${utc[2]} UTC`;
	const ms = Date.parse(stored);
	return Number.isNaN(ms) ? stored : instant(ms);
}

/** As little as tells buckets of this width apart. */
export function bucketTime(ms, seconds, withDay) {
	const { time, year, day } = parts(ms);
	if (seconds >= 86400) return seconds < 28 * 86400 ? day : `${day.slice(0, 3)} ${year}`;
	return `${withDay ? `${day} ` : ""}${time.slice(0, seconds < 60 ? 8 : 5)}`;
}

/** `3 s ago`. */
export function ago(ms) {
	const seconds = Math.round((Date.now() - ms) / 1000);
	const size = Math.abs(seconds);
	if (Number.isNaN(seconds)) return "";
	if (size < 2) return "now";
	const [unit, name] = size < 60 ? [1, "s"] : size < 3600 ? [60, "min"] : size < 86400 ? [3600, "h"] : [86400, "d"];
	const amount = `${Math.floor(size / unit)} ${name}`;
	return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

/** The value of a `datetime-local` field in the zone on show, and back. */
export function toField(iso) {
	if (!iso) return "";
	const { date, time } = parts(Date.parse(iso));
	return `${date}T${time.slice(0, 8)}`;
}

export function fromField(value) {
	const ms = Date.parse(local ? value : `${value}Z`);
	return Number.isNaN(ms) ? "" : new Date(ms).toISOString();
}
