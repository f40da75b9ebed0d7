import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { applyToPlan, figuresOf, makePlan, reviewsOf, secondsOfStep, stateOfPlan, stateOfStep } = await load("plans/state.js");
const { planCommands, stepCommands } = await load("plans/commands.js");
const { layOut, pathOf } = await load("plans/layout.js");
const { placeOf, readDocument, writeDocument } = await load("plans/document.js");
const { definitionOf, outlineOf } = await load("plans/outline.js");
const { applyToSummary, describe, summarise } = await load("plans/summary.js");
const { SAMPLES } = await load("plans/samples.js");

const START = Date.UTC(2026, 0, 1, 12);
const event = (type, step, data, second = 0) => ({ type, data: { step_id: step, data }, time: new Date(START + second * 1000).toISOString() });

function fold(...events) {
  const plan = makePlan("p");
  events.forEach((one, at) => applyToPlan(plan, { ...one, seq: at + 1 }));
  return plan;
}

const steps = [{ step_id: "a", name: "A" }, { step_id: "b" }, { step_id: "c", depends_on: ["a", "b"], quality_gate: { min_score: 0.8, on_fail: "review" } }];
const begun = event("plan_started", null, { name: "Plan", steps, total_steps: 3, managed: true });
const states = (plan) => Object.fromEntries([...plan.steps.values()].map((step) => [step.id, stateOfStep(plan, step)]));
const commands = (plan, id) => stepCommands(plan, plan.steps.get(id)).map(({ command }) => command);

test("a step waits, is ready, runs, and is done", () => {
  const plan = fold(begun, event("step_started", "a", { attempt: 1 }, 1), event("step_progress", "a", { progress: 0.5, message: "half" }, 2));
  assert.deepEqual(states(plan), { a: "running", b: "ready", c: "waiting" });
  assert.deepEqual([plan.steps.get("a").progress, plan.steps.get("a").message], [0.5, "half"]);
  assert.equal(secondsOfStep(plan.steps.get("a"), START + 4_000), 3);
  const later = fold(begun, event("step_completed", "a", { result: "R", seconds: 2 }), event("step_skipped", "b", { reason: "no need" }));
  assert.deepEqual(states(later), { a: "completed", b: "skipped", c: "ready" });
  assert.deepEqual([later.steps.get("a").result, figuresOf(later, START).done], ["R", 2]);
});

test("types may be in upper case, as older clients publish them", () => {
  const plan = fold(event("PLAN_STARTED", null, { query: "Q", total_steps: 2 }), event("STEP_STARTED", "s1", { name: "One" }), event("STEP_COMPLETED", "s1", { found: 3 }));
  assert.deepEqual([plan.status, plan.query, states(plan), plan.steps.get("s1").result], ["running", "Q", { s1: "completed" }, { found: 3 }]);
  assert.deepEqual(planCommands(plan), []); // somebody else runs it
});

test("a failed attempt is tried again, and kept", () => {
  const plan = fold(begun, event("step_started", "a", { attempt: 1 }), event("step_failed", "a", { error: "no", attempt: 1, will_retry: true }));
  assert.equal(states(plan).a, "retrying");
  applyToPlan(plan, event("step_started", "a", { attempt: 2 }));
  assert.deepEqual([states(plan).a, plan.steps.get("a").attempt, plan.steps.get("a").error, plan.steps.get("a").failures.length], ["running", 2, "", 1]);
});

test("a gate may ask a person", () => {
  const plan = fold(begun, event("quality_check", "c", { quality_score: 0.6, min_score: 0.8, passed: false }), event("review_required", "c", { gate: "c", reason: "too low", quality_score: 0.6, result: "draft" }));
  assert.deepEqual([stateOfPlan(plan), states(plan).c, reviewsOf(plan)[0].review.reason, plan.steps.get("c").result], ["review", "review", "too low", "draft"]);
  applyToPlan(plan, event("review_resolved", "c", { gate: "c", approved: true }));
  applyToPlan(plan, event("step_completed", "c", { result_seq: 3 }));
  assert.deepEqual([stateOfPlan(plan), states(plan).c, plan.steps.get("c").result], ["running", "completed", "draft"]);
});

test("a failed plan is taken up again, and a cancelled one stops what runs", () => {
  const failed = fold(begun, event("step_failed", "a", { error: "no", will_retry: false }), event("plan_failed", null, { error: "a failed" }));
  assert.deepEqual([failed.status, failed.error, states(failed)], ["failed", "a failed", { a: "failed", b: "unreached", c: "unreached" }]);
  assert.deepEqual(commands(failed, "a"), ["retry", "skip"]);
  applyToPlan(failed, event("plan_resumed", null, {}));
  applyToPlan(failed, event("step_retrying", "a", { attempt: 2, delay_s: 0 }));
  assert.deepEqual([failed.status, states(failed)], ["running", { a: "retrying", b: "ready", c: "waiting" }]);
  const cancelled = fold(begun, event("step_started", "a", {}), event("plan_cancelled", null, { reason: "enough" }));
  assert.deepEqual([cancelled.status, states(cancelled), commands(cancelled, "a")], ["cancelled", { a: "cancelled", b: "unreached", c: "unreached" }, []]);
});

test("only what makes sense is offered", () => {
  const names = (plan) => planCommands(plan).map(({ command }) => command);
  const plan = fold(begun, event("step_started", "a", {}));
  assert.deepEqual([names(plan), commands(plan, "a"), commands(plan, "b")], [["pause", "cancel"], ["skip"], ["skip", "remove"]]);
  applyToPlan(plan, event("plan_paused", null, {}));
  assert.deepEqual(names(plan), ["resume", "cancel"]);
});

test("a plan may be changed while it runs", () => {
  const plan = fold(
    begun, event("step_added", "d", { step: { step_id: "d", depends_on: ["c"] } }), event("dependencies_changed", "d", { depends_on: ["a"] }),
    event("step_removed", "b", {}), event("steps_reordered", null, { order: ["d", "c"] }),
  );
  assert.deepEqual([...plan.steps.values()].map(({ id, dependsOn }) => [id, dependsOn]), [["d", ["a"]], ["c", ["a"]], ["a", []]]);
});

test("nonsense is taken without harm", () => {
  const plan = fold(
    event("step_started", null, null), { type: "step_failed", data: 7, time: "?" }, event("plan_started", null, { steps: [null, { step_id: 4 }, { step_id: "x", depends_on: "y" }] }),
    event("steps_reordered", null, { order: [["x"], 3] }), event("step_progress", "x", { progress: "half" }), event("__proto__", "x", {}),
  );
  assert.deepEqual([...plan.steps.keys()], ["x"]);
});

const SIZE = { width: 100, height: 40, gap: 30, space: 10 };
const node = (id, ...dependsOn) => ({ id, dependsOn });

test("every step stands after those that it waits for, and no two in one place", () => {
  const graph = [node("a"), node("b"), node("c", "a", "b"), node("d", "a"), node("e", "c", "a"), node("f", "e", "d")];
  for (const down of [false, true]) {
    const { nodes, edges, width, height } = layOut(graph, SIZE, down);
    const at = new Map(nodes.map((one) => [one.id, one]));
    for (const { id, dependsOn } of graph) for (const from of dependsOn) assert.ok(at.get(from).layer < at.get(id).layer);
    for (const one of nodes) for (const other of nodes) {
      if (one === other) continue;
      assert.ok(Math.abs(one.x - other.x) >= SIZE.width || Math.abs(one.y - other.y) >= SIZE.height, `${one.id} and ${other.id}`);
    }
    assert.equal(edges.length, 7);
    for (const { x, y } of nodes) assert.ok(x > 0 && y > 0 && x < width && y < height);
    for (const edge of edges) assert.match(pathOf(edge, SIZE, down), /^M[\d. -]+(C[\d. -]+)+$/);
  }
});

test("a long line passes beside the boxes of the layers between", () => {
  const { nodes, edges } = layOut([node("a"), node("b", "a"), node("c", "b"), node("d", "c", "a")], SIZE);
  const long = edges.find(({ from, to }) => from === "a" && to === "d");
  assert.equal(long.points.length, 6);
  for (const { x, y } of long.points.slice(1, -1)) {
    assert.ok(nodes.every((box) => Math.abs(box.x - x) > SIZE.width / 2 || Math.abs(box.y - y) >= SIZE.height / 2), `${x} ${y}`);
  }
});

test("crossings are undone where they can be", () => {
  const { nodes } = layOut([node("a"), node("b"), node("x", "b"), node("y", "a")], SIZE);
  const at = new Map(nodes.map((one) => [one.id, one]));
  assert.equal(at.get("a").y < at.get("b").y, at.get("y").y < at.get("x").y);
});

test("what cannot be, such as a circle, is drawn all the same", () => {
  assert.equal(layOut([node("a", "b"), node("b", "a"), node("c", "c", "nowhere")], SIZE).nodes.length, 3);
  assert.deepEqual(layOut([], SIZE), { nodes: [], edges: [], width: 0, height: 0 });
  const chain = Array.from({ length: 200 }, (_, at) => node(`s${at}`, ...(at ? [`s${at - 1}`, "s0"] : [])));
  assert.equal(layOut(chain, SIZE).nodes.at(-1).layer, 199);
});

test("an error in the JSON is said with its place", () => {
  const { error } = readDocument('{\n  "name": "x",\n  "steps": [1, oops]\n}');
  assert.deepEqual([error.line, error.column], [3, 16]);
  assert.match(error.message, /^Not valid JSON/);
  assert.deepEqual(readDocument('{"a": 1}'), { value: { a: 1 } });
  assert.match(readDocument("[1]").error.message, /object/);
  assert.equal(readDocument('{"a": 1} x').error.at, 9);
});

test("a field's name leads to its place in the text", () => {
  const text = writeDocument({ name: "n", steps: [{ step_id: "a" }, { step_id: "b", depends_on: ["a", "c"] }] });
  const at = (field) => {
    const place = placeOf(text, field);
    return place && text.slice(place.start, place.end);
  };
  assert.equal(at("steps[1].depends_on"), '["a", "c"]');
  assert.equal(at("steps.0.step_id"), '"a"');
  assert.equal(JSON.parse(at("steps[0].max_attempts")).step_id, "a"); // what is missing: where it would be
  assert.equal(at("nothing"), null);
  assert.equal(placeOf("{", "steps"), null);
  const awkward = { steps: [{ depends_on: ["a", 'x"]', "[\n  \"y\"\n]"] }] };
  assert.deepEqual(JSON.parse(writeDocument(awkward)), awkward);
});

test("an unfinished definition has an outline", () => {
  const outline = outlineOf({ steps: [{ id: "a" }, { depends_on: "a", quality_gate: { on_fail: "review" } }, null, { step_id: "a" }, 7] });
  assert.deepEqual(outline.map(({ id, dependsOn, note }) => [id, dependsOn, note]), [["a", [], ""], ["step_2", ["a"], "may ask a person"], ["a (again)", [], ""]]);
  assert.deepEqual(outlineOf(null), []);
});

test("a plan that has run gives its definition again", () => {
  const told = { name: "P", query: "", parallel_steps: null, status: "failed", steps: [{ step_id: "a", name: "a", action: "research", depends_on: [], max_attempts: 3, status: "failed", attempt: 3, timeout_s: 5, quality_gate: null }] };
  assert.deepEqual(definitionOf(told), { name: "P", steps: [{ step_id: "a", timeout_s: 5 }] });
});

test("the samples are whole: unique ids, and what they wait for is there", () => {
  for (const { plan } of SAMPLES) {
    const ids = plan.steps.map(({ step_id: id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    for (const { depends_on: needed = [] } of plan.steps) assert.ok(needed.every((id) => ids.includes(id)));
  }
});

test("the list counts steps as they are done", () => {
  const run = summarise({ plan_id: "p", name: "P", status: "running", total_steps: 3, steps_by_status: { completed: 1, running: 1 }, created_at: new Date(START).toISOString() });
  assert.deepEqual(describe(run), { title: "P", state: "running", doing: "", facts: ["1 of 3 steps"], percent: 33 });
  applyToSummary(run, event("step_completed", "b", {}));
  applyToSummary(run, event("review_required", "c", {}));
  assert.deepEqual([describe(run).state, describe(run).percent], ["review", 67]);
  applyToSummary(run, event("plan_completed", null, {}));
  assert.deepEqual([describe(run).state, describe(run).percent], ["completed", null]);
  applyToSummary(run, event("plan_started", null, { name: "Again", steps: [{}, {}] }));
  assert.deepEqual(describe(run), { title: "Again", state: "running", doing: "", facts: ["0 of 2 steps"], percent: 0 });
});
