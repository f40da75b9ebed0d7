import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { event, load } from "./support.mjs";

const { Travel } = await load("travel.js");
const { timeOf } = await load("events.js");

const START = Date.parse("2026-01-01T12:00:00Z");
const at = (id, seconds) => event(id, { timestamp: new Date(START + seconds * 1000).toISOString() });

/** In the order of the log: what the main agent did, then what its subagent had done meanwhile. */
const LOG = [at("m1", 0), at("m2", 10), at("m3", 100), at("s1", 5), at("s2", 20)];

function travel(t, seconds, { log = LOG, complete = true } = {}) {
  mock.timers.enable({ apis: ["setInterval"] });
  t.after(() => mock.timers.reset());
  const told = { known: [], present: 0, asked: 0 };
  let now = 0;
  const one = new Travel({
    at: START + seconds * 1000, speed: 10, now: () => now, more: async () => (told.asked += 1),
    changed: (what, events) => {
      if (what === "known") told.known.push(...events.map((known) => known.event_id));
      if (what === "present") told.present += 1;
    },
  });
  one.skipIdle = false;
  one.look(log, complete);
  const pass = (ms) => {
    for (let gone = 0; gone < ms; gone += 60) {
      now += 60;
      mock.timers.tick(60);
    }
  };
  return { one, told, pass, known: () => log.filter((known) => one.isKnown(known)).map((known) => known.event_id) };
}

test("what is known is cut by time, wherever it stands in the log", (t) => {
  const { known } = travel(t, 12);
  assert.deepEqual(known(), ["m1", "m2", "s1"]);
});

test("it plays by time, and the present is where nothing is later by time or place", (t) => {
  const { one, told, pass, known } = travel(t, 12);
  one.play();
  pass(1_200);
  assert.deepEqual([told.known, told.present], [["s2"], 0]);
  pass(9_000);
  assert.deepEqual([told.known, told.present], [["s2", "m3"], 1]);
  assert.equal(known().length, LOG.length);
});

test("as long as the log may go on, it is not the present", (t) => {
  const { one, told, pass } = travel(t, 200, { complete: false });
  assert.ok(one.needsMore && !one.isAtPresent);
  one.play();
  pass(600);
  assert.ok(told.asked > 0);
  assert.equal(told.present, 0);
  one.look([...LOG, at("late", 3)], true);
  assert.ok(one.isAtPresent);
});

test("a step goes to the next one by time", async (t) => {
  const { one, told } = travel(t, 6);
  for (let steps = 0; steps < 4; steps += 1) await one.step();
  assert.deepEqual([told.known, told.present, timeOf(LOG[2])], [["m2", "s2", "m3"], 1, one.until]);
});
