// One thing that a person has said, with its files, who has read it, and what can be done about it.

import { bdi, el, icon, visibleText } from "../dom.js";
import { whenChanged } from "../runs/drawing.js";
import { filesView } from "./files.js";
import { actButton, whenSaid } from "./turn_parts.js";

export class PersonalTurn {
  #act;
  #who = el("div.turn-who");
  #body = el("div.bubble");
  #acts = el("div.turn-acts");
  #read = el("div.turn-read");
  #isEditing = false;
  #draw = whenChanged((told, room) => this.#fill(told, room));
  #drawRead = whenChanged((people) => {
    const names = people.map(({ name, id }) => name || id).join(", ");
    this.#read.replaceChildren(...(names ? [icon("check", 12), el("span", "Read by ", bdi(names))] : []));
  });

  constructor(act) {
    this.#act = act;
    this.node = el("li.turn.personal", this.#who, el("div.bubble-row", this.#body, this.#acts), this.#read);
  }

  update(told, room) {
    this.#draw([told.version, room.me, room.owns, room.several], told, room);
    const readers = room.readers.get(told.id) ?? [];
    this.#drawRead(readers, readers);
  }

  #fill(told, { me, owns, chatId, several }) {
    const isMine = told.user?.id === me;
    this.node.classList.toggle("mine", isMine);
    this.#who.replaceChildren(...(several && !isMine ? [bdi(told.user?.name || told.user?.id || "Somebody")] : []), ...whenSaid(told));
    this.content = () => [
      ...(told.text ? [el("p.said", { dir: "auto" }, visibleText(told.text))] : []),
      ...(told.attachments.length ? [filesView(chatId, told.attachments, this.#act.say)] : []),
    ];
    if (!this.#isEditing) this.#body.replaceChildren(...this.content());
    this.#acts.replaceChildren(...[
      isMine ? actButton("Edit", "pencil", () => this.#edit(told), "edit") : null,
      isMine ? actButton("Ask again", "retry", () => this.#act.retry(told)) : null,
      isMine || owns ? actButton("Delete", "trash", () => this.#act.remove(told)) : null,
    ].filter(Boolean));
  }

  #edit(told) {
    const area = el("textarea", { rows: Math.min(10, told.text.split("\n").length + 1), "aria-label": "The message, to be changed", dir: "auto" });
    area.value = told.text;
    const save = (again) => this.#save(told, area.value.trim(), again);
    area.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.preventDefault();
        return this.#close();
      }
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      save(true);
    });
    this.#isEditing = true;
    this.node.classList.add("editing");
    this.#body.replaceChildren(area, el("div.edit-buttons",
      el("button.quiet", { type: "button", on: { click: () => this.#close() } }, "Back"),
      el("button", { type: "button", on: { click: () => save(false) } }, "Save"),
      el("button.primary", { type: "button", on: { click: () => save(true) } }, "Save and ask again"),
    ));
    area.focus();
  }

  #save(told, text, again) {
    this.#close();
    if (text && (again || text !== told.text)) this.#act.edit(told, text, again);
  }

  #close() {
    this.#isEditing = false;
    this.node.classList.remove("editing");
    this.#body.replaceChildren(...this.content());
    this.#act.edited();
  }
}
