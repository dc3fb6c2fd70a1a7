/**
 * Elements without markup. Nothing here parses HTML, so no text can become an element, an attribute
 * or a script: the page runs under `require-trusted-types-for 'script'`, and this is why it can.
 */
export const byId = (id) => document.getElementById(id);
export const on = (id, type, work) => byId(id).addEventListener(type, work);
export const plural = (n, one, many = `${one}s`) => (n === 1 ? one : many);

/** `h("li.chip", {title: "…", onclick: f}, "text", node)`: null and false are left out. */
export function h(name, ...rest) {
	const [tag, ...classes] = name.split(".");
	const element = document.createElement(tag);
	if (classes.length) element.className = classes.join(" ");
	for (const item of rest) {
		if (item === null || item === undefined) continue;
		if (typeof item === "object" && !(item instanceof Node)) set(element, item);
		else element.append(item);
	}
	return element;
}

function set(element, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (typeof value === "function") element.addEventListener(name.slice(2), value);
		else if (value !== null && value !== false) element.setAttribute(name, value);
	}
}

/** Puts rows in this order and drops others, without touching one that has its place (or the focus). */
export function arrange(list, rows) {
	let place = list.firstElementChild;
	for (const row of rows) {
		if (row === place) place = place.nextElementSibling;
		else list.insertBefore(row, place);
	}
	for (; place; place = list.children[rows.length]) place.remove();
}

export const button = (label, work, attributes = {}) =>
	h("button.quiet", { onclick: work, ...attributes }, label);

/** Only a change is written, so live regions speak only of changes. */
export function say(target, text) {
	const element = typeof target === "string" ? byId(target) : target;
	if (element.textContent !== text) element.textContent = text;
}

/** For what is hidden as long as there is nothing to say. */
export function tell(id, text) {
	byId(id).hidden = !text;
	say(id, text);
}

/** A button that copies what `text` gives when it is pressed. */
export function copyButton(label, text) {
	const copy = button(label, async () => {
		try {
			await navigator.clipboard.writeText(text());
			say(copy, "Copied");
		} catch {
			say(copy, "Only over https"); // or on localhost: the rule of browsers
		}
		setTimeout(() => say(copy, label), 1500);
	});
	return copy;
}

