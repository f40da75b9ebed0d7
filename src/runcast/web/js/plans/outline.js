// The steps of a definition as a graph draws them, however unfinished it is while somebody writes it. Pure.

import { isObject, listOf, textOf } from "../runs/values.js";

const MOST_STEPS = 200;

/** [{id, name, dependsOn, state, word, note, progress}] of a definition; a step may say `id`, or neither, as the server takes it. */
export function outlineOf(definition) {
  const steps = listOf(definition?.steps).slice(0, MOST_STEPS).filter(isObject);
  const seen = new Set();
  return steps.map((step, at) => {
    const told = textOf(step.step_id) || textOf(step.id) || `step_${at + 1}`;
    const id = seen.has(told) ? `${told} (again)` : told;
    seen.add(told);
    const needed = typeof step.depends_on === "string" ? [step.depends_on] : listOf(step.depends_on).filter((one) => typeof one === "string");
    return { id, name: textOf(step.name) || id, dependsOn: needed, state: "waiting", word: textOf(step.action) || "research", note: gateWords(step.quality_gate), progress: null };
  }).filter(({ id }, at, all) => all.findIndex((other) => other.id === id) === at);
}

function gateWords(gate) {
  if (!isObject(gate)) return "";
  return gate.on_fail === "review" ? "may ask a person" : "quality gate";
}

const DEFAULTS = { action: "research", depends_on: [], params: {}, max_attempts: 3, backoff_s: 1, timeout_s: null, quality_gate: null, description: "", name: "" };

/** The definition of a plan that the server has described, to be run once more: without what became of it. */
export function definitionOf(document) {
  const steps = listOf(document.steps).map((step) => {
    const isUsual = (name, value) => JSON.stringify(value) === JSON.stringify(DEFAULTS[name]) || (name === "name" && value === step.step_id);
    const kept = Object.keys(DEFAULTS).filter((name) => name in step && !isUsual(name, step[name]));
    return { step_id: step.step_id, ...Object.fromEntries(kept.map((name) => [name, step[name]])) };
  });
  const head = Object.entries({ name: document.name, query: document.query, parallel_steps: document.parallel_steps });
  return { ...Object.fromEntries(head.filter(([, value]) => value)), steps };
}
