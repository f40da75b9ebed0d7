import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { load } from "./support.mjs";

const { Connection } = await load("connection.js");

/** A WebSocket that does what the test says. */
class Socket {
  static all = [];
  readyState = 1;
  sent = [];
  constructor(address) {
    this.address = new URL(address);
    Socket.all.push(this);
  }
  send(text) {
    this.sent.push(text);
  }
  close() {}
  batch(...cursors) {
    this.onmessage({ data: JSON.stringify({ type: "batch", events: cursors.map((cursor) => ({ cursor })) }) });
  }
}

function connect(t, options = {}) {
  mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
  t.after(() => mock.timers.reset());
  Socket.all = [];
  const told = { states: [], events: 0, notices: [] };
  const connection = new Connection({
    WebSocket: Socket, random: () => 1, ...options,
    onState: (state) => told.states.push(structuredClone(state)),
    onEvents: (events) => (told.events += events.length),
    onNotice: (frame) => told.notices.push(frame.type),
  });
  connection.open("now");
  return { connection, told };
}

const last = () => Socket.all.at(-1);
const phase = (told) => told.states.at(-1).phase;

test("it comes back after the last event it has seen", (t) => {
  const { told } = connect(t, { batch_size: 7 });
  assert.equal(last().address.searchParams.get("after"), "now");
  assert.equal(last().address.searchParams.get("batch_size"), "7");
  last().onopen();
  last().batch("c1", "c2");
  last().onclose({ code: 1012, reason: "restart" });
  assert.deepEqual([phase(told), told.states.at(-1).retryAt - Date.now()], ["waiting", 1_000]);
  mock.timers.tick(1_000);
  assert.equal(last().address.searchParams.get("after"), "c2");
  last().onopen();
  last().batch("c3");
  last().batch("c4");
  mock.timers.tick(400);
  assert.deepEqual(told.states.at(-1).resumed, { events: 2, missed: false, settled: true });
});

test("a gap while resuming is told", (t) => {
  const { told } = connect(t);
  last().onopen();
  last().onclose({ code: 1006 });
  mock.timers.tick(1_000);
  last().onopen();
  last().onmessage({ data: JSON.stringify({ type: "gap", cursor: "g", events: [] }) });
  mock.timers.tick(400);
  assert.equal(told.states.at(-1).resumed.missed, true);
  assert.deepEqual(told.notices, ["gap"]);
});

test("it waits longer each time, up to a bound", (t) => {
  const { told } = connect(t, { reconnect_interval_ms: 100, max_reconnect_interval_ms: 1_000 });
  const waits = [];
  for (let times = 0; times < 6; times += 1) {
    last().onclose({ code: 1006 });
    waits.push(told.states.at(-1).retryAt - Date.now());
    mock.timers.tick(waits.at(-1));
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1_000, 1_000]);
});

for (const code of [1001, 1006, 1011, 1012, 1013]) {
  test(`${code} means: come back`, (t) => {
    const { told } = connect(t);
    last().onclose({ code });
    assert.equal(phase(told), "waiting");
  });
}

for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 4001]) {
  test(`${code} is final`, (t) => {
    const { told } = connect(t);
    last().onclose({ code });
    assert.equal(phase(told), "closed");
    assert.ok(told.states.at(-1).reason);
  });
}

test("the server's own words are the reason", (t) => {
  const { told } = connect(t);
  last().onopen();
  last().onmessage({ data: JSON.stringify({ type: "error", message: "filter: no.", events: [] }) });
  last().onclose({ code: 1008, reason: "invalid_filter" });
  assert.equal(told.states.at(-1).reason, "filter: no.");
});

test("it gives up after so many attempts, until asked", (t) => {
  const { connection, told } = connect(t, { max_reconnect_attempts: 2 });
  for (let times = 0; times < 3; times += 1) {
    last().onclose({ code: 1006 });
    mock.timers.tick(60_000);
  }
  assert.equal(phase(told), "offline");
  connection.retry();
  assert.equal(phase(told), "connecting");
});

test("a server that does not answer pings is left", (t) => {
  const { told } = connect(t, { ping_interval_ms: 1_000 });
  last().onopen();
  mock.timers.tick(1_000);
  assert.deepEqual(last().sent, ['{"type":"ping"}']);
  last().onmessage({ data: '{"type":"pong","events":[]}' });
  mock.timers.tick(1_000);
  assert.equal(phase(told), "live");
  mock.timers.tick(1_000);
  assert.equal(phase(told), "waiting");
});

test("closed is closed", (t) => {
  const { connection, told } = connect(t);
  const first = last();
  connection.close();
  first.onclose({ code: 1006 });
  mock.timers.tick(60_000);
  assert.equal(Socket.all.length, 1);
  assert.equal(told.events, 0);
});
