// One conversation that is looked at: read from the server, then followed; what one says in it, and what others do.

import { isObject, textOf } from "../runs/values.js";
import { readConversation } from "./api.js";
import { attachmentFrame, cleanName, newId } from "./frames.js";
import { applyFrame, findTurn, loadConversation, makeConversation } from "./state.js";

const WHOLE = new Set(["message", "complete", "error"]); // frames of something that is said to its end
const TYPING_MS = 5_000; // nothing more of somebody who types: they have stopped
const PATIENCE_MS = 4_000; // a connection that is being made is waited for
const NOT_CONNECTED = "Not connected at this moment; your message is kept here.";

export class Room {
  #following = false; // the connection that is there tells of it
  #sending = null; // {id, text, files, isTold}: not heard back yet; told on the connection that is there
  #typing = new Map(); // person id -> {name, until}
  #phase;
  #problem = "";
  #isLeft = false;
  #marked = "";

  /** `changed()`, `say(text, how)`, `heard(turn)` of others: what they said, an answer at its end; `unsent({text, files})`. */
  constructor({ id, isNew, link, changed, say, heard, unsent }) {
    Object.assign(this, { isNew, link, changed, heard, unsent });
    this.toast = say;
    this.chat = makeConversation(id);
    this.#phase = isNew ? "new" : "loading";
  }

  enter() {
    if (!this.isNew) this.#read();
  }

  /** Read it once more, after a refusal. */
  again() {
    this.#phase = "loading";
    this.#read();
    this.changed();
  }

  leave() {
    this.#isLeft = true;
    if (this.#sending && !this.#sending.isTold) this.unsent(this.#sending);
  }

  /** How things stand, for the view. */
  stage(now) {
    for (const [id, { until }] of this.#typing) if (until < now) this.#typing.delete(id);
    return { phase: this.#phase, problem: this.#problem, sending: this.#sending, typing: [...this.#typing.values()].map(({ name }) => name) };
  }

  /** The connection is there, and knows who one is. */
  known() {
    this.#following = false;
    if (this.#phase === "loading") return void this.#read();
    if (this.#phase === "here" && this.chat.known) this.#follow();
    this.#tellAgain();
  }

  lost() {
    this.#following = false;
    this.#typing.clear();
    if (this.#sending) this.#sending.isTold = false;
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
    this.#sending = { id: newId(), text, files, isTold: false };
    this.changed();
    this.#tellAgain();
    return true;
  }

  /** Tell the server of what is on its way, unless this connection has been told: what it knows, it takes once. */
  async #tellAgain() {
    const own = this.#sending;
    if (!own || own.isTold || !this.link.isKnown) return;
    own.isTold = true;
    const { link } = this;
    const { round } = link;
    const attachments = own.files.map((_, at) => `${own.id}-${at}`);
    for (const [at, file] of own.files.entries()) {
      const content = await file.arrayBuffer().catch(() => null);
      if (own !== this.#sending || round !== link.round) return; // another connection is told of all of it
      if (!content) return this.#unsend(`${file.name} cannot be read any more.`, "error");
      link.sayBytes(attachmentFrame({ id: attachments[at], name: cleanName(file.name), mime: file.type || "application/octet-stream" }, content));
    }
    if (!this.say({ type: "message", id: own.id, message: own.text, ...(attachments.length ? { attachments } : {}) })) return;
    if (this.#phase === "new") this.#phase = "here";
    this.#following = true; // whoever says something is told of it from then on
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
    else if (frame.type === "session_changed") this.#phase === "refused" && this.again(); // somebody has invited one
    else if (frame.type === "reset" || frame.type === "gap") this.#read();
    else if (frame.type === "error" && !Number.isFinite(frame.seq)) this.#refused(frame);
    else if (Number.isFinite(frame.seq)) {
      applyFrame(chat, frame);
      if (frame.type === "message") this.#hearMessage(frame, me);
      if (WHOLE.has(frame.type) && frame.user?.id !== me) this.heard(findTurn(chat, frame.message_id) ?? {});
      if (chat.torn || (chat.known && !chat.owner)) this.#read(); // whoever begins one is not told who owns it
    }
    this.changed();
  }

  #hearMessage({ user, id }, me) {
    this.#typing.delete(user?.id);
    if (user?.id === me && id === this.#sending?.id) this.#sending = null;
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
  }

  async #read() {
    try {
      const told = await readConversation(this.chat.id);
      if (this.#isLeft) return;
      loadConversation(this.chat, told);
      this.#phase = "here";
      this.#following = false;
      if (this.link.isKnown) this.#follow();
      this.#tellAgain();
    } catch (error) {
      if (this.#isLeft) return;
      if (error.status === 404) this.#notBegun();
      else if (error.status === 403 || error.status === 400) [this.#phase, this.#problem] = ["refused", error.message];
      else this.toast(error.message, { tone: "error" });
    }
    this.changed();
  }

  #notBegun() {
    this.#phase = "new";
    this.#tellAgain();
  }

  #follow() {
    if (this.#following) return;
    this.#following = this.say({ type: "resume", after: this.chat.cursor || "start" });
  }
}
