// One WebSocket that comes back by itself, after the last event it has seen: of the session feed, or whatever
// `protocol` it is told to speak.
//
// A client of its own right, too:
//   new Connection({ path: "/ws/events/my-session", batch_size: 50, onEvents: console.log }).open("start");

/** How the session feed is spoken: where to go on from stands in the address. */
export const SESSION_FEED = {
  query: (cursor, { batch_size }) => ({ after: cursor, batch_size: String(batch_size) }),
  greeting: () => null, // what to say first, after a cursor
  ping: '{"type":"ping"}',
  eventsOf: (frame) => (frame.type === "batch" ? frame.events : null), // null: a notice
  refusalOf: () => null, // {message, retryable} if nothing will come any more, although the socket is open
};

const SILENT = new Set(["pong", "ping", "checkpoint", "subscribed"]); // they say nothing to who watches

export const DEFAULTS = {
  protocol: SESSION_FEED,
  path: "/ws/events",
  query: {}, // more of the address, such as {filter: {...}} or {poll_interval: 250}
  batch_size: 200,
  reconnect_interval_ms: 1_000,
  max_reconnect_interval_ms: 30_000,
  max_reconnect_attempts: 0, // 0: never give up
  ping_interval_ms: 25_000,
  onEvents: () => {}, // (events, frame)
  onNotice: () => {}, // ({type: "gap" | "reset" | "end" | "error", ...}): something is told, not skipped
  onState: () => {}, // see `state`
  WebSocket: globalThis.WebSocket,
  random: Math.random,
};

const COMES_BACK = new Set([1001, 1006, 1011, 1012, 1013]);
const QUIET_MS = 350; // nothing for so long: the replay has caught up
const WORDS = {
  1000: "the session has ended", 1002: "protocol error", 1003: "unsupported data", 1007: "invalid data",
  1008: "the server refused the connection", 1009: "a message was too large",
};

export class Connection {
  #options;
  #socket = null;
  #cursor = "now";
  #attempt = 0;
  #timers = {};
  #resumed = null;
  #refusal = null;
  #unanswered = false; // a ping, for which a background page's slow clock does not matter

  /** {phase: "connecting" | "live" | "waiting" | "offline" | "closed", attempt, retryAt, reason, code, resumed} */
  state = { phase: "closed", reason: "" };

  constructor(options) {
    this.#options = { ...DEFAULTS, ...options };
  }

  get cursor() {
    return this.#cursor;
  }

  /** Connect, for all after a cursor ("now", "start" or one that was told). */
  open(after) {
    this.close();
    this.#cursor = after;
    this.#attempt = 0;
    this.#resumed = null;
    this.#connect();
  }

  /** Leave for good. Nothing is called back after it. */
  close() {
    this.#clearTimers();
    const socket = this.#socket;
    this.#socket = null;
    if (socket?.readyState === 0) socket.onopen = () => socket.close(1000); // browsers complain of one broken off
    else socket?.close(1000);
  }

  /** Say something, a text or bytes; false if there is no connection now. */
  send(data) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(data);
    return true;
  }

  /** Do not wait any longer: try now. */
  retry() {
    if (this.state.phase !== "waiting" && this.state.phase !== "offline") return;
    this.#attempt = Math.min(this.#attempt, 1);
    this.#clearTimers();
    this.#connect();
  }

  #connect() {
    this.#refusal = null;
    this.#tell({ phase: "connecting", attempt: this.#attempt });
    const socket = new this.#options.WebSocket(this.#address());
    this.#socket = socket;
    socket.onopen = () => this.#isCurrent(socket) && this.#opened();
    socket.onmessage = ({ data }) => this.#isCurrent(socket) && this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#isCurrent(socket) && this.#closed(code, reason);
  }

  #isCurrent(socket) {
    return this.#socket === socket;
  }

  #address() {
    const { path, query, protocol } = this.#options;
    const address = new URL(path, globalThis.location?.href ?? "http://localhost");
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    for (const [name, value] of Object.entries({ ...protocol.query(this.#cursor, this.#options), ...query })) {
      address.searchParams.set(name, typeof value === "string" ? value : JSON.stringify(value));
    }
    return address.href;
  }

  #opened() {
    const comesBack = this.#attempt > 0;
    this.#resumed = comesBack ? { events: 0, missed: false, settled: false } : null;
    this.#unanswered = false;
    const greeting = this.#options.protocol.greeting(this.#cursor);
    if (greeting) this.#socket.send(greeting);
    this.#timers.ping = setInterval(() => this.#ping(), this.#options.ping_interval_ms);
    this.#tell({ phase: "live", resumed: this.#resumed });
    if (comesBack) this.#settleSoon();
  }

  #receive(data) {
    this.#unanswered = false;
    const frame = JSON.parse(data);
    const events = this.#options.protocol.eventsOf(frame);
    if (events) return this.#receiveEvents(events, frame);
    if (frame.cursor) this.#cursor = frame.cursor;
    if (frame.type === "error") this.#refusal = frame;
    if (SILENT.has(frame.type)) return;
    const refused = this.#options.protocol.refusalOf(frame);
    if (refused) return this.#leave(refused);
    if (this.#resumed && (frame.type === "gap" || frame.type === "reset")) this.#resumed.missed = true;
    this.#options.onNotice(frame);
  }

  #receiveEvents(events, frame) {
    this.#cursor = events.at(-1)?.cursor ?? this.#cursor;
    if (this.#resumed && !this.#resumed.settled) {
      this.#resumed.events += events.length;
      this.#settleSoon();
    }
    this.#options.onEvents(events, frame);
  }

  #leave({ message, retryable }) {
    const socket = this.#socket;
    this.#closed(retryable ? 1013 : 1008, message);
    socket.close(1000);
  }

  #settleSoon() {
    clearTimeout(this.#timers.settle);
    this.#timers.settle = setTimeout(() => {
      this.#resumed.settled = true;
      this.#attempt = 0;
      this.#tell({ phase: "live", resumed: this.#resumed });
    }, QUIET_MS);
  }

  #ping() {
    const socket = this.#socket;
    if (socket?.readyState !== 1) return;
    if (this.#unanswered) {
      this.#closed(1006, "no answer");
      socket.close();
    } else {
      this.#unanswered = true;
      socket.send(this.#options.protocol.ping);
    }
  }

  #closed(code, reason) {
    this.#clearTimers();
    this.#socket = null;
    const told = this.#refusal?.message || reason || WORDS[code] || `closed with ${code}`;
    if (!COMES_BACK.has(code)) return this.#tell({ phase: "closed", code, reason: told });
    const { max_reconnect_attempts: most } = this.#options;
    if (most && this.#attempt >= most) return this.#tell({ phase: "offline", code, reason: told });
    const wait = this.#backoff();
    this.#attempt += 1;
    this.#timers.retry = setTimeout(() => this.#connect(), wait);
    this.#tell({ phase: "waiting", attempt: this.#attempt, retryAt: Date.now() + wait, code, reason: told });
  }

  /** Doubling, and spread over half of it, so that all clients of a restarted server do not come at once. */
  #backoff() {
    const { reconnect_interval_ms: base, max_reconnect_interval_ms: most, random } = this.#options;
    const wait = Math.min(most, base * 2 ** Math.min(this.#attempt, 10));
    return Math.round(wait * (0.5 + random() / 2));
  }

  #clearTimers() {
    clearTimeout(this.#timers.retry);
    clearTimeout(this.#timers.settle);
    clearInterval(this.#timers.ping);
  }

  #tell(state) {
    this.state = { attempt: 0, retryAt: 0, code: 0, reason: "", resumed: null, ...state };
    this.#options.onState(this.state);
  }
}
