/** What the reader chose (zone, scheme), kept in this browser where it allows that. */
const key = (name) => `audit-stream.${name}`;

export function chosen(name) {
	try {
		return localStorage.getItem(key(name));
	} catch {
		return null;
	}
}

export function choose(name, value) {
	try {
		localStorage.setItem(key(name), value);
	} catch {
		/* then it lasts as long as the page */
	}
}
