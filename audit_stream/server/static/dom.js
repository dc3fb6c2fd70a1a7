/**
 * Building elements without markup.
 *
 * Guarantees: nothing here parses HTML, so no text can become an element, an attribute or a
 * script. The page runs under `require-trusted-types-for 'script'`; this file is why it can.
 */

/**
 * @param {string} tag
 * @param {Record<string, unknown>} [props] `on…` functions become listeners, null and false are
 *   left out, true is an empty attribute, everything else is an attribute.
 * @param {...(Node | string | number | null | undefined)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** @returns {any} */
export const byId = (id) => document.getElementById(id);

/** Sets an element's text only when it differs, so that a live region speaks only of changes. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const plural = (n, one, many = `${one}s`) => (n === 1 ? one : many);
