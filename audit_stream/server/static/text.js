/**
 * Hostile text made harmless to the eye: overrides that turn a line around, characters without a shape,
 * controls are shown as their code points. Long words and piles of marks are the style sheet's part.
 */
import { h } from "./dom.js";

// U+FE0E and U+FE0F only choose between two shapes of an emoji: left alone.
const UNSEEN = /(?![\uFE0E\uFE0F])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;
const name = (char) => `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;

/** The text as an element, isolated from the direction of what surrounds it. */
export function visible(text) {
	const isolate = h("bdi");
	let at = 0;
	for (const { 0: char, index } of text.matchAll(UNSEEN)) {
		isolate.append(text.slice(at, index), h("span.unseen", name(char)));
		at = index + char.length;
	}
	isolate.append(text.slice(at));
	return isolate;
}

/** The same for places that take only a string: tooltips and accessible names. */
export const plain = (text) => text.replace(UNSEEN, (char) => `‹${name(char)}›`);

/** At most `length` UTF-16 units, never half a character. */
export function clip(text, length) {
	if (text.length <= length) return text;
	return `${text.slice(0, length - /[\uD800-\uDBFF]/.test(text[length - 1]))}…`;
}

const grouped = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
export const count = (n) => grouped.format(n);
export const compact = (n) => short.format(n);

export function bytes(n) {
	let unit = 0;
	for (; n >= 1000; unit += 1) n /= 1000;
	return `${unit && n < 100 ? n.toFixed(1) : Math.round(n)} ${["B", "KB", "MB", "GB", "TB"][unit]}`;
}
