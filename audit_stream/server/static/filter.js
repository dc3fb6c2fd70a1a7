/**
 * What the reader asked to see: one value, and its three faces.
 *
 * The page's address, the server's query and the test of a live event are all made here, so a link
 * shows its receiver what its sender saw. The names in the address are those of `GET /events`.
 *
 * Guarantees: `parse(format(f))` is `f`; an address with nonsense in it gives a filter without
 * the nonsense.
 */

export const RANGES = { "1h": 3600, "24h": 86400 };

/**
 * @typedef {{kinds: string[], sources: string[], contains: string, range: string, since: string,
 *   until: string, event: number}} Filter `event` is 0 when no single event is asked for
 */

/** @returns {Filter} */
export const everything = () => ({
  kinds: [],
  sources: [],
  contains: "",
  range: "",
  since: "",
  until: "",
  event: 0,
});

const time = (text) => (text && !Number.isNaN(Date.parse(text)) ? text : "");

/** @param {string} search the page's query string @returns {Filter} */
export function parse(search) {
  const query = new URLSearchParams(search);
  const range = query.get("range") ?? "";
  const event = query.get("event") ?? "";
  return {
    kinds: [...new Set(query.getAll("kind"))],
    sources: [...new Set(query.getAll("source"))],
    contains: query.get("contains") ?? "",
    range: range in RANGES ? range : "",
    since: range in RANGES ? "" : time(query.get("since")),
    until: range in RANGES ? "" : time(query.get("until")),
    event: /^[1-9]\d{0,15}$/.test(event) ? Number(event) : 0,
  };
}

/** @param {Filter} filter @returns {string} the page's query string, "" or beginning with "?" */
export function format(filter) {
  const query = terms(filter);
  if (filter.range) query.set("range", filter.range);
  if (filter.since) query.set("since", filter.since);
  if (filter.until) query.set("until", filter.until);
  if (filter.event) query.set("event", String(filter.event));
  return String(query) && `?${query}`;
}

function terms({ kinds, sources, contains }) {
  const query = new URLSearchParams();
  for (const kind of kinds) query.append("kind", kind);
  for (const source of sources) query.append("source", source);
  if (contains) query.set("contains", contains);
  return query;
}

/** @returns {{since: string, until: string}} the time asked for, as it stands now */
export function span(filter, now = Date.now()) {
  const seconds = RANGES[filter.range];
  if (seconds) return { since: new Date(now - seconds * 1000).toISOString(), until: "" };
  return { since: filter.since, until: filter.until };
}

/** @param {Filter} filter @returns {URLSearchParams} for `GET /events` and `GET /stats` */
export function query(filter) {
  const result = terms(filter);
  const { since, until } = span(filter);
  if (since) result.set("since", since);
  if (until) result.set("until", until);
  return result;
}

/** @returns {URLSearchParams} for `GET /events/stream`, which filters by kind and source alone */
export const streamQuery = (filter) => terms({ ...filter, contains: "" });

/** The rest of the test, for an event that came through `streamQuery`. */
export function admits(filter, entry, line) {
  if (filter.contains && !line.includes(filter.contains)) return false;
  const { since, until } = span(filter);
  if (since && !(entry.time >= Date.parse(since))) return false;
  return !until || entry.time < Date.parse(until);
}

export const isNarrow = (filter) => format({ ...filter, event: 0 }) !== "";
