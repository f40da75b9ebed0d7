// One plan: what it is about and how far it is, its graph, the step that is looked at, what has happened.

import { bdi, el, icon } from "../dom.js";
import { compact, duration, moment, whole } from "../format.js";
import { whenChanged } from "../runs/drawing.js";
import { RunHead, backButton } from "../runs/head.js";
import { LogView } from "../runs/log_view.js";
import { section } from "../runs/parts.js";
import { ProgressBar } from "../runs/progress.js";
import { unknownRun } from "../runs/unknown.js";
import { wordsOf } from "../runs/values.js";
import { addStep, commandPlan } from "./api.js";
import { planCommands } from "./commands.js";
import { readDocument } from "./document.js";
import { give } from "./give.js";
import { GraphView } from "./graph.js";
import { figuresOf, nameOfPlan, nameOfStep, stateOfPlan, stateOfStep } from "./state.js";
import { StepView } from "./step.js";

const STEP_SAMPLE = '{\n  "step_id": "check",\n  "description": "Check what was found",\n  "depends_on": []\n}';

export class PlanView {
  #tools;
  #chosen = null; // null: whichever is most worth a look
  #drawNote = whenChanged((plan) => this.#note(plan));

  constructor(place, tools) {
    this.#tools = tools;
    this.head = new RunHead({ back: tools.back });
    this.bar = new ProgressBar("Steps done");
    this.note = el("div.plan-note");
    this.graph = new GraphView({ label: "Graph of the steps", choose: (id) => this.#choose(id) });
    this.step = new StepView({ tools, choose: (id) => this.#choose(id) });
    this.log = new LogView();
    const graph = section("Steps", ".graph-part");
    graph.body.append(this.graph.node);
    graph.side.append(this.graph.zoom);
    this.parts = el("div.panel-scroll.parts.plan-parts", this.note, graph.node, this.step.node, this.log.node);
    this.unknown = el("div.unknown");
    place.append(this.head.node, this.bar.node, this.parts, this.unknown);
  }

  /** Another one is looked at. */
  show(run) {
    this.run = run;
    this.#chosen = null;
    this.parts.scrollTop = 0;
  }

  update(plan, run, now) {
    const isKnown = plan.seq > 0;
    this.unknown.hidden = isKnown;
    for (const part of [this.head.node, this.bar.node, this.parts]) part.hidden = !isKnown;
    if (!isKnown) return this.unknown.replaceChildren(backButton(this.#tools.back), unknownRun("plan", run));
    const figures = figuresOf(plan, now);
    this.#updateHead(plan, figures);
    const { fraction, failed, total } = figures;
    this.bar.update({ percent: Math.round(fraction * 1000) / 10, failed: total ? (failed / total) * 100 : 0, still: plan.status === "paused" });
    this.#drawNote([plan.id, plan.status, plan.error, plan.reason, plan.result], plan);
    const chosen = this.#chosenIn(plan);
    this.graph.update(boxesOf(plan), chosen?.id ?? null);
    this.step.update(plan, chosen, now);
    this.log.update(plan.log, plan, plan.missing);
  }

  #choose(id) {
    this.#chosen = id;
    this.run.changed();
  }

  /** The one that somebody chose, or what asks for somebody, has failed, runs, or was done last. */
  #chosenIn(plan) {
    const steps = [...plan.steps.values()];
    const first = (...states) => steps.find((step) => states.includes(step.state));
    const latest = steps.filter(({ ended }) => ended).sort((a, b) => b.ended - a.ended)[0];
    return plan.steps.get(this.#chosen) ?? first("review") ?? first("failed") ?? first("running", "retrying") ?? latest ?? steps[0] ?? null;
  }

  #updateHead(plan, figures) {
    const { id, created, query, name, health, managed, by, status, cancelling, ended } = plan;
    this.head.update({
      state: stateOfPlan(plan), name: nameOfPlan(plan) || id,
      meta: {
        version: [id, created, by, name, query, managed],
        parts: () => [
          bdi(id, "mono"), el("span", `since ${moment(created)}`), by ? el("span", "by ", bdi(by)) : null,
          name && query && query !== name ? bdi(query) : null, managed ? null : el("span", "run by another program"),
        ],
      },
      figures: [
        ["done", `${figures.done} of ${figures.total}`],
        figures.running ? ["running", whole(figures.running), "good"] : null,
        figures.failed ? ["failed", whole(figures.failed), "bad"] : null,
        figures.attempts > figures.total ? ["attempts", whole(figures.attempts)] : null,
        Number.isFinite(health.memory_mb) ? ["memory", `${compact(health.memory_mb)} MB`, "", "Of the process that runs it"] : null,
        figures.seconds === null ? null : ["time", duration(ended ? figures.seconds : Math.floor(figures.seconds))],
      ],
      acts: { version: [id, status, cancelling, managed, plan.steps.size > 0], list: () => this.#acts(plan) },
    });
  }

  #acts(plan) {
    if (plan.cancelling) return [{ words: "Being cancelled…" }];
    const acts = planCommands(plan).map(({ command, ...looks }) => ({ ...looks, act: () => this.#command(plan, command) }));
    if (acts.length) acts.push({ label: "Add step", icon: "plus", act: () => this.#add(plan) });
    if (plan.ended && plan.steps.size) acts.push({ label: "Run again", icon: "retry", act: () => this.#tools.newRun({ from: plan.id }) });
    return acts;
  }

  async #command(plan, command) {
    let reason = "";
    if (command === "cancel") {
      const answer = await this.#tools.ask({
        title: "Cancel this plan?", words: "Steps that run are stopped, and no other begins. What is done stays.",
        label: "Cancel the plan", tone: "danger", field: "Reason (optional)",
      });
      if (!answer) return;
      reason = answer.text;
    }
    await give(this.#tools, () => commandPlan(plan.id, command, reason));
  }

  async #add(plan) {
    const answer = await this.#tools.ask({
      title: "Add a step", words: "As JSON. It may depend on any step of the plan.", label: "Add it", field: "Step", text: STEP_SAMPLE, code: true,
    });
    if (!answer) return;
    await give(this.#tools, async () => {
      const { value, error } = readDocument(answer.text);
      if (error) throw new Error(`${error.message} (line ${error.line}), so nothing was added.`);
      return addStep(plan.id, value);
    });
  }

  #note({ status, error, reason, result }) {
    const words = status === "failed" ? error : status === "paused" || status === "cancelled" ? reason : "";
    const told = status === "completed" && result ? wordsOf(result) : "";
    this.note.hidden = !words && !told;
    this.note.replaceChildren(...[
      words ? el(`p.problem${status === "failed" ? "" : ".calm"}`, icon(status === "failed" ? "error" : "note"), bdi(words)) : null,
      told ? el("pre.box-text", { tabindex: 0 }, bdi(told)) : null,
    ].filter(Boolean));
  }
}

/** The steps as the graph draws them. */
function boxesOf(plan) {
  return [...plan.steps.values()].map((step) => {
    const state = stateOfStep(plan, step);
    const isBusy = state === "running";
    const again = step.attempt > 1 ? `attempt ${step.attempt}` : "";
    const percent = isBusy && step.progress !== null ? `${Math.round(step.progress * 100)} %` : "";
    const took = state === "completed" && step.seconds !== null ? duration(step.seconds) : "";
    return {
      id: step.id, name: nameOfStep(step), dependsOn: step.dependsOn, state,
      note: [percent || took, again].filter(Boolean).join(" · "), progress: isBusy ? step.progress ?? 0 : null,
    };
  });
}
