import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { load } from "./support.mjs";

const { Connection } = await load("connection.js");
const { protocolOf } = await load("runs/native.js");
const { formatRoute, parseRoute } = await load("runs/route.js");

class Socket {
  static all = [];
  readyState = 1;
  sent = [];
  constructor(address) {
    this.address = new URL(address);
    Socket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.closed = true;
  }
  say(frame) {
    this.onmessage({ data: JSON.stringify(frame) });
  }
}

function watch(t, stream, types = null) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  t.after(() => mock.timers.reset());
  Socket.all = [];
  const told = { events: [], notices: [], states: [] };
  const connection = new Connection({
    path: "/api/v1/stream", protocol: protocolOf(stream, types), WebSocket: Socket, random: () => 1,
    onEvents: (events) => told.events.push(...events.map(({ seq }) => seq)), onNotice: ({ type }) => told.notices.push(type),
    onState: ({ phase, reason }) => told.states.push([phase, reason]),
  });
  connection.open("start");
  return { connection, told, socket: () => Socket.all.at(-1) };
}

test("it subscribes when it is open, and comes back after the last event it has seen", (t) => {
  const { told, socket } = watch(t, "plan:p", ["plan_started"]);
  assert.equal(socket().address.pathname + socket().address.search, "/api/v1/stream");
  assert.deepEqual(socket().sent, []);
  socket().onopen();
  assert.deepEqual(socket().sent, [{ op: "subscribe", id: "s", stream: "plan:p", after: "start", filter: { event_types: ["plan_started"] } }]);
  socket().say({ type: "subscribed", id: "s" });
  socket().say({ type: "events", events: [{ seq: 1, cursor: "c1" }, { seq: 2, cursor: "c2" }], cursor: "c2" });
  socket().say({ type: "checkpoint", cursor: "c7" });
  socket().say({ type: "ping" });
  socket().onclose({ code: 1012, reason: "" });
  mock.timers.tick(1_000);
  socket().onopen();
  assert.equal(socket().sent[0].after, "c7");
  assert.deepEqual([told.events, told.notices], [[1, 2], []]);
});

test("a refused subscription closes it for good", (t) => {
  const { told, socket } = watch(t, "plan:p");
  socket().onopen();
  socket().say({ type: "error", id: "s", code: "forbidden", message: "You may not read plan:p.", retryable: false });
  assert.deepEqual(told.states.at(-1), ["closed", "You may not read plan:p."]);
  assert.ok(socket().closed);
});

test("one that may be tried again is", (t) => {
  const { told, socket } = watch(t, "plan:p");
  socket().onopen();
  socket().say({ type: "error", id: "s", code: "busy", message: "Busy.", retryable: true });
  assert.equal(told.states.at(-1)[0], "waiting");
});

test("what is missing is told", (t) => {
  const { told, socket } = watch(t, "workflow:w");
  socket().onopen();
  socket().say({ type: "gap", first_seq: 1, last_seq: 3, cursor: "c3" });
  socket().say({ type: "reset", cursor: "" });
  assert.deepEqual(told.notices, ["gap", "reset"]);
});

test("addresses lead back to what they name", () => {
  const at = (url) => parseRoute("/plans", new URL(url, "http://x"));
  assert.deepEqual([at("/plans").id, at("/plans").isNew], [null, false]);
  assert.equal(at(formatRoute("/plans", { id: "a b/ü" })).id, "a b/ü");
  assert.equal(at("/plans/%E0%A4%A").id, "%E0%A4%A");
  assert.equal(formatRoute("/plans", { isNew: true }), "/plans?new");
  const again = at(formatRoute("/plans", { isNew: true, query: { from: "p&1" } }));
  assert.deepEqual([again.isNew, again.query.get("from")], [true, "p&1"]);
});
