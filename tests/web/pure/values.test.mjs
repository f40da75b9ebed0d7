import assert from "node:assert/strict";
import { test } from "node:test";
import { call, event, load, result } from "./support.mjs";

const format = await load("format.js");
const { titleOfCall, inputOf, toolLabel } = await load("events.js");
const filters = await load("filters.js");
const { formatRoute, parseRoute } = await load("route.js");
const { Timeline, MAX_BUCKETS } = await load("timeline.js");
const { Axis } = await load("axis.js");
const { EventWindow } = await load("window.js");
const { PlayClock } = await load("player.js");
const summaries = await load("summaries.js");

test("numbers and durations in words", () => {
  assert.deepEqual([0, 999, 1000, 12_345, 999_600, 1e9].map(format.compact), ["0", "999", "1k", "12.3k", "1M", "1G"]);
  assert.deepEqual([0.0002, 0.34, 4.21, 59.99, 185, 8040, 273_600].map(format.duration), ["<1\u202fms", "340\u202fms", "4.2\u202fs", "1m 00s", "3m 05s", "2h 14m", "3d 4h"]);
  assert.equal(format.duration(NaN), "–");
});

test("what is invisible or turns the text is shown", () => {
  const parts = format.visibleParts("a\u202eb\u0007\u001b[31mred\u001b[0m\n\tok");
  assert.deepEqual(parts.filter((part) => part.control).map((part) => part.control), ["U+202E", "U+0007"]);
  assert.equal(parts.map((part) => part.text).join(""), "a⟨U+202E⟩b␇red\n\tok");
});

test("an emoji made of several stays one", () => {
  assert.deepEqual(format.visibleParts("👩\u200d💻").length, 1);
});

test("a call's title is what matters of its input", () => {
  const title = (tool_name, input) => titleOfCall(call("x", { tool_name, input_summary: JSON.stringify(input) }));
  assert.equal(title("Bash", { command: "ls\nrm x" }), "ls");
  assert.equal(title("Read", { file_path: "/a/b/c/d.py", offset: 10, limit: 5 }), "…/b/c/d.py:10–14");
  assert.equal(title("TodoWrite", { todos: [{ status: "completed" }, { status: "in_progress", content: "Test" }] }), "1 of 2 done, now: Test");
  assert.equal(title("mcp__x__y", { other: 1, query: "q" }), "q");
  assert.equal(toolLabel("mcp__github__get_issue"), "github · get_issue");
});

test("input that was cut still tells its first fields", () => {
  const cut = call("x", { input_summary: '{"command": "echo \\"a\\"", "text": "long lo… [cut, 99999 characters]' });
  assert.equal(inputOf(cut).command, 'echo "a"');
  assert.equal(titleOfCall(cut), 'echo "a"');
});

test("a filter goes to the address and back, commas and all", () => {
  const filter = { ...filters.NO_FILTER, types: ["tool_call"], tools: ["a,b", "c\\d"], agents: ["x"], cost: 100 };
  assert.deepEqual(filters.fromQuery(new URLSearchParams(filters.toQuery(filter))), filter);
  assert.deepEqual(filters.toServer(filter), {
    event_types: ["tool_call", "tool_result", "error", "usage"], tool_names: ["a,b", "c\\d"], cost_threshold_tokens: 100,
  });
  assert.equal(filters.toServer(filters.NO_FILTER), null);
  assert.ok(filters.passesHere(filter, { agent_id: "x" }) && !filters.passesHere(filter, { agent_id: "y" }));
});

test("an address that makes no sense is no filter", () => {
  const route = parseRoute("?session=s&at=yesterday&cost=-4&type=,,&event=e");
  assert.deepEqual([route.at, route.filter, route.event], [null, { ...filters.NO_FILTER, types: [] }, "e"]);
});

test("a route goes to the address and back", () => {
  const route = { session: "a b&c", chosen: true, filter: filters.NO_FILTER, at: 1_700_000_000_123, event: "x:1" };
  assert.deepEqual(parseRoute(formatRoute(route).slice(1)), route);
  assert.equal(formatRoute(parseRoute("")), "/");
  assert.equal(parseRoute("?session=*").chosen, true);
});

test("a timeline widens its buckets and loses nothing", () => {
  const timeline = new Timeline();
  for (let at = 0; at < 5_000; at += 1) timeline.add(1_700_000_000_000 + at * 1000, 2, at % 10 === 0);
  assert.ok(timeline.buckets.size <= MAX_BUCKETS);
  assert.deepEqual(timeline.total(), { tokens: 10_000, events: 5_000, errors: 500 });
  assert.equal(timeline.until(timeline.first - 1).events, 0);
  assert.equal(timeline.until(timeline.last).tokens, 10_000);
});

test("a timeline goes on from the server's, and is cut to the first and the last event", () => {
  const told = { start: "2026-01-01T00:00:00Z", width_seconds: 60, tokens: [1, 2], events: [1, 1], errors: [0, 1] };
  const at = (time) => Date.parse(`2026-01-01T${time}Z`);
  const timeline = new Timeline(told, { first: at("00:00:50"), last: at("00:01:10") });
  assert.deepEqual(timeline.sorted().map(({ from, to }) => [from, to]), [[at("00:00:50"), at("00:01:00")], [at("00:01:00"), at("00:01:10")]]);
  timeline.add(at("00:03:30"), 5, false);
  timeline.add(Date.parse("2025-12-31T23:00:00Z"), 4, false);
  assert.deepEqual(timeline.sorted().map(({ tokens }) => tokens), [4, 1, 2, 5]);
});

test("idle time is a narrow break, and the rest has its length", () => {
  const start = Date.parse("2026-01-01T12:00:00Z");
  const timeline = new Timeline();
  for (let at = 0; at <= 3_600; at += 1) timeline.add(start + at * 1000, 1, false);
  const late = start + 281 * 86_400_000;
  timeline.add(late, 1, false);
  const axis = new Axis(timeline);
  assert.deepEqual([axis.first, axis.last, axis.stretches.length, axis.breaks.length], [start, late, 2, 1]);
  assert.ok(axis.active < 3_700_000, String(axis.active));
  assert.ok(axis.partOf(start + 1_800_000) > 0.4 && axis.partOf(start + 1_800_000) < 0.5);
  assert.ok(axis.partOf(late) > 0.97);
  for (const time of [start, start + 60_000, late]) assert.ok(Math.abs(axis.timeAt(axis.partOf(time)) - time) < 1_000);
});

test("what the server's wide stretches say little about is coarse", () => {
  const told = (width_seconds) => ({ start: "2026-01-01T00:00:00Z", width_seconds, tokens: [9, 0, 1], events: [500, 0, 1], errors: [] });
  assert.ok(new Timeline(told(131_072)).isCoarse);
  assert.ok(!new Timeline(told(16)).isCoarse);
});

test("the window is bounded at both ends, and knows where to go on", () => {
  const window = new EventWindow({ maxEvents: 100 });
  const events = Array.from({ length: 150 }, (_, at) => event(`e${at}`));
  window.replace({ events: events.slice(50), before: "b", cursor: "end", complete: true });
  assert.equal(window.prepend({ events: events.slice(0, 60), before: null }), 50);
  assert.ok(window.atStart && window.atEnd);
  assert.equal(window.trim("back"), 50);
  assert.equal(window.atEnd, false);
  assert.equal(window.after, events[99].cursor);
  assert.equal(window.append({ events: events.slice(95), cursor: "end", complete: true }), 50);
  assert.equal(window.trim("front"), 50);
  assert.equal(window.before, events[50].cursor);
  assert.deepEqual(window.events.map((one) => one.event_id), events.slice(50).map((one) => one.event_id));
});

test("the window is bounded in characters, too", () => {
  const window = new EventWindow({ maxEvents: 100, maxChars: 10_000 });
  const events = Array.from({ length: 9 }, (_, at) => event(`big${at}`, { output_summary: "x".repeat(3_000) }));
  window.append({ events });
  window.trim("front");
  assert.ok(window.events.length >= 1 && window.events.length <= 3);
  assert.equal(window.events.at(-1).event_id, "big8");
});

test("the clock of time travel", () => {
  const clock = new PlayClock(1_000, 10);
  assert.equal(clock.time(50_000), 1_000);
  clock.play(0);
  assert.equal(clock.time(100), 2_000);
  clock.setSpeed(1, 100);
  assert.equal(clock.time(300), 2_200);
  assert.equal(clock.skip(2_500, 300), null);
  assert.equal(clock.skip(60_000, 300), 60_000 - 700);
  clock.pause(400);
  assert.equal(clock.time(99_999), 2_300);
});

test("a session's state", () => {
  const now = Date.now();
  const session = (more) => ({ ended: false, last: now - 1_000, running: 0, lastType: "message", lastStatus: "recorded", ...more });
  assert.equal(summaries.stateOfSession(session(), now), "running");
  assert.equal(summaries.stateOfSession(session({ last: now - 300_000 }), now), "idle");
  assert.equal(summaries.stateOfSession(session({ last: now - 300_000, running: 1 }), now), "running");
  assert.equal(summaries.stateOfSession(session({ lastType: "error" }), now), "failing");
  assert.equal(summaries.stateOfSession(session({ lastType: "end" }), now), "ended");
});

test("a session counts each live event once", () => {
  const session = summaries.fromServer({ session_id: "s", head: 5, summary: { events: 5, running: 0, tokens: { cost_tokens: 10 } } });
  const started = call("t", { seq: 6, cost_tokens: 3 });
  for (const one of [started, started, result("t", { seq: 7 })]) summaries.applyEvent(session, one, Date.now());
  assert.deepEqual([session.events, session.calls, session.running, session.tokens], [7, 1, 0, 13]);
});

test("sessions are found by any of their words", () => {
  const session = summaries.fromServer({ session_id: "abc", summary: { title: "Fix the login", model: "opus" } });
  assert.ok(summaries.matchesSearch(session, "LOGIN opus"));
  assert.ok(!summaries.matchesSearch(session, "login sonnet"));
});
