/**
 * The only place that talks to the server. Every failure is a `Problem` with a sentence for people,
 * whether the server explained itself (RFC 9457), answered nonsense, or was not there.
 */
export class Problem extends Error {
	/** `status` is 0 when there was no answer; `retryAfter` is in seconds. */
	constructor(status, detail, retryAfter = 0) {
		Object.assign(super(detail), { status, retryAfter });
	}
}

async function ask(path, accept, options) {
	try {
		return await fetch(path, { cache: "no-store", headers: { accept }, ...options });
	} catch (error) {
		throw error.name === "AbortError" ? error : new Problem(0, "the server does not answer");
	}
}

async function good(path, accept, options) {
	const response = await ask(path, accept, options);
	if (response.ok) return response;
	const body = await response.json().catch(() => ({}));
	const detail = body?.detail || body?.title || `the server answered ${response.status}`;
	throw new Problem(response.status, String(detail), Number(response.headers.get("retry-after")) || 0);
}

/** `form` is the name of the method of `Response` that reads it. */
async function get(path, accept, form) {
	const response = await good(path, accept);
	return response[form]().catch(() => {
		throw new Problem(0, "the answer broke off");
	});
}

export const getJson = (path, query = "") => get(`${path}?${query}`, "application/json", "json");

/** Stored lines, byte for byte. */
export const getBytes = async (query) =>
	new Uint8Array(await get(`/events?${query}`, "application/x-ndjson", "arrayBuffer"));

/** Stored lines as text, oldest first; split on LF alone, for a payload may hold any other break. */
export const getLines = async (query) =>
	new TextDecoder().decode(await getBytes(query)).split("\n").filter(Boolean);

export const signIn = (token) =>
	good("/session", "*/*", {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ token }),
	});

export const signOut = () => good("/session", "*/*", { method: "DELETE" });

/** `/readyz` says why it is not ready with a 503, which is an answer and not a failure. */
export async function getReadiness() {
	const response = await ask("/readyz", "application/json");
	const now = Date.parse(response.headers.get("date"));
	return { ready: response.ok, now, ...(await response.json().catch(() => ({}))) };
}

/**
 * Server-sent events over `fetch`; returns when the server ends them. `EventSource` hides the status (a
 * 401 and a dead server look alike), gives up for good on 204, 503 and a wrong type, and hides the
 * keep-alive comments, without which a connection that died quietly is never noticed.
 */
export async function readStream(path, { signal, onOpen, onBytes, onEvent }) {
	const response = await good(path, "text/event-stream", { signal });
	if (!response.body || !/^text\/event-stream\b/i.test(response.headers.get("content-type"))) {
		throw new Problem(response.status, "the server did not answer with a stream");
	}
	onOpen?.();
	const feed = parser(onEvent);
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	for (let piece; !(piece = await reader.read()).done; ) {
		onBytes?.();
		feed(piece.value);
	}
}

/** HTML standard, section 9.2.6, for text in any pieces. */
function parser(onEvent) {
	let rest = "";
	let type = "";
	let id = "";
	let data = [];
	function take(line) {
		if (line === "") {
			if (data.length) onEvent(type || "message", data.join("\n"), id);
			type = "";
			data = [];
		}
		const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
		if (name === "data") data.push(value);
		else if (name === "event") type = value;
		else if (name === "id") id = value;
	}
	return (text) => {
		let start = 0;
		let from = rest.length;
		rest += text;
		for (let end; (end = rest.indexOf("\n", from)) >= 0; start = from = end + 1) {
			take(rest.slice(start, end - (rest[end - 1] === "\r")));
		}
		rest = rest.slice(start);
	};
}
