/**
 * Signing in, where the server asks for it.
 *
 * The token is sent once and comes back as a cookie that scripts cannot read; this page keeps it
 * nowhere. Without tokens configured there is nothing to see of all this.
 */
import { Problem, getSession, signIn, signOut } from "./api.js";
import { byId, say } from "./dom.js";

export class Session {
  /** @param {{onIn: () => void, onOut: () => void}} hooks called on each change */
  constructor(hooks) {
    this.hooks = hooks;
    this.inside = null;
    byId("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter();
    });
    byId("sign-out").addEventListener("click", () => this.#leave());
  }

  /** Asks the server who we are, and shows the page or the door. */
  async check() {
    const session = await getSession();
    const inside = !session.required || session.signed_in;
    byId("door").hidden = inside;
    byId("room").hidden = !inside;
    byId("who").hidden = !(session.required && inside);
    say(byId("who-name"), session.name ?? "signed in");
    if (inside === this.inside) return;
    this.inside = inside;
    if (inside) this.hooks.onIn();
    else this.#out();
  }

  async #enter() {
    const field = byId("token");
    const button = byId("sign-in").querySelector("button");
    button.disabled = true;
    this.#complain("");
    try {
      await signIn(field.value.trim());
      field.value = "";
      await this.check();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      this.#complain(error.status === 401 ? "That token is not valid here." : `Not signed in: ${error.message}.`);
      field.select();
    } finally {
      button.disabled = false;
    }
  }

  async #leave() {
    try {
      await signOut();
    } finally {
      await this.check();
    }
  }

  #out() {
    this.hooks.onOut();
    byId("token").focus();
  }

  #complain(text) {
    say(byId("sign-in-problem"), text);
    byId("token").setAttribute("aria-invalid", String(text !== ""));
  }
}
