// One run that is looked at: its stream from the start, folded to what is shown, and followed.

import { resumedWords } from "../notes.js";
import { connectTo } from "./native.js";

const SETTLED_MS = 250; // nothing for so long: what has happened before is all here

export class Run {
  #fold;
  #connection;
  #timer = null;

  /**
   * `fold` is {make(id), apply(state, event)}; `changed()` is called after each change, `say(text, how)` when the
   * connection was lost and is back. Events come once and in order, however often the connection breaks; one that is
   * told again is left out by its number.
   */
  constructor({ id, stream, fold, changed, say }) {
    this.id = id;
    this.changed = changed;
    this.say = say;
    this.settled = false; // false while history is still coming
    this.ended = false; // this run of the stream is over: another may begin under its name
    this.#fold = fold;
    this.state = fold.make(id);
    this.#connection = connectTo(stream, null, {
      onEvents: (events) => this.#receive(events),
      onNotice: (notice) => this.#noticed(notice),
      onState: () => this.#told(),
    });
  }

  get connection() {
    return this.#connection.state;
  }

  open() {
    this.ended = false;
    this.state = this.#fold.make(this.id);
    this.#connection.open("start");
  }

  /** Something was heard of this run elsewhere. */
  heard() {
    if (this.ended) this.open();
  }

  retry() {
    this.#connection.retry();
  }

  close() {
    clearTimeout(this.#timer);
    this.#connection.close();
  }

  #receive(events) {
    for (const event of events) {
      if (event.seq <= this.state.seq) continue;
      this.#fold.apply(this.state, event);
      this.state.seq = event.seq;
    }
    this.#settleSoon();
    this.changed();
  }

  #noticed({ type, first_seq: first, last_seq: last }) {
    if (type === "reset") this.state = this.#fold.make(this.id);
    if (type === "gap") this.state.missing += last - first + 1;
    if (type === "end") this.ended = true;
    this.changed();
  }

  #told() {
    const { resumed } = this.connection;
    if (resumed?.settled) this.say(resumedWords(resumed), { tone: resumed.missed ? "warn" : "good" });
    if (this.connection.phase === "live" && !this.settled) this.#settleSoon();
    this.changed();
  }

  #settleSoon() {
    if (this.settled) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.settled = true;
      this.changed();
    }, SETTLED_MS);
  }
}
