/**
 * The only place that talks to the server (streams apart, which `sse.js` reads).
 *
 * Guarantees: every address is a path of this origin; every failure is a `Problem` with a sentence
 * for people, whether the server explained itself (RFC 9457), answered nonsense, or was not there.
 */

export class Problem extends Error {
  /** @param {number} status the HTTP status, 0 when there was no answer */
  constructor(status, detail, retryAfter = 0) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** @param {Response} response */
export async function problemOf(response) {
  let detail = "";
  try {
    const body = await response.json();
    detail = typeof body.detail === "string" ? body.detail : (body.title ?? "");
  } catch {
    /* not JSON: the status alone has to do */
  }
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  return new Problem(response.status, detail || `the server answered ${response.status}`, retryAfter);
}

/** @returns {Promise<Response>} whatever the status */
export async function ask(path, options = {}) {
  try {
    return await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "the server does not answer");
  }
}

async function good(path, options) {
  const response = await ask(path, options);
  if (!response.ok) throw await problemOf(response);
  return response;
}

const withQuery = (path, query) => (String(query) ? `${path}?${query}` : path);

export async function getJson(path, query = "", signal = undefined) {
  const response = await good(withQuery(path, query), {
    signal,
    headers: { accept: "application/json" },
  });
  return response.json();
}

/** Stored lines, byte for byte. */
export async function getBytes(query, signal = undefined) {
  const response = await good(withQuery("/events", query), {
    signal,
    headers: { accept: "application/x-ndjson" },
  });
  return new Uint8Array(await response.arrayBuffer());
}

/** Stored lines as text, oldest first. Split on LF alone: a payload may hold any other break. */
export async function getLines(query, signal = undefined) {
  const text = new TextDecoder().decode(await getBytes(query, signal));
  return text.split("\n").filter((line) => line !== "");
}

export const getSession = () => getJson("/session");

export const signIn = (token) =>
  good("/session", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });

export const signOut = () => good("/session", { method: "DELETE" });

/** `/readyz` says why it is not ready with a 503, which is an answer and not a failure. */
export async function getReadiness() {
  const response = await ask("/readyz", { headers: { accept: "application/json" } });
  const body = await response.json().catch(() => null);
  if (body === null || typeof body !== "object") throw new Problem(response.status, "no readiness");
  return { ready: response.ok, ...body };
}
