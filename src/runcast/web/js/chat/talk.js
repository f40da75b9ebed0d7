// One conversation that is looked at: read from the server, then followed; what one says in it, and what others do.

import { isObject, textOf } from "../runs/values.js";
import { readConversation } from "./api.js";
import { attachmentFrame, cleanName } from "./frames.js";
import { applyFrame, findTurn, loadConversation, makeConversation } from "./state.js";

const TYPING_MS = 5_000; // nothing more of somebody who types: they have stopped
const PATIENCE_MS = 4_000; // a connection that is being made is waited for
const LOST = "The connection was lost before your message was taken; send it again.";
const NOT_CONNECTED = "Not connected at this moment; your message is kept here.";

export class Room {
  #following = false; // the connection that is there tells of it
  #sending = null; // {text, files, known}: not heard back yet
  #typing = new Map(); // person id -> {name, until}
  #phase;
  #problem = "";
  #isLeft = false;
  #marked = "";

  /** `changed()`, `say(text, how)`, `answered(turn)` when an answer has come to its end, `unsent({text, files})`. */
  constructor({ id, isNew, link, changed, say, answered, unsent }) {
    Object.assign(this, { isNew, link, changed, answered, unsent });
    this.toast = say;
    this.chat = makeConversation(id);
    this.#phase = isNew ? "new" : "loading";
  }

  enter() {
    if (!this.isNew) this.#read();
  }

  leave() {
    this.#isLeft = true;
  }

  /** How things stand, for the view. */
  stage(now) {
    for (const [id, { until }] of this.#typing) if (until < now) this.#typing.delete(id);
    return { phase: this.#phase, problem: this.#problem, sending: this.#sending, typing: [...this.#typing.values()].map(({ name }) => name) };
  }

  /** The connection is there, and knows who one is. */
  known() {
    this.#following = false;
    if (this.#phase === "here") this.#follow();
    else if (this.#phase === "loading") this.#read();
  }

  lost() {
    this.#following = false;
    this.#typing.clear();
  }

  /** Say a frame of this conversation; false if that cannot be now. */
  say(frame) {
    return this.link.say({ ...frame, session_id: this.chat.id });
  }

  /** Resolves to whether it is on its way; what comes of it is heard. */
  async send(text, files) {
    const isReady = !this.#sending && (await this.link.whenKnown(PATIENCE_MS));
    if (!isReady || this.#sending) {
      this.toast(this.#sending ? "The last message is still on its way." : NOT_CONNECTED, { tone: "warn" });
      return false;
    }
    this.#sending = { text, files, known: new Set(this.chat.turns.map(({ id }) => id)) };
    this.changed();
    const ids = [];
    for (const [at, file] of files.entries()) {
      const id = `${Date.now().toString(36)}-${at}`;
      if (!this.link.sayBytes(attachmentFrame({ id, name: cleanName(file.name), mime: file.type || "application/octet-stream" }, await file.arrayBuffer()))) return this.#unsend(NOT_CONNECTED);
      ids.push(id);
    }
    if (!this.say({ type: "message", message: text, ...(ids.length ? { attachments: ids } : {}) })) return this.#unsend(NOT_CONNECTED);
    if (this.#phase === "new") this.#phase = "here";
    this.#following = true; // whoever says something is told of it from then on
    return true;
  }

  /** Tell the others that one has read what is there; alone there is nobody to tell. */
  markRead(me) {
    const last = this.chat.turns.at(-1);
    if (!last || !this.chat.members.size || last.user?.id === me || this.chat.reads.get(me) === last.id || this.#marked === last.id) return;
    if (this.say({ type: "read", message_id: last.id })) this.#marked = last.id;
  }

  hear(frame, me) {
    const { chat } = this;
    if (frame.type === "typing") this.#hearTyping(frame);
    else if (frame.type === "reset" || frame.type === "gap") this.#read();
    else if (frame.type === "error" && !Number.isFinite(frame.seq)) this.#refused(frame);
    else if (Number.isFinite(frame.seq)) {
      applyFrame(chat, frame);
      if (frame.type === "message") this.#hearMessage(frame, me);
      if (frame.type === "complete" || frame.type === "error") this.answered(findTurn(chat, frame.message_id) ?? {});
      if (chat.torn || (chat.known && !chat.owner)) this.#read(); // whoever begins one is not told who owns it
    }
    this.changed();
  }

  #hearMessage({ user, message, attachments }, me) {
    this.#typing.delete(user?.id);
    const own = this.#sending;
    if (own && user?.id === me && message === own.text && (attachments ?? []).length === own.files.length) this.#sending = null;
  }

  #hearTyping({ user, typing }) {
    if (!isObject(user) || !textOf(user.id)) return;
    if (typing) this.#typing.set(user.id, { name: textOf(user.name) || user.id, until: Date.now() + TYPING_MS });
    else this.#typing.delete(user.id);
  }

  #refused({ error, code, field }) {
    const words = textOf(error).replace(/^\w+: /, field ? "" : "$&") || "The server refused it.";
    if (code === "FORBIDDEN" && !this.#sending) {
      this.#phase = "refused";
      this.#problem = words;
    }
    if (this.#sending) this.#unsend(words, "error");
    else this.toast(words, { tone: "error" });
  }

  /** It was not said: the text goes back to where it was written. */
  #unsend(words, tone = "warn") {
    const { text, files } = this.#sending;
    this.#sending = null;
    if (!this.chat.known && this.#phase === "here") this.#phase = "new";
    this.toast(words, { tone });
    this.unsent({ text, files });
    this.changed();
    return false;
  }

  async #read() {
    try {
      const told = await readConversation(this.chat.id);
      if (this.#isLeft) return;
      loadConversation(this.chat, told);
      this.#phase = "here";
      this.#settleSending();
      this.#following = false;
      if (this.link.isKnown) this.#follow();
    } catch (error) {
      if (this.#isLeft) return;
      if (error.status === 404) this.#notBegun();
      else if (error.status === 403 || error.status === 400) [this.#phase, this.#problem] = ["refused", error.message];
      else this.toast(error.message, { tone: "error" });
    }
    this.changed();
  }

  /** After a lost connection: what was on its way is there by now, or is to be said again. */
  #settleSending() {
    const own = this.#sending;
    if (!own) return;
    const isThere = this.chat.turns.some(({ id, role, text }) => role === "user" && text === own.text && !own.known.has(id));
    if (isThere) this.#sending = null;
    else if (!this.#following) this.#unsend(LOST);
  }

  #notBegun() {
    this.#phase = "new";
    if (this.#sending && !this.#following) this.#unsend(LOST);
  }

  #follow() {
    if (this.#following) return;
    if (this.#sending) return void this.#read(); // it may be there already
    this.#following = this.say({ type: "resume", after: this.chat.cursor || "start" });
  }
}
