import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { applyToWorkflow, figuresOf, lanesOf, makeWorkflow, pendingApprovals, secondsOfAgent, stateOfWorkflow, writerOf } = await load("workflows/state.js");
const { applyToSummary, describe, summarise } = await load("workflows/summary.js");
const { sourcesIn } = await load("runs/sources.js");

const START = Date.UTC(2026, 0, 1, 12);

function fold(...told) {
  const workflow = makeWorkflow("wf_1");
  told.forEach(([type, data, second = 0], at) =>
    applyToWorkflow(workflow, { type, data, seq: at + 1, time: new Date(START + second * 1000).toISOString() }));
  return workflow;
}

const begun = [
  ["workflow_created", { task: "T", workflow: "research", parent_workflow_id: null, by: "ada" }],
  ["workflow_status", { status: "pending" }],
  ["workflow_status", { status: "running", attempt: 1 }, 1],
];
const spawned = (id, second) => ["agent_spawned", { agent_id: id, agent_type: id.split("_")[0], spawn_time: 0 }, second];

test("it is pending until a runner has it, then runs", () => {
  assert.equal(stateOfWorkflow(fold(...begun.slice(0, 2))), "pending");
  const workflow = fold(...begun);
  assert.deepEqual([workflow.task, workflow.by, stateOfWorkflow(workflow), workflow.attempt], ["T", "ada", "running", 1]);
});

test("an agent's words are joined, and replaced by the whole when it is done", () => {
  const running = fold(...begun, spawned("research_001", 1), ["agent_output", { agent_id: "research_001", content: "Hel" }, 2], ["agent_output", { agent_id: "research_001", content: "lo" }, 3]);
  const [agent] = running.agents.values();
  assert.deepEqual([agent.type, agent.state, agent.output], ["research", "running", "Hello"]);
  assert.equal(secondsOfAgent(agent, START + 5_000), 4);
  applyToWorkflow(running, { type: "agent_completed", seq: 99, time: new Date(START + 9_000).toISOString(), data: { agent_id: "research_001", content: "Whole", confidence: 0.5, tokens: 7, seconds: 3.5, model: "m" } });
  assert.deepEqual([agent.state, agent.output, agent.confidence, secondsOfAgent(agent, 0), running.model], ["completed", "Whole", 0.5, 3.5, "m"]);
});

test("after a take-over an unfinished agent begins anew, and a finished one stays", () => {
  const workflow = fold(
    ...begun, spawned("research_001"), ["agent_completed", { agent_id: "research_001", content: "done" }],
    spawned("research_002"), ["agent_output", { agent_id: "research_002", content: "half a sen" }],
    ["workflow_status", { status: "running", attempt: 2 }],
    spawned("research_001"), spawned("research_002"), ["agent_output", { agent_id: "research_002", content: "A whole" }],
  );
  assert.equal(workflow.attempt, 2);
  assert.deepEqual([...workflow.agents.values()].map(({ output, runs }) => [output, runs]), [["done", 1], ["A whole", 2]]);
  assert.match(workflow.log.find(({ tone }) => tone === "warn").text, /attempt 2/);
});

test("what a person is asked comes before that it runs, and the first answer counts", () => {
  const asked = [...begun, ["approval_requested", { approval_id: "a", question: "Go on?", details: { x: 1 } }]];
  const workflow = fold(...asked);
  assert.equal(stateOfWorkflow(workflow), "approval");
  assert.deepEqual(pendingApprovals(workflow).map(({ question }) => question), ["Go on?"]);
  const answered = fold(...asked, ["approval_resolved", { approval_id: "a", approved: true, by: "ada" }], ["approval_resolved", { approval_id: "a", approved: false, by: "bob" }]);
  assert.equal(stateOfWorkflow(answered), "running");
  assert.deepEqual([answered.approvals.get("a").answer.approved, answered.approvals.get("a").answer.by], [true, "ada"]);
});

test("it ends once: what comes after the end changes nothing", () => {
  const workflow = fold(
    ...begun, spawned("critic_001"), ["approval_requested", { approval_id: "a", question: "?" }],
    ["workflow_error", { error: "cancelled by ada", status: "cancelled" }, 8],
    ["workflow_complete", { synthesis: { content: "late" } }, 9],
  );
  assert.deepEqual([workflow.status, workflow.error, workflow.synthesis], ["cancelled", "cancelled by ada", null]);
  assert.equal(workflow.agents.get("critic_001").state, "cancelled");
  assert.deepEqual(pendingApprovals(workflow), []);
});

test("the figures are those that were told, or what the agents add up to", () => {
  const one = [...begun, spawned("a_1"), ["agent_completed", { agent_id: "a_1", content: "", tokens: 5, llm_calls: 1 }, 3]];
  assert.deepEqual(figuresOf(fold(...one), START + 4_000), { tokens: 5, calls: 1, latency: null, memory: null, seconds: 3 });
  const told = fold(...one, ["resource_metrics", { tokens: 9, llm_calls: 2, llm_latency_ms: 40, memory_mb: 100 }]);
  assert.deepEqual(figuresOf(told, START), { tokens: 9, calls: 2, latency: 40, memory: 100, seconds: -1 });
});

test("lanes span the time in which anybody worked", () => {
  const workflow = fold(...begun, spawned("a_1", 1), spawned("b_1", 3), ["agent_failed", { agent_id: "a_1", error: "no" }, 5], ["agent_completed", { agent_id: "b_1", content: "" }, 9]);
  assert.deepEqual(lanesOf(workflow, START + 100_000).map(({ from, to }) => [from, to]), [[0, 0.5], [0.25, 1]]);
});

test("nonsense is taken without harm", () => {
  const workflow = fold(
    ["workflow_status", null], ["agent_output", { agent_id: 7, content: {} }], ["agent_spawned", { agent_id: "x", agent_type: [] }],
    ["workflow_progress", { percent: 1e9, eta_seconds: "soon" }], ["approval_requested", {}], ["constructor", {}], ["workflow_complete", { synthesis: "text" }],
  );
  assert.deepEqual([workflow.agents.get("x").type, workflow.progress.percent, workflow.progress.eta, workflow.synthesis.content], ["x", 100, null, ""]);
});

test("there are bounds: of agents, of their words, of the log", () => {
  const many = Array.from({ length: 700 }, (_, at) => spawned(`a_${at}`));
  const workflow = fold(...many, ["agent_output", { agent_id: "a_1", content: "x".repeat(300_000) }]);
  assert.deepEqual([workflow.agents.size, workflow.agentsLeftOut, workflow.log.length], [200, 500, 400]);
  assert.ok(workflow.agents.get("a_1").output.length < 61_000);
});

test("the one that writes the result is the last of its type", () => {
  assert.equal(writerOf(fold(...begun)), null);
  assert.equal(writerOf(fold(spawned("synthesis_001"), spawned("critic_001"), spawned("synthesis_002"))).id, "synthesis_002");
});

test("the list says what a workflow waits for, and follows its events", () => {
  const told = { workflow_id: "wf_1", task: "T\nmore", status: "running", created_at: new Date(START).toISOString(), agents_spawned: [{}], progress: { percent: 40, message: "working" }, approvals: [{}] };
  const run = summarise(told);
  assert.deepEqual(describe(run), { title: "T", state: "approval", doing: "working", facts: ["1 agent"], percent: 40 });
  applyToSummary(run, { type: "approval_resolved", data: {} });
  applyToSummary(run, { type: "agent_spawned", data: {} });
  assert.deepEqual([describe(run).state, describe(run).facts], ["running", ["2 agents"]]);
  applyToSummary(run, { type: "workflow_error", data: { status: "cancelled" } });
  assert.deepEqual([describe(run).state, describe(run).percent], ["cancelled", null]);
});

test("sources are what a text cites, each file once", () => {
  const text = "One [a.md, Intro]. Two [docs/b.html]; three [a.md, Limits, and more] [resume.md, delivery.md], [1], [x](y.md), [analysis_001], [ ] done [a.md, Intro].";
  assert.deepEqual(sourcesIn(text), [
    { name: "a.md", headings: ["Intro", "Limits, and more"] }, { name: "docs/b.html", headings: [] },
    { name: "resume.md", headings: [] }, { name: "delivery.md", headings: [] },
  ]);
  assert.deepEqual(sourcesIn("[".repeat(5_000) + ", a.b".repeat(5_000)), []);
});
