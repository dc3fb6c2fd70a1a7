/**
 * Server-sent events over `fetch` (the grammar is the HTML standard's, section 9.2.6).
 *
 * `EventSource` was not taken: it hides the status (a 401 and a dead server look alike), gives up
 * for good on 204, 503 and a wrong content type, and hides the keep-alive comments, without which
 * a connection that died quietly is never noticed.
 *
 * Guarantees: resolves when the server ends the stream; rejects with a `Problem` when it was not a
 * stream, and with the signal's reason when it was aborted.
 */
import { Problem, ask, problemOf } from "./api.js";

/**
 * @param {string} path
 * @param {{signal: AbortSignal, onOpen?: () => void, onBytes?: () => void,
 *   onEvent: (type: string, data: string, id: string) => void}} options
 */
export async function readStream(path, { signal, onOpen, onBytes, onEvent }) {
  const response = await ask(path, { signal, headers: { accept: "text/event-stream" } });
  const type = response.headers.get("content-type") ?? "";
  if (response.status !== 200 || !response.body || !/^text\/event-stream\b/i.test(type)) {
    if (!response.ok) throw await problemOf(response);
    throw new Problem(response.status, "the server did not answer with a stream");
  }
  onOpen?.();
  const feed = parser(onEvent);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    onBytes?.();
    feed(value);
  }
}

/** @returns {(text: string) => void} takes text in any pieces and reports whole events */
export function parser(onEvent) {
  let rest = "";
  let type = "";
  let id = "";
  let data = [];

  function field(line) {
    if (line === "") {
      if (data.length) onEvent(type || "message", data.join("\n"), id);
      type = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "data") data.push(value);
    else if (name === "event") type = value;
    else if (name === "id") id = value;
  }

  return (text) => {
    let from = rest.length;
    rest += text;
    let start = 0;
    for (let end; (end = rest.indexOf("\n", from)) >= 0; from = start) {
      field(rest.slice(start, rest[end - 1] === "\r" ? end - 1 : end));
      start = end + 1;
    }
    rest = rest.slice(start);
  };
}
