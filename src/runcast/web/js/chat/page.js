// The page of the chat put together: who one is, the connection, the list of conversations, the one that is looked at.

import { el, icon, setText } from "../dom.js";
import { listenToKeys } from "../keyboard.js";
import { resumedWords } from "../notes.js";
import { ask } from "../runs/ask.js";
import { oncePerFrame } from "../runs/drawing.js";
import { RunListView } from "../runs/list_view.js";
import { formatRoute, parseRoute } from "../runs/route.js";
import { helpDialog } from "../views/help.js";
import { StatusView, themeButton } from "../views/status.js";
import { Toasts } from "../views/toasts.js";
import { showAccount } from "./account.js";
import { Conversations, describe } from "./conversations.js";
import { newId } from "./frames.js";
import { Identity } from "./identity.js";
import { ChatLink } from "./link.js";
import { PeopleDialog } from "./people.js";
import { RoomView } from "./room.js";
import { Room } from "./talk.js";

const PATH = "/chat";
const SECOND_MS = 1_000;
const PHONE = matchMedia("(max-width: 760px)");
const $ = (id) => document.getElementById(id);
const LISTED = new Set(["session_changed", "edit", "delete"]); // the list may show something else then
const NOBODY = { id: "", name: "", email: "" };

export class ChatPage {
  #me = NOBODY;
  #room = null;
  #route = parseRoute(PATH, location);
  #draw = oncePerFrame((parts) => this.#drawParts(parts));

  constructor({ help }) {
    this.toasts = new Toasts($("toasts"));
    this.say = (text, how) => this.toasts.say(text, how);
    this.identity = new Identity($("signin-dialog"), { onRenewed: () => this.link.renew() });
    this.link = new ChatLink({
      identity: this.identity,
      onFrame: (frame) => this.#hear(frame), onKnown: (user) => this.#known(user), onLost: (why) => this.#lost(why),
      onState: (state) => this.#told(state),
    });
    this.list = new Conversations({ changed: () => this.#draw("list") });
    this.status = new StatusView($("status"), { retry: () => this.link.retry() });
    const place = el("section.room-place", { id: "room", "aria-label": "Conversation" });
    const peopleDialog = el("dialog", { id: "people-dialog", "aria-labelledby": "people-title" });
    $("main").append(place);
    document.body.append(peopleDialog);
    this.view = new RoomView(place, this.#tools());
    this.people = new PeopleDialog(peopleDialog, { me: () => this.#me, ...this.#common(), left: () => this.#left() });
    this.listView = new RunListView({
      place: $("runs"), count: $("runs-count"), search: $("search"), runs: this.list, kind: { noun: "conversation", describe },
      addressOf: (id) => formatRoute(PATH, { id, isNew: id === null }), choose: (id) => this.#go(id === null ? { isNew: true } : { id }),
    });
    $("help").append(icon("help", 18));
    helpDialog($("help-dialog"), help);
    themeButton($("theme"));
    this.#listen();
  }

  async start() {
    await this.identity.begin();
    this.link.open();
    this.list.start();
    this.#show(this.#route);
    setInterval(() => this.#draw("list", "room", "status"), SECOND_MS);
  }

  #common() {
    return {
      say: this.say,
      copy: (text, said) => this.#copy(text, said),
      attempt: (act) => this.#attempt(act),
    };
  }

  #tools() {
    return {
      ...this.#common(),
      me: () => this.#me,
      back: () => this.#go({}),
      people: () => this.people.show(this.#room.chat),
      send: (text, files) => this.#send(text, files),
      ask: (text) => this.#send(text, []).then((taken) => taken || this.view.composer.offer(text)),
      stop: () => this.#tell({ type: "cancel" }),
      typing: (typing) => this.#room?.chat.members.size && this.#room.say({ type: "typing", typing }),
      seen: () => this.#seen(),
      again: () => this.#room.again(),
      act: {
        say: this.say,
        copy: ({ text }) => this.#copy(text, "Copied as Markdown."),
        retry: ({ id }) => this.#tell({ type: "retry", message_id: id }),
        edit: ({ id }, text, again) => {
          const isTold = this.#tell({ type: "edit", message_id: id, message: text });
          if (isTold && again) this.#tell({ type: "retry", message_id: id });
        },
        edited: () => this.view.composer.focus(),
        remove: (item) => this.#remove(item),
      },
    };
  }

  // --- where we are -----------------------------------------------------------------------------------------------

  #go(route) {
    history.pushState(null, "", formatRoute(PATH, route));
    this.#show(parseRoute(PATH, location));
  }

  #show(route) {
    this.#route = route;
    document.body.dataset.view = route.id !== null || route.isNew || !PHONE.matches ? "feed" : "list";
    if (!this.#room || route.id !== (this.#room.isNew ? null : this.#room.chat.id)) this.#enter(route.id);
    this.#draw("all");
  }

  #enter(id) {
    this.#room?.leave();
    const room = new Room({
      id: id ?? newId(), isNew: id === null, link: this.link,
      changed: () => room === this.#room && this.#draw("room"), say: this.say,
      heard: (turn) => room === this.#room && this.#announce(turn),
      unsent: ({ text, files }) => room === this.#room && this.view.composer.offer(text, files),
    });
    this.#room = room;
    this.view.show(id ?? "");
    room.enter();
  }

  #left() {
    this.list.refresh();
    this.#go({ isNew: true });
  }

  // --- saying ------------------------------------------------------------------------------------------------------

  async #send(text, files) {
    if (!(await this.#room.send(text, files))) return false;
    if (this.#room.isNew) {
      this.#room.isNew = false;
      this.view.begun(this.#room.chat.id);
      history.replaceState(null, "", formatRoute(PATH, { id: this.#room.chat.id }));
      this.#route = parseRoute(PATH, location);
    }
    this.view.follow();
    this.#draw("all");
    return true;
  }

  #tell(frame) {
    if (this.#room.say(frame)) return true;
    this.say("Not connected at this moment; try again.", { tone: "warn" });
    return false;
  }

  async #remove({ id, role }) {
    const answer = await ask($("ask-dialog"), {
      title: role === "user" ? "Delete this message?" : "Delete this answer?", words: "It is gone for all who take part.", label: "Delete", tone: "danger",
    });
    if (answer) this.#tell({ type: "delete", message_id: id });
  }

  /** What can be seen at the end is read; alone there is nobody to tell. */
  #seen() {
    if (document.hidden || !this.view.isAtEnd || document.body.dataset.view !== "feed") return;
    this.#room?.markRead(this.#me.id);
  }

  async #attempt(act) {
    try {
      await act();
      return true;
    } catch (error) {
      this.say(error.message, { tone: "error" });
      return false;
    }
  }

  async #copy(text, said) {
    try {
      await navigator.clipboard.writeText(text);
      this.say(said, { tone: "good" });
    } catch {
      this.say("The browser did not allow copying.", { tone: "warn" });
    }
  }

  // --- hearing -----------------------------------------------------------------------------------------------------

  #known(user) {
    this.#me = { id: user.id, name: user.name ?? "", email: user.email ?? "" };
    showAccount($("account"), this.#me, () => this.identity.leave());
    this.#room?.known();
    this.#draw("all");
  }

  #lost(why) {
    if (this.identity.via === "cookie") return location.reload();
    this.say(why, { tone: "error" });
    this.identity.leave();
  }

  #hear(frame) {
    if (LISTED.has(frame.type)) this.list.refreshSoon();
    if (frame.session_id === undefined || frame.session_id === this.#room?.chat.id) this.#room?.hear(frame, this.#me.id);
  }

  #told(state) {
    if (state.resumed?.settled) this.say(resumedWords(state.resumed), { tone: state.resumed.missed ? "warn" : "good" });
    if (state.phase !== "live") this.#room?.lost();
    this.#draw("status", "room");
  }

  #announce({ status, role, user, text, error }) {
    const whose = role === "user" ? user?.name || "Somebody" : "Answer";
    const words = { complete: `${whose}: ${text?.slice(0, 300)}`, cancelled: "The answer was stopped.", failed: error }[status];
    setText($("announcer"), words ?? "");
  }

  // --- the rest ----------------------------------------------------------------------------------------------------

  #listen() {
    addEventListener("popstate", () => this.#show(parseRoute(PATH, location)));
    addEventListener("online", () => this.link.retry());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      if (this.link.state.phase !== "closed") this.link.retry();
      this.list.refresh();
      this.#seen();
    });
    $("help").addEventListener("click", () => $("help-dialog").showModal());
    listenToKeys({
      "/": () => this.#search(), "?": () => $("help-dialog").showModal(), n: () => this.#go({ isNew: true }),
      "[": () => this.#neighbour(-1), "]": () => this.#neighbour(1), i: () => this.view.composer.focus(),
      Escape: () => document.activeElement instanceof HTMLElement && document.activeElement.blur(),
    });
    const fit = () => visualViewport.scale === 1 && document.documentElement.style.setProperty("--visible", `${visualViewport.height}px`); // what a keyboard leaves
    visualViewport?.addEventListener("resize", fit);
    if (visualViewport) fit();
  }

  #search() {
    if (PHONE.matches) this.#go({});
    $("search").focus();
  }

  #neighbour(step) {
    const ids = this.list.all().map(({ id }) => id);
    const to = ids[ids.indexOf(this.#route.id) + step];
    if (to !== undefined) this.#go({ id: to });
  }

  #drawParts(parts) {
    const wants = (part) => parts.has(part) || parts.has("all");
    if (wants("list")) this.listView.update(document.body.dataset.view === "list" ? undefined : this.#route.id, Date.now());
    if (wants("status")) this.status.update(this.link.state, { mode: "live", paused: false, error: null, unknown: false });
    if (!wants("room") || !this.#room) return;
    const { chat } = this.#room;
    this.view.update(chat, this.#me, this.#room.stage(Date.now()));
    this.people.update();
    document.title = `${chat.title || "Chat"} · Runcast`;
    this.#seen();
  }
}
