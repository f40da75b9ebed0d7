// Who is chatting, at the top of the page, and the way out.

import { bdi, el } from "../dom.js";

export function showAccount(place, { id, name, email }, leave) {
  place.replaceChildren(
    el("span.account-name", { title: email || id }, bdi((name !== id && name) || email || id)),
    el("button.quiet", { type: "button", on: { click: leave } }, "Sign out"),
  );
  place.hidden = false;
}
