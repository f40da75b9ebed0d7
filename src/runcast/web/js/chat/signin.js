// The dialog in which one signs in or registers for the chat, or shows a key or token one has.

import { el } from "../dom.js";
import { keptOf, logIn, register } from "./api.js";

const DAY_MS = 86_400_000;
const MODES = {
  login: { tab: "Sign in", title: "Sign in to chat", button: "Sign in", fields: ["email", "password"] },
  register: { tab: "Register", title: "Make an account", button: "Register", fields: ["name", "email", "password"] },
  token: { tab: "Key or token", title: "Show a key or token", button: "Sign in", fields: ["token"] },
};

/** Resolves to {access, refresh, until} when it is known who one is. */
export function askWho(dialog) {
  return new Promise((resolve) => {
    const form = new SignInForm((kept) => {
      dialog.close();
      resolve(kept);
    });
    dialog.replaceChildren(form.node);
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
    dialog.showModal();
    form.show("login");
  });
}

class SignInForm {
  #mode = "login";
  #fields = makeFields();
  #title = el("h2", { id: "signin-title" });
  #problem = el("p.signin-problem", { id: "signin-problem", role: "alert" });
  #button = el("button.primary", { type: "submit" });
  #tabs = Object.entries(MODES).map(([mode, { tab }]) => el("button", { type: "button", "data-mode": mode, on: { click: () => this.show(mode) } }, tab));

  constructor(done) {
    const send = (event) => {
      event.preventDefault();
      this.#send(done);
    };
    this.node = el("form.signin", { novalidate: true, on: { submit: send } },
      el("div.signin-mark", document.querySelector(".brand svg").cloneNode(true), "Runcast"),
      this.#title, el("p", "A conversation belongs to somebody: that is how only you, and those you invite, can read it."),
      el("div.signin-tabs", { role: "group", "aria-label": "How to sign in" }, this.#tabs),
      Object.values(this.#fields).map(({ row }) => row), this.#problem, this.#button,
    );
  }

  show(mode) {
    this.#mode = mode;
    const { title, button, fields } = MODES[mode];
    this.#title.textContent = title;
    this.#button.textContent = button;
    this.#problem.textContent = "";
    for (const tab of this.#tabs) tab.setAttribute("aria-pressed", String(tab.dataset.mode === mode));
    for (const [name, { row }] of Object.entries(this.#fields)) row.hidden = !fields.includes(name);
    this.#fields.password.input.autocomplete = mode === "register" ? "new-password" : "current-password";
    this.#fields[fields[0]].input.focus();
  }

  async #send(done) {
    this.#button.disabled = true;
    this.#problem.textContent = "";
    for (const { input } of Object.values(this.#fields)) input.removeAttribute("aria-invalid");
    try {
      done(await enter(this.#mode, Object.fromEntries(Object.entries(this.#fields).map(([name, { input }]) => [name, name === "password" ? input.value : input.value.trim()]))));
    } catch (error) {
      this.#refused(error);
    } finally {
      this.#button.disabled = false;
    }
  }

  #refused({ message, field }) {
    const { fields } = MODES[this.#mode];
    const { input } = this.#fields[fields.includes(field) ? field : fields[0]];
    this.#problem.textContent = message;
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

async function enter(mode, { name, email, password, token }) {
  if (mode === "token") {
    if (!token) throw new Error("Paste an API key or a token.");
    return { access: token, refresh: "", until: Date.now() + DAY_MS };
  }
  if (mode === "login") return keptOf(await logIn({ email, password }));
  return keptOf(await register({ email, password, name: name || email.split("@")[0] })); // others see it
}

function makeFields() {
  const field = (name, label, properties) => {
    const input = el("input", { id: `signin-${name}`, spellcheck: "false", "aria-describedby": "signin-problem", ...properties });
    return { input, row: el("div.signin-field", el("label", { for: `signin-${name}` }, label), input) };
  };
  return {
    name: field("name", "Name", { autocomplete: "name" }),
    email: field("email", "E-mail", { type: "email", autocomplete: "username", inputmode: "email" }),
    password: field("password", "Password", { type: "password" }),
    token: field("token", "Key or token", { type: "password", autocomplete: "off" }),
  };
}
