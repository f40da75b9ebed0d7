// The connection to the chat: says who one is, then what one says; tells frames. It comes back by itself.

import { Connection } from "../connection.js";

const PATH = "/ws/chat";

export class ChatLink {
  #connection;
  #identity;
  #isAsking = false;
  #waiting = new Set(); // those who wait until one is known

  /** `onFrame(frame)` gets all frames but what is about the connection itself; `onKnown(user)` when one is known, each time anew. */
  constructor({ identity, onFrame, onKnown, onLost, onState }) {
    this.#identity = identity;
    this.onFrame = onFrame;
    this.onKnown = onKnown;
    this.onLost = onLost;
    this.isKnown = false;
    this.round = 0; // which connection this is
    this.#connection = new Connection({
      path: PATH,
      query: { partial: "0", sessions: "1" }, // and be told which conversations have changed
      protocol: {
        query: () => ({}),
        greeting: () => (identity.token ? this.#auth() : null),
        ping: '{"type":"ping"}',
        eventsOf: (frame) => (Number.isFinite(frame.seq) ? [frame] : null),
        refusalOf: () => null,
      },
      onEvents: (frames) => frames.forEach((frame) => this.onFrame(frame)),
      onNotice: (frame) => this.#noticed(frame),
      onState: (state) => {
        if (state.phase === "connecting") this.round += 1;
        if (state.phase !== "live") this.isKnown = false;
        onState(state);
      },
    });
  }

  get state() {
    return this.#connection.state;
  }

  open() {
    this.#connection.open("now");
  }

  retry() {
    if (this.state.phase === "closed") this.open();
    else this.#connection.retry();
  }

  /** False if one is not connected, or not known yet. */
  say(frame) {
    return this.isKnown && this.#connection.send(JSON.stringify(frame));
  }

  /** Resolves to whether one can say something now, or within so many milliseconds. */
  whenKnown(ms) {
    if (this.isKnown) return Promise.resolve(true);
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        resolve(this.isKnown);
      };
      this.#waiting.add(done);
      setTimeout(done, ms);
    });
  }

  sayBytes(bytes) {
    return this.isKnown && this.#connection.send(bytes);
  }

  /** Show a fresh token on the connection that is there. */
  renew() {
    if (this.#identity.token) this.#connection.send(this.#auth());
  }

  #auth() {
    return JSON.stringify({ type: "auth", token: this.#identity.token });
  }

  #noticed(frame) {
    if (frame.type === "auth_success") {
      this.isKnown = true;
      this.onKnown(frame.user);
      for (const done of this.#waiting) done();
    } else if (frame.type === "auth_error") {
      this.#unknown(frame.message);
    } else {
      this.onFrame(frame);
    }
  }

  /** The token does not count any more: there may be a next one. */
  async #unknown(message) {
    this.isKnown = false;
    if (this.#isAsking) return;
    this.#isAsking = true;
    const isFresh = await this.#identity.renew();
    this.#isAsking = false;
    if (!isFresh) this.onLost(message);
    else if (this.state.phase === "live") this.renew();
    else this.open();
  }
}
