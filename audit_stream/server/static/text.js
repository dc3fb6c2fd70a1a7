/**
 * Hostile text made harmless to the eye.
 *
 * An event may hold any Unicode: overrides that turn a line around, characters without a shape
 * that make two values look alike, controls. Guarantees: what `visible` returns shows every one of
 * them as a labelled code point, and shows nothing else differently. Layout (very long words,
 * piles of combining marks) is the style sheet's part: such text stands in cells that isolate,
 * wrap or clip.
 */
import { h } from "./dom.js";

// U+FE0E and U+FE0F only choose between two shapes of an emoji: left alone.
const UNSEEN = /(?![\uFE0E\uFE0F])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;

const codePoint = (character) =>
  `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** @returns {DocumentFragment} the text, isolated from the direction of what surrounds it */
export function visible(text) {
  const isolate = h("bdi");
  let at = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > at) isolate.append(text.slice(at, match.index));
    isolate.append(h("span", { class: "unseen" }, codePoint(match[0])));
    at = match.index + match[0].length;
  }
  if (at < text.length) isolate.append(text.slice(at));
  return isolate;
}

/** The same for places that take only a string: tooltips and accessible names. */
export const plain = (text) => text.replace(UNSEEN, (character) => `‹${codePoint(character)}›`);

/** At most `length` UTF-16 units, never half a character. */
export function clip(text, length) {
  if (text.length <= length) return text;
  const cut = /[\uD800-\uDBFF]/.test(text[length - 1]) ? length - 1 : length;
  return `${text.slice(0, cut)}…`;
}

const grouped = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (n) => grouped.format(n);
export const compact = (n) => short.format(n);

export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let unit = 0;
  for (; n >= 1000 && unit < units.length - 1; unit += 1) n /= 1000;
  return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}
