// Who takes part in a conversation: to see them, to invite somebody, to remove somebody or leave.

import { bdi, el, icon } from "../dom.js";
import { invite, removeMember } from "./api.js";
import { peopleOf } from "./state.js";

export class PeopleDialog {
  #chat = null;

  /** `tools` is {me(), say, copy, attempt, left(id)}. */
  constructor(dialog, tools) {
    this.dialog = dialog;
    this.tools = tools;
    dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
  }

  show(chat) {
    this.#chat = chat;
    this.draw();
    this.dialog.showModal();
  }

  /** Draw it anew, if it is there. */
  update() {
    if (this.dialog.open) this.#list?.replaceChildren(...this.#people());
  }

  #list = null;

  draw() {
    const me = this.tools.me();
    const owns = this.#chat.owner?.id === me.id;
    const close = el("button.quiet", { type: "button", "aria-label": "Close", on: { click: () => this.dialog.close() } }, icon("close"));
    this.#list = el("ul.people", this.#people());
    this.dialog.replaceChildren(
      el("div.dialog-head", el("h2", { id: "people-title" }, "People"), close),
      this.#list,
      ...(owns ? [this.#inviteForm()] : []),
      el("p.own-id", "To be invited elsewhere, tell its owner your id: ", bdi(me.id, "mono"),
        el("button.quiet", { type: "button", "aria-label": "Copy my id", on: { click: () => this.tools.copy(me.id, "Your id is copied.") } }, icon("copy", 14))),
    );
  }

  #people() {
    const me = this.tools.me();
    const owns = this.#chat.owner?.id === me.id;
    return peopleOf(this.#chat).map(({ id, name }) => {
      const isOwner = id === this.#chat.owner?.id;
      const label = id === me.id ? "Leave" : "Remove";
      return el("li", icon("prompt", 18),
        el("div.person", bdi(name || id), el("span", bdi(isOwner ? "owner" : id === me.id ? "you" : id))),
        isOwner || (!owns && id !== me.id) ? null : el("button", { type: "button", on: { click: () => this.#remove(id) } }, label),
      );
    });
  }

  #inviteForm() {
    const id = el("input", { id: "invite-id", autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
    const name = el("input", { id: "invite-name", autocomplete: "off" });
    const send = async (event) => {
      event.preventDefault();
      if (!id.value.trim()) return id.focus();
      if (await this.tools.attempt(() => invite(this.#chat.id, id.value.trim(), name.value.trim()))) {
        this.tools.copy(location.href, "Invited. The address of this conversation is copied, for you to pass on.");
        id.value = name.value = "";
      }
    };
    return el("form.invite", { on: { submit: send } },
      el("h3", "Invite somebody"),
      el("div.invite-row",
        el("div.field", el("label", { for: "invite-id" }, "Their e-mail, or id"), id),
        el("div.field", el("label", { for: "invite-name" }, "Name ", el("span.optional", "(optional)")), name),
        el("button.primary", { type: "submit" }, "Invite")),
    );
  }

  async #remove(id) {
    const isMe = id === this.tools.me().id;
    if (!(await this.tools.attempt(() => removeMember(this.#chat.id, id)))) return;
    if (!isMe) return;
    this.dialog.close();
    this.tools.left();
  }
}
