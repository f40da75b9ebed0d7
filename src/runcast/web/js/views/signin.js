// Who is looking: on a server that asks, a key or a token is exchanged for a cookie that no script can read.

import * as api from "../api.js";
import { el } from "../dom.js";

/** Resolves when the server knows who looks: at once where it asks nobody, or has a cookie. */
export async function signedIn(dialog, account) {
  const who = (await api.whoAmI()) ?? (await askIn(dialog));
  if (who.via === "cookie") showAccount(account, who);
  return who;
}

function askIn(dialog) {
  return new Promise((resolve) => {
    const secret = el("input", {
      id: "signin-secret", type: "password", required: true, autocomplete: "current-password", spellcheck: "false",
      autofocus: true, "aria-describedby": "signin-problem",
    });
    const problem = el("p.signin-problem", { id: "signin-problem", role: "alert" });
    const button = el("button.primary", { type: "submit" }, "Sign in");
    const form = el("form.signin",
      el("div.signin-mark", document.querySelector(".brand svg").cloneNode(true), "Runcast"),
      el("h2", { id: "signin-title" }, "This server asks who you are"),
      el("p", "Paste an API key or a token. It is exchanged for a cookie of this browser and not kept on the page."),
      el("label", { for: "signin-secret" }, "Key or token"), secret, problem, button,
      el("p.signin-where", "No key yet? Whoever runs the server makes one: ", el("code", "runcast token create")),
    );
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      problem.textContent = "";
      secret.removeAttribute("aria-invalid");
      try {
        const who = await api.signIn(secret.value.trim());
        dialog.close();
        resolve(who);
      } catch (error) {
        problem.textContent = error.message;
        secret.setAttribute("aria-invalid", "true");
        secret.select();
      } finally {
        button.disabled = false;
      }
    });
    dialog.replaceChildren(form);
    dialog.addEventListener("cancel", (event) => event.preventDefault()); // there is nothing behind it
    dialog.showModal();
  });
}

function showAccount(account, who) {
  const leave = async () => {
    await api.signOut();
    location.reload();
  };
  account.replaceChildren(
    el("span.account-name", who.name ?? who.email ?? who.sub),
    el("button.quiet", { type: "button", on: { click: leave } }, "Sign out"),
  );
  account.hidden = false;
}
