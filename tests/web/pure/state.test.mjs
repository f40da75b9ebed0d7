import assert from "node:assert/strict";
import { test } from "node:test";
import { call, event, load, result } from "./support.mjs";

const { Links, buildForest, mainAgents } = await load("forest.js");
const { flatten, ownTokens, pathTo, secondsOf, stateOf, summaryOf } = await load("state.js");

const view = (more = {}) => ({
  collapsed: new Set(), unfolded: new Set(), expanded: new Set(), ended: new Set(), certain: true, ...more,
});
const shape = (nodes) => nodes.map((node) => [node.event.event_id, ...(node.children.length ? [shape(node.children)] : [])]);

test("a call and its result are one row", () => {
  const [node, ...rest] = buildForest([call("t1"), result("t1", { execution_duration_seconds: 2.5 })]);
  assert.equal(rest.length, 0);
  assert.equal(node.result.event_id, "t1:result");
  assert.equal(secondsOf(node), 2.5);
  assert.equal(stateOf(node, view()), "done");
});

test("a call runs until its result is there, if the end is in sight", () => {
  const [node] = buildForest([call("t1")]);
  assert.equal(stateOf(node, view()), "running");
  assert.equal(stateOf(node, view({ certain: false })), "unknown");
  assert.equal(stateOf(node, view({ ended: new Set(["s"]) })), "unknown");
});

test("a call told in one event, as documented clients post it, is done", () => {
  const [node] = buildForest([call("t1", { status: "completed", execution_duration_seconds: 0.4 })]);
  assert.equal(stateOf(node, view()), "done");
  assert.equal(secondsOf(node), 0.4);
});

test("a failed result makes the call fail", () => {
  const [node] = buildForest([call("t1"), result("t1", { event_type: "error", status: "error" })]);
  assert.equal(stateOf(node, view()), "error");
});

test("a result without its call stands alone until the call is loaded", () => {
  const late = [result("t1"), event("m")];
  assert.deepEqual(shape(buildForest(late)), [["t1:result"], ["m"]]);
  assert.deepEqual(shape(buildForest([call("t1"), ...late])), [["t1"], ["m"]]);
});

test("a result that comes before its call joins it", () => {
  const roots = buildForest([result("t1"), call("t1")]);
  assert.deepEqual(shape(roots), [["t1"]]);
  assert.equal(roots[0].result.event_id, "t1:result");
});

test("a subagent stands under the call that started it", () => {
  const events = [
    call("task", { tool_name: "Task" }),
    event("agent:a1", { event_type: "delegation", agent_id: "a1", parent_event_id: "task" }),
    call("inner", { agent_id: "a1" }),
    event("main"),
    result("inner", { agent_id: "a1" }),
    result("task", { tool_name: "Task" }),
  ];
  const roots = buildForest(events);
  assert.deepEqual(shape(roots), [["task", [["inner"]]], ["main"]]);
  assert.equal(roots[0].delegation.event_id, "agent:a1");
});

test("without a delegation event, the first event's parent tells who started a subagent", () => {
  const events = [
    call("task"), event("one", { agent_id: "a1", parent_event_id: "task" }), event("two", { agent_id: "a1", parent_event_id: "one" }),
  ];
  assert.deepEqual(shape(buildForest(events)), [["task", [["one"], ["two"]]]]);
});

test("subagents nest", () => {
  const events = [
    call("outer"), event("d1", { event_type: "delegation", agent_id: "a1", parent_event_id: "outer" }),
    call("inner", { agent_id: "a1" }), event("d2", { event_type: "delegation", agent_id: "a2", parent_event_id: "inner" }),
    event("deep", { agent_id: "a2" }),
  ];
  assert.deepEqual(shape(buildForest(events)), [["outer", [["inner", [["deep"]]]]]]);
});

test("who started a subagent is remembered when the call is not loaded any more", () => {
  const links = new Links();
  const start = [call("task"), event("d", { event_type: "delegation", agent_id: "a1", parent_event_id: "task" })];
  const step = event("step", { agent_id: "a1" });
  buildForest([...start, step], links);
  const [group] = buildForest([step], links);
  assert.equal(group.kind, "group");
  assert.deepEqual(shape(group.children), [["step"]]);
  assert.deepEqual(shape(buildForest([...start, step], links)), [["task", [["step"]]]]);
});

test("usage is noted on what it paid for", () => {
  const [node, ...rest] = buildForest([
    call("t1", { cost_tokens: 5 }),
    event("t1:usage", { event_type: "usage", cost_tokens: 7, usage: { input_tokens: 3 } }),
    event("r", { event_type: "api_request", cost_tokens: 11, cost_usd: 0.02 }),
  ]);
  assert.equal(rest.length, 0);
  const { out, input, usd } = ownTokens(node);
  assert.deepEqual([out, input, usd], [23, 3, 0.02]);
});

test("sessions do not mix", () => {
  const events = [call("t1"), result("t1", { session_id: "other" })];
  assert.equal(buildForest(events).length, 2);
});

test("many steps are folded to the last ones, until unfolded", () => {
  const steps = Array.from({ length: 30 }, (_, at) => event(`s${at}`, { agent_id: "a1", parent_event_id: at ? null : "task" }));
  const roots = buildForest([call("task"), ...steps]);
  const rows = flatten(roots, view());
  assert.equal(rows[1].type, "fold");
  assert.equal(rows[1].folded, 22);
  assert.equal(rows.length, 2 + 8);
  assert.equal(flatten(roots, view({ unfolded: new Set([roots[0].key]) })).length, 31);
  assert.equal(flatten(roots, view({ collapsed: new Set([roots[0].key]) })).length, 1);
  assert.deepEqual(pathTo(roots, "s\ns0"), [roots[0].key, "s\ns0"]);
});

test("a long silence and another day stand between the rows", () => {
  const at = (id, timestamp) => event(id, { timestamp });
  const rows = flatten(buildForest([
    at("a", "2026-01-01T12:00:00Z"), at("b", "2026-01-01T12:05:00Z"), at("c", "2026-01-01T12:30:00Z"), at("d", "2026-01-04T12:30:00Z"),
  ]), view());
  assert.deepEqual(rows.map((row) => row.type), ["node", "node", "idle", "node", "day", "node"]);
});

test("a row's version changes with what it shows, and only then", () => {
  const events = [call("t1")];
  const versions = () => flatten(buildForest(events), view()).map((row) => row.version);
  const before = versions();
  assert.deepEqual(versions(), before);
  events.push(result("t1"));
  assert.notDeepEqual(versions(), before);
});

test("a subagent's steps are added up", () => {
  const [node] = buildForest([
    call("task"), call("a", { agent_id: "a1", parent_event_id: "task", cost_tokens: 10 }),
    result("a", { agent_id: "a1", event_type: "error", status: "error" }), event("b", { agent_id: "a1", cost_tokens: 5 }),
  ]);
  const { steps, tools, errors, tokens } = summaryOf(node);
  assert.deepEqual([steps, tools, errors, tokens.out], [2, 1, 1, 15]);
});

const delegated = (id, fields) => event(id, { event_type: "delegation", ...fields });

test("a subagent stands under its delegation, whatever that is called", () => {
  const links = new Links(() => "explorer");
  const events = [
    event("p", { agent_id: "explorer", event_type: "user_prompt" }),
    delegated("agent:tests:1", { agent_id: "tests", agent_type: "tests" }),
    call("c1", { agent_id: "tests", parent_event_id: "agent:tests:1" }),
    result("c1", { agent_id: "tests" }),
    event("m", { agent_id: "tests" }),
    delegated("agent:tests:2", { agent_id: "tests", agent_type: "tests" }),
    event("n", { agent_id: "tests" }),
    event("e", { agent_id: "explorer" }),
  ];
  const roots = buildForest(events, links);
  assert.deepEqual(shape(roots), [["p"], ["agent:tests:1", [["c1"], ["m"]]], ["agent:tests:2", [["n"]]], ["e"]]);
  const rows = flatten(roots, view({ isMain: mainAgents(events, links) }));
  assert.deepEqual(rows.filter((row) => row.isStranger).map((row) => row.node.event.event_id), ["agent:tests:1", "agent:tests:2"]);
});

test("the session's own agent is the one of its first prompt, if nothing else is known", () => {
  const events = [event("p", { agent_id: "mine", event_type: "user_prompt" }), event("m", { agent_id: "mine", source: "hook" })];
  assert.deepEqual(shape(buildForest(events)), [["p"], ["m"]]);
  assert.ok(mainAgents(events, new Links())(events[1]));
});

test("a delegation whose call is not there is told once", () => {
  const events = [
    event("m"), delegated("d", { agent_id: "a1", agent_type: "Explore", parent_event_id: "gone", source: "transcript" }),
    event("step", { agent_id: "a1", source: "transcript" }),
  ];
  const roots = buildForest(events);
  assert.deepEqual(shape(roots), [["m"], ["d", [["step"]]]]);
  assert.deepEqual(shape(buildForest([call("gone"), ...events])), [["gone", [["step"]]], ["m"]]);
  assert.deepEqual(shape(buildForest([...events, call("gone")])), [["m"], ["gone", [["step"]]]]);
});

test("steps that the log tells before their delegation come under it", () => {
  const steps = [event("s1", { agent_id: "a1", source: "hook" }), event("s2", { agent_id: "a1", source: "hook" })];
  assert.deepEqual(shape(buildForest([...steps, delegated("d", { agent_id: "a1" })])), [["d", [["s1"], ["s2"]]]]);
  const under = [call("t"), ...steps, delegated("d", { agent_id: "a1", parent_event_id: "t" })];
  assert.deepEqual(shape(buildForest(under)), [["t", [["s1"], ["s2"]]]]);
});

test("what is told late of a subagent stands where it began", () => {
  const late = { agent_id: "a1", source: "transcript", timestamp: "2026-01-01T10:00:30Z" };
  const at = (id, timestamp) => event(id, { timestamp });
  const roots = buildForest([at("a", "2026-01-01T10:00:00Z"), at("b", "2026-01-01T10:01:00Z"), event("s", late)]);
  assert.deepEqual(roots.map((node) => [node.kind, node.event.event_id]), [["message", "a"], ["group", "s"], ["message", "b"]]);
});

test("a result that passes a filter without its call gets it back", () => {
  const lost = { get: (session, id) => (id === "t1" ? call("t1", { session_id: session, input_summary: "make it" }) : undefined) };
  const [node, alone] = buildForest([
    result("t1", { event_type: "error", status: "error" }), result("t2", { event_type: "error", status: "error" }),
  ], new Links(), lost);
  assert.deepEqual([node.kind, node.event.input_summary, stateOf(node, view()), alone.kind], ["call", "make it", "error", "result"]);
});
