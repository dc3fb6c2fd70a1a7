/**
 * Times as people read them: exact in UTC or in local time, and relative.
 *
 * Guarantees: in UTC the digits shown are the ledger's own, to the microsecond; only local time
 * goes through the browser's clock, which knows milliseconds.
 */

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const STORED_UTC = /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d:\d\d:\d\d)(\.\d+)?(?:[Zz]|[+-]00:00)$/;

let local = readChoice() === "local";

function readChoice() {
  try {
    return localStorage.getItem("audit-stream.zone");
  } catch {
    return null; // storage may be forbidden: the choice then lasts as long as the page
  }
}

export const isLocal = () => local;

export function useLocal(yes) {
  local = yes;
  try {
    localStorage.setItem("audit-stream.zone", yes ? "local" : "utc");
  } catch {
    /* see readChoice */
  }
}

const two = (n) => String(n).padStart(2, "0");

/** @param {number} ms since the epoch @returns {[number, number, number, string, string]} */
function parts(ms) {
  const date = new Date(local ? ms - new Date(ms).getTimezoneOffset() * 60000 : ms);
  const [day, time] = date.toISOString().split("T");
  const [year, month, dayOfMonth] = day.replace(/^\+00/, "").split("-").map(Number);
  return [year, month, dayOfMonth, time.slice(0, 8), time.slice(8, 12)];
}

/** For a row of the log: `Nov 24 04:33:19.019`. */
export function rowTime(ms) {
  if (Number.isNaN(ms)) return "no valid time";
  const [year, month, day, time, fraction] = parts(ms);
  const date = `${MONTHS[month - 1]} ${two(day)}`;
  return year === new Date().getFullYear() ? `${date} ${time}${fraction}` : `${year} ${date} ${time}`;
}

/** For a whole event: date, time and zone, with all the digits there are. */
export function exactTime(timestamp) {
  const stored = STORED_UTC.exec(timestamp);
  if (!local && stored) {
    const [, year, month, day, time, fraction = ""] = stored;
    return `${year}-${month}-${day} ${time}${fraction} UTC`;
  }
  const ms = Date.parse(timestamp);
  return Number.isNaN(ms) ? timestamp : instant(ms);
}

/** `2026-11-24 04:33:19 UTC`, or the local form with its offset. */
export function instant(ms) {
  const [year, month, day, time] = parts(ms);
  return `${year}-${two(month)}-${two(day)} ${time} ${local ? offset(ms) : "UTC"}`;
}

function offset(ms) {
  const minutes = -new Date(ms).getTimezoneOffset();
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** For an axis or the caption of a bucket: as little as tells buckets of this width apart. */
export function bucketTime(ms, widthSeconds, withDay) {
  const [year, month, day, time] = parts(ms);
  const date = `${MONTHS[month - 1]} ${day}`;
  if (widthSeconds >= 28 * 86400) return `${MONTHS[month - 1]} ${year}`;
  if (widthSeconds >= 86400) return date;
  const clock = time.slice(0, widthSeconds < 60 ? 8 : 5);
  return withDay ? `${date} ${clock}` : clock;
}

const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [Infinity, 86400, "d"],
];

/** `3 s ago`; a time to come is `in 3 s`. */
export function ago(ms, now = Date.now()) {
  const seconds = Math.round((now - ms) / 1000);
  if (Number.isNaN(seconds)) return "";
  if (Math.abs(seconds) < 2) return "now";
  const [, size, unit] = STEPS.find(([below]) => Math.abs(seconds) < below);
  const amount = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return seconds < 0 ? `in ${amount}` : `${amount} ago`;
}

/** The value of a `datetime-local` field in the zone on show, and back. */
export function toField(iso) {
  if (!iso) return "";
  const [year, month, day, time] = parts(Date.parse(iso));
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}T${time}`;
}

export function fromField(value) {
  const ms = Date.parse(local ? value : `${value}Z`);
  return value && !Number.isNaN(ms) ? new Date(ms).toISOString() : "";
}
