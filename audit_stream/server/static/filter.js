/**
 * What the reader asked to see, and its faces: the page's address (with the names of `GET /events`;
 * nonsense in it is left out), the server's query, the test of a live event.
 */
export const RANGES = { "1h": 3600, "24h": 86400 };

/** `event` is 0 when no single event is asked for. */
export const everything = () => parse("");

export function parse(search) {
	const query = new URLSearchParams(search);
	const text = (name) => query.get(name) ?? "";
	const range = Object.hasOwn(RANGES, text("range")) ? text("range") : "";
	const time = (name) => (range || Number.isNaN(Date.parse(text(name))) ? "" : text(name));
	return {
		kinds: [...new Set(query.getAll("kind"))],
		sources: [...new Set(query.getAll("source"))],
		contains: text("contains"),
		range,
		since: time("since"),
		until: time("until"),
		event: /^[1-9]\d{0,15}$/.test(text("event")) ? Number(text("event")) : 0,
	};
}

/** The page's query string, "" or beginning with "?". */
export function format(filter) {
	const query = terms(filter);
	for (const name of ["range", "since", "until", "event"]) if (filter[name]) query.set(name, filter[name]);
	return String(query) && `?${query}`;
}

function terms({ kinds, sources, contains }) {
	const query = new URLSearchParams();
	for (const kind of kinds) query.append("kind", kind);
	for (const source of sources) query.append("source", source);
	if (contains) query.set("contains", contains);
	return query;
}

/** The time asked for, as it stands now. */
export function span({ range, since, until }) {
	if (!range) return { since, until };
	return { since: new Date(Date.now() - RANGES[range] * 1000).toISOString(), until: "" };
}

/** For `GET /events` and `GET /stats`. */
export function query(filter) {
	const result = terms(filter);
	for (const [name, value] of Object.entries(span(filter))) if (value) result.set(name, value);
	return result;
}

/** For `GET /events/stream`, which filters by kind and source alone; `admits` is the rest of the test. */
export const streamQuery = (filter) => terms({ ...filter, contains: "" });

export function admits(filter, entry, line) {
	const { since, until } = span(filter);
	return (
		line.includes(filter.contains) &&
		(!since || entry.time >= Date.parse(since)) &&
		(!until || entry.time < Date.parse(until))
	);
}
