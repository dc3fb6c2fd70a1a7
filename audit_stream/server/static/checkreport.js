/**
 * What the check in this browser found, drawn as the piece of chain that it is.
 *
 * Guarantees: the overall sentence is good only when every part of it is; each part names the two
 * values that it compared.
 */
import { ZERO_HASH } from "./check.js";
import { h } from "./dom.js";

/** @param {{before: Checked | null, event: Checked | null, next: Checked | null}} found */
export function checkReport({ before, event, next }, onContext) {
  if (!event) return h("p", { class: "bad" }, "The server no longer has this event.");
  const tests = [
    [event.canonical, "stored bytes are canonical JSON", "stored bytes are not the canonical form of an event"],
    [
      event.hashMatches,
      `SHA-256 of the stored line is its hash, ${event.computed}`,
      `SHA-256 of the stored line is ${event.computed || "unknown"}, but its hash says ${event.stored || "nothing"}`,
    ],
    [event.id === event.position, `its number is ${event.position}`, `its number should be ${event.position}, but is ${event.id}`],
    linkTest(before, event),
  ];
  if (next) tests.push(linkTest(event, next));
  const good = tests.every(([ok]) => ok);
  return h(
    "div",
    {},
    h(
      "p",
      { class: good ? "good" : "bad" },
      good
        ? `Event #${event.position} holds: checked here from its stored bytes.`
        : `Event #${event.position} does not hold.`,
    ),
    chain(before, event, next, onContext),
    h(
      "ul",
      { class: "tests" },
      ...tests.map(([ok, yes, no]) => h("li", { class: ok ? "good" : "bad" }, ok ? yes : no)),
    ),
  );
}

function linkTest(before, event) {
  const name = before ? `#${before.position}` : "the beginning";
  const expected = before ? before.stored : ZERO_HASH;
  return [
    event.prevHash === expected && (!before || before.hashMatches),
    before ? `#${event.position} links to ${name}` : "its prev_hash is 64 zeros, as the first event's must be",
    before && !before.hashMatches && event.prevHash === expected
      ? `#${event.position} links to ${name}, whose own hash does not hold`
      : `#${event.position} names ${event.prevHash || "nothing"}, but the hash of ${name} is ${expected || "unknown"}`,
  ];
}

function chain(before, event, next, onContext) {
  const links = h("ol", { class: "links", "aria-label": "The event and its neighbours" });
  const present = [before, event, next].filter(Boolean);
  present.forEach((link, index) => {
    const joined = index === 0 || link.prevHash === present[index - 1].stored;
    const holds = link.canonical && link.hashMatches;
    const label = `#${link.position} ${holds ? "holds" : "does not hold"}`;
    links.append(
      h(
        "li",
        { class: `${holds ? "holds" : "fails"}${joined ? "" : " cut"}${link === event ? " self" : ""}` },
        h(
          "button",
          { type: "button", class: "quiet", "aria-label": label, onclick: () => onContext(link.position) },
          `#${link.position}`,
        ),
        h("code", {}, (link.stored || "?").slice(0, 12)),
      ),
    );
  });
  return links;
}
