/**
 * Which colour a kind has.
 *
 * Guarantees: a kind keeps its colour as long as the page is open; the most frequent kinds get the
 * colours that are easy to tell apart, the rest share one. Colours live in the style sheet
 * (`.k0` … `.k7`), so they follow the scheme.
 */

const DISTINCT = 7;
const REST = `k${DISTINCT}`;

export class Colours {
  constructor() {
    this.given = new Map();
  }

  /** @param {string[]} kinds most frequent first @returns {boolean} whether any got its colour now */
  learn(kinds) {
    const before = this.given.size;
    for (const kind of kinds) {
      if (this.given.size >= DISTINCT) break;
      if (!this.given.has(kind)) this.given.set(kind, `k${this.given.size}`);
    }
    return this.given.size !== before;
  }

  of(kind) {
    return this.given.get(kind) ?? REST;
  }
}
