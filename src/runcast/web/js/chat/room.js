// The conversation that is looked at: its head, what was said, who is typing, and where one writes.

import { bdi, el, icon, setText } from "../dom.js";
import { count } from "../format.js";
import { Keyed, whenChanged } from "../runs/drawing.js";
import { backButton } from "../runs/head.js";
import { AnswerTurn } from "./answer.js";
import { Composer } from "./composer.js";
import { PersonalTurn } from "./personal.js";
import { isAnswering, itemsOf, peopleOf, readersOf } from "./state.js";

const NEAR_PX = 80;
const QUESTIONS = ["What is the engine power?", "How often does the oil need to be changed?", "A warning light came on. What now?", "How big is the boot?"];

export class RoomView {
  #place = "";
  #drafts = new Map(); // place -> what was written there and not sent
  #follows = true;
  #items = 0;
  #drawHead = whenChanged((chat, isNew) => this.#head(chat, isNew));
  #drawNotice = whenChanged((notice) => this.#notice(notice));

  /** `tools` has what `Composer` asks for, and {me(), back, people, ask(text), seen, again, copy, act: {say, copy, retry, edit(item, text, again), edited, remove}}. */
  constructor(place, tools) {
    this.tools = tools;
    this.title = el("h1");
    this.meta = el("p.room-meta");
    this.people = el("button", { type: "button", on: { click: () => tools.people() } }, icon("people", 16), el("span"));
    this.list = el("ol.turns");
    this.welcome = el("div.welcome", { hidden: true });
    this.notice = el("div.room-notice");
    this.scroll = el("div.room-scroll", { tabindex: 0, role: "region", "aria-label": "What was said" }, el("div.room-column", this.notice, this.welcome, this.list));
    this.typing = el("div.typing", { "aria-live": "polite" });
    this.toEnd = el("button.to-end", { type: "button", hidden: true, "aria-label": "Jump to the newest", on: { click: () => this.follow() } }, icon("down", 16), el("span"));
    this.composer = new Composer({ ...tools, editLast: () => this.#editLast() });
    this.keyed = new Keyed(this.list, (item) => (item.role === "user" ? new PersonalTurn(tools.act) : new AnswerTurn(tools.act)));
    this.node = el("div.room",
      el("div.room-head", backButton(tools.back), el("div.room-words", this.title, this.meta), this.people),
      this.scroll, el("div.room-foot", this.toEnd, el("div.room-column", this.typing, this.composer.node)),
    );
    place.append(this.node);
    this.#listen();
    this.#welcome();
  }

  /** Another one is looked at; "" for one that nobody has begun yet. */
  show(place) {
    this.#drafts.set(this.#place, this.composer.draft);
    this.#place = place;
    this.#follows = true;
    this.composer.clear();
    const { text = "", files } = this.#drafts.get(place) ?? {};
    this.composer.offer(text, files);
    if (!matchMedia("(pointer: coarse)").matches && !document.querySelector("dialog[open]")) this.composer.focus();
  }

  /** What is looked at has been begun, and has a place of its own now. */
  begun(place) {
    this.#place = place;
  }

  follow() {
    this.#follows = true;
    this.scroll.scrollTop = this.scroll.scrollHeight;
    this.#drawToEnd();
    this.tools.seen();
  }

  get isAtEnd() {
    return this.#follows;
  }

  /** `stage` is {phase: "new" | "loading" | "here" | "refused", problem, sending, typing: [names]}. */
  update(chat, me, stage) {
    const people = peopleOf(chat);
    const isNew = stage.phase === "new";
    this.#drawHead([chat.id, chat.title, people, me.id, isNew], chat, isNew);
    this.#drawNotice([stage.phase, stage.problem, chat.leftOut, me.id], { ...stage, leftOut: chat.leftOut });
    this.welcome.hidden = !isNew || stage.sending !== null || chat.turns.length > 0;
    const room = { me: me.id, owns: chat.owner?.id === me.id, chatId: chat.id, several: people.length > 1, readers: readersOf(chat, me.id) };
    const items = itemsOf(chat);
    this.keyed.update(items, ({ id }) => `${chat.id}\n${id}`, room);
    this.#drawSending(stage.sending);
    setText(this.typing, stage.typing.length ? `${stage.typing.join(", ")} ${stage.typing.length === 1 ? "is" : "are"} typing…` : "");
    this.composer.update({ answering: isAnswering(chat), disabled: stage.phase === "refused" });
    if (this.#follows) this.scroll.scrollTop = this.scroll.scrollHeight;
    if (this.#follows) this.#items = items.length;
    this.#drawToEnd(items.length - this.#items);
  }

  #drawToEnd(more = 0) {
    this.toEnd.hidden = this.#follows;
    setText(this.toEnd.lastChild, more > 0 ? `${more} new` : "");
  }

  /** Change what one has said last; whether there is anything. */
  #editLast() {
    const edit = [...this.list.querySelectorAll(".turn.mine .edit")].at(-1);
    edit?.click();
    return edit !== undefined;
  }

  #drawSending(one) {
    this.sendingNode?.remove();
    this.sendingNode = null;
    if (!one) return;
    const words = [one.text, ...one.files.map(({ name }) => name)].filter(Boolean).join("\n");
    this.sendingNode = el("li.turn.personal.mine.sending", el("div.bubble-row", el("div.bubble", el("p.said", { dir: "auto" }, bdi(words)))), el("div.turn-read", el("span.spinner"), one.isTold ? "Sending" : "To be sent when the connection is back"));
    this.list.append(this.sendingNode);
  }

  #head(chat, isNew) {
    const people = peopleOf(chat);
    this.title.replaceChildren(bdi(chat.title || (isNew ? "New conversation" : "Conversation")));
    this.meta.replaceChildren(...(people.length > 1 ? [el("span", "with "), bdi(people.filter(({ id }) => id !== this.tools.me().id).map(({ name, id }) => name || id).join(", "))] : []));
    this.people.hidden = !chat.owner;
    this.people.setAttribute("aria-label", count(people.length, "person", "people"));
    this.people.title = "Who takes part; invite somebody";
    this.people.lastChild.textContent = String(people.length);
  }

  #notice({ phase, problem, leftOut }) {
    this.notice.replaceChildren(...[
      phase === "loading" ? el("div.nothing", { "aria-hidden": "true" }, el("span.spinner")) : null,
      phase === "refused" ? this.#refusal(problem) : null,
      leftOut ? el("p.left-out", `${count(leftOut, "earlier message")} not shown here`) : null,
    ].filter(Boolean));
  }

  #refusal(problem) {
    const { id } = this.tools.me();
    return el("div.nothing", el("h2", "It cannot be shown"), el("p", bdi(problem)),
      el("p.own-id", "Your id is ", bdi(id, "mono"), el("button.quiet", { type: "button", "aria-label": "Copy my id", on: { click: () => this.tools.copy(id, "Your id is copied.") } }, icon("copy", 14))),
      el("button", { type: "button", on: { click: () => this.tools.again() } }, icon("retry", 14), "Look again"));
  }

  #welcome() {
    this.welcome.append(
      el("h2", "What would you like to know?"),
      el("p", "A classifier finds the right agent, it looks into the knowledge base, and its answer comes with the sources it was made from."),
      el("ul.questions", QUESTIONS.map((text) => el("li", el("button", { type: "button", on: { click: () => this.tools.ask(text) } }, text)))),
    );
  }

  #listen() {
    this.scroll.addEventListener("scroll", () => {
      this.#follows = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR_PX;
      if (this.#follows !== this.toEnd.hidden) this.#drawToEnd();
      if (this.#follows) this.tools.seen();
    }, { passive: true });
    new ResizeObserver(() => this.#follows && this.follow()).observe(this.scroll);
    this.node.addEventListener("dragover", (event) => {
      if (![...event.dataTransfer.types].includes("Files")) return;
      event.preventDefault();
      this.node.classList.add("dropping");
    });
    this.node.addEventListener("dragleave", ({ relatedTarget }) => this.node.contains(relatedTarget) || this.node.classList.remove("dropping"));
    this.node.addEventListener("drop", (event) => {
      event.preventDefault();
      this.node.classList.remove("dropping");
      this.composer.attach([...event.dataTransfer.files]);
    });
  }
}
