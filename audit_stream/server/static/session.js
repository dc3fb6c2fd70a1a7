/**
 * Signing in, where the server asks for it. The token is sent once and comes back as a cookie that
 * scripts cannot read; this page keeps it nowhere.
 */
import { Problem, getJson, signIn, signOut } from "./api.js";
import { byId, on, say } from "./dom.js";

export class Session {
	constructor(onIn) {
		Object.assign(this, { onIn, inside: null });
		on("sign-in", "submit", (event) => this.#enter(event));
		on("sign-out", "click", () => signOut().catch(() => {}).then(() => location.reload()));
	}

	/** Asks the server who we are, and shows the page or the door. */
	async check() {
		const { required, signed_in: known, name } = await getJson("/session");
		const inside = !required || known;
		if (this.inside && !inside) return location.reload(); // nothing that was shown stays
		byId("door").hidden = inside;
		byId("room").hidden = !inside;
		byId("connection").hidden = !inside;
		byId("who").hidden = !(required && inside);
		say("who-name", name ?? "");
		if (inside === this.inside) return;
		this.inside = inside;
		if (inside) this.onIn();
		else byId("token").focus();
	}

	async #enter(event) {
		event.preventDefault();
		const field = byId("token");
		say("sign-in-problem", "");
		try {
			await signIn(field.value.trim());
			field.value = "";
			await this.check();
		} catch (error) {
			if (!(error instanceof Problem)) throw error;
			say("sign-in-problem", error.status === 401 ? "That token is not valid here." : `Not signed in: ${error.message}.`);
			field.select();
		}
	}
}
