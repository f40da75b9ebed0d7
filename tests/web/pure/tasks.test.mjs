import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./support.mjs";

const { SILENT_MS, applyToTask, attemptsOf, canBeCancelled, isSilent, makeTask, nameOfTask, secondsOfTask, stateOfTask, toolsOf } = await load("tasks/state.js");
const { applyToSummary, describe, summarise } = await load("tasks/summary.js");
const { labelOfStep, labelOfType } = await load("tasks/steps.js");

const START = Date.UTC(2026, 0, 1, 12);

function fold(...told) {
  const task = makeTask("t");
  told.forEach(([type, data = {}, second = 0], at) => applyToTask(task, { type, data, seq: at + 1, time: new Date(START + second * 1000).toISOString() }));
  return task;
}

const queued = ["queued", { message: "Queued", task_type: "scam_analysis", params: { text: "Pay now\nor else" }, executor: "celery", max_attempts: 3, by: "ada" }];
const started = (second, worker = "w") => ["started", { message: "Started", percent: 0, worker }, second];

test("it is queued until a worker has it, then runs, and its text is its name", () => {
  const task = fold(queued);
  assert.deepEqual([task.status, task.managed, task.executor, task.by, nameOfTask(task), secondsOfTask(task, START + 9_000)], ["queued", true, "celery", "ada", "Pay now", null]);
  const running = fold(queued, started(2), ["scam_db", { message: "Checking", percent: 35, tool: "scam_database" }, 3]);
  assert.deepEqual([stateOfTask(running, START + 4_000), running.attempt, running.percent, toolsOf(running), secondsOfTask(running, START + 4_000)], ["running", 1, 35, ["scam_database"], 2]);
});

test("messages that follow on each other in one step are one step; the order in which they were told stays", () => {
  const task = fold(["a", { message: "1" }], ["a", { message: "2" }, 1], ["b", { message: "3", tool: "x" }, 2], ["b", { message: "4", tool: "y" }, 3], ["a", { message: "5" }, 4]);
  assert.deepEqual(task.steps.map(({ step, tool, messages }) => [step, tool, messages.map(({ text }) => text)]), [
    ["a", "", ["1", "2"]], ["b", "x", ["3"]], ["b", "y", ["4"]], ["a", "", ["5"]],
  ]);
  assert.deepEqual(task.steps.map(({ began, ended }) => ended && (ended - began) / 1000), [2, 1, 1, 0]);
});

test("each attempt has its own steps, and failed is only what nobody tries again", () => {
  const retrying = ["retrying", { message: "Attempt 1 failed: busy.", percent: 35, attempt: 1, due_at: (START + 9_000) * 1000 }, 4];
  const between = fold(queued, started(1, "one"), ["a", { attempt: 1 }], retrying);
  assert.deepEqual([between.status, between.due, between.error], ["retrying", START + 9_000, ""]);
  const task = fold(queued, ["started", { attempt: 1, worker: "one" }], ["a", { attempt: 1 }], retrying, ["started", { attempt: 2, worker: "two" }, 9], ["a", { attempt: 2 }], ["failed", { message: "Failed: no.", percent: 40, attempt: 2, error: true }, 10]);
  assert.deepEqual(attemptsOf(task).map(({ attempt, worker, steps }) => [attempt, worker, steps.map(({ step }) => step)]), [
    [0, "", ["queued"]], [1, "one", ["started", "a", "retrying"]], [2, "two", ["started", "a", "failed"]],
  ]);
  assert.deepEqual([task.status, task.attempt, task.error, task.steps.at(-1).error], ["failed", 2, "Failed: no.", true]);
});

test("what is cancelled says so until it is over, and has not failed then", () => {
  const command = ["task_command", { command: "cancel", message: "Cancelling…", percent: 30 }, 3];
  const task = fold(queued, started(1), ["a", { percent: 30 }, 2], command);
  assert.deepEqual([task.status, task.cancelling, task.percent, canBeCancelled(task)], ["running", true, 30, true]);
  applyToTask(task, { type: "failed", data: { message: "Cancelled by ada.", percent: 30, error: true, status: "cancelled" }, seq: 5, time: new Date(START + 4_000).toISOString() });
  assert.deepEqual([task.status, task.error, canBeCancelled(task)], ["cancelled", "Cancelled by ada.", false]);
  assert.equal(canBeCancelled(fold(["a", { percent: 3 }])), false);
  assert.equal(canBeCancelled(fold(["started", { executor: "celery", task_type: "own.a" }])), true);
  const run = summarise({ task_id: "t", status: "running", created_at: new Date(START).toISOString() });
  applyToSummary(run, { type: "task_command", data: { command: "cancel" } });
  assert.equal(describe(run, START).state, "running");
  applyToSummary(run, { type: "failed", data: { status: "cancelled" } });
  applyToSummary(run, { type: "a", data: {} });
  assert.equal(describe(run, START).state, "cancelled");
});

test("what comes after the end changes nothing", () => {
  const task = fold(started(0), ["completed", { message: "Done", result: { a: 1 } }, 2], ["a", { percent: 3 }, 5], ["failed", { message: "late" }, 6]);
  assert.deepEqual([task.status, task.percent, task.result, task.error, task.steps.length], ["completed", 100, { a: 1 }, "", 2]);
});

test("silence is not a failure, and what was heard by our own clock counts, too", () => {
  const task = fold(["a", { percent: 10 }]);
  assert.equal(stateOfTask(task, START + SILENT_MS - 1), "running");
  assert.equal(stateOfTask(task, START + SILENT_MS), "silent");
  assert.equal(stateOfTask(task, START + SILENT_MS, START + 5_000), "running");
  assert.equal(isSilent(fold(queued), START + 10 * SILENT_MS), false);
  assert.equal(stateOfTask(fold(["a"], ["completed"]), START + 10 * SILENT_MS), "completed");
});

test("hostile values are no trouble", () => {
  const task = fold(["__proto__", { message: 7, percent: "x", tool: {}, attempt: "a", worker: [], more: { constructor: 1 } }], ["constructor", { percent: 900 }], ["queued", { params: "text" }]);
  assert.deepEqual([task.percent, task.status, task.steps.length], [100, "queued", 3]);
  assert.deepEqual(task.steps[0].messages[0].more, { more: { constructor: 1 } });
  assert.equal(labelOfStep("constructor"), "Constructor");
  assert.equal(labelOfType("toString"), "ToString");
});

test("a long story is cut at its beginning, and says so", () => {
  const task = fold(...Array.from({ length: 400 }, (_, at) => [`s${at}`, { message: String(at) }]));
  assert.deepEqual([task.steps.length, task.stepsLeftOut, task.steps.at(-1).step], [300, 100, "s399"]);
  const one = fold(...Array.from({ length: 90 }, (_, at) => ["s", { message: String(at) }]));
  assert.deepEqual([one.steps.length, one.steps[0].messages.length, one.steps[0].messagesLeftOut], [1, 60, 30]);
});

test("the list follows the events", () => {
  const run = summarise({ task_id: "t", status: "queued", type: "scam_analysis", percent: 0, attempt: 0, max_attempts: 3, created_at: new Date(START).toISOString(), updated_at: new Date(START).toISOString() });
  const apply = (type, data) => applyToSummary(run, { type, data });
  assert.deepEqual(describe(run, START), { title: "Scam analysis", state: "queued", doing: "", facts: ["t"], percent: null });
  apply("started", { percent: 0 });
  apply("reasoning", { percent: 80.4, message: "Thinking" });
  assert.deepEqual(describe(run, START), { title: "Scam analysis", state: "running", doing: "Thinking", facts: ["80 %", "t"], percent: 80 });
  assert.equal(describe(run, START + SILENT_MS).state, "silent");
  apply("retrying", { message: "again" });
  apply("started", {});
  assert.deepEqual(describe(run, START).facts.slice(1), ["attempt 2 of 3", "t"]);
  apply("completed", { message: "Done" });
  apply("reasoning", { percent: 1 });
  assert.deepEqual([describe(run, START).state, run.percent], ["completed", 100]);
  apply("queued", { task_type: "scam_analysis", params: { text: "New\nline" } });
  assert.deepEqual([describe(run, START).title, describe(run, START).state], ["New", "queued"]);
});
