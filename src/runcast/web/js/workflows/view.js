// One workflow: whose task it is and how far it is, what it asks, what came of it, its agents, what has happened.

import { bdi, el } from "../dom.js";
import { compact, count, duration, moment, whole } from "../format.js";
import { RunHead, backButton } from "../runs/head.js";
import { LogView } from "../runs/log_view.js";
import { modelNote } from "../runs/model.js";
import { ProgressBar } from "../runs/progress.js";
import { unknownRun } from "../runs/unknown.js";
import { AgentsView } from "./agents.js";
import { cancelWorkflow } from "./api.js";
import { ApprovalsView } from "./approvals.js";
import { ResultView } from "./result.js";
import { figuresOf, pendingApprovals, stateOfWorkflow } from "./state.js";

export class WorkflowView {
  #tools;

  constructor(place, tools) {
    this.#tools = tools;
    this.head = new RunHead({ back: tools.back });
    this.progress = new ProgressBar("Progress");
    this.approvals = new ApprovalsView(tools);
    this.result = new ResultView(tools);
    this.agents = new AgentsView();
    this.log = new LogView();
    this.parts = el("div.panel-scroll.parts", this.approvals.node, this.result.node, this.agents.node, this.log.node);
    this.unknown = el("div.unknown");
    place.append(this.head.node, this.progress.node, this.parts, this.unknown);
  }

  /** Another one is looked at. */
  show() {
    this.parts.scrollTop = 0;
  }

  update(workflow, run, now) {
    const isKnown = workflow.seq > 0;
    this.unknown.hidden = isKnown;
    for (const part of [this.head.node, this.parts]) part.hidden = !isKnown;
    this.progress.node.hidden = !isKnown || workflow.ended > 0;
    if (!isKnown) return this.unknown.replaceChildren(backButton(this.#tools.back), unknownRun("workflow", run));
    this.#updateHead(workflow, now);
    if (!workflow.ended) this.progress.update(progressOf(workflow, now));
    this.approvals.update(workflow, now);
    this.result.update(workflow);
    this.agents.update(workflow, now);
    this.log.update(workflow.log, workflow, workflow.missing);
  }

  #updateHead(workflow, now) {
    const { id, task, workflow: name, model, created, parent, attempt, status, cancelling } = workflow;
    this.head.update({
      state: stateOfWorkflow(workflow), name: task || id, figures: cellsOf(workflow, now),
      meta: {
        version: [id, name, created, model, attempt, parent],
        parts: () => [
          bdi(id, "mono"), name ? bdi(name) : null, el("span", `since ${moment(created)}`), model ? modelNote(model) : null,
          attempt > 1 ? el("span.t-warn", `attempt ${attempt}`) : null, parent ? el("span", "follows ", this.#link(parent)) : null,
        ],
      },
      acts: { version: [id, status, cancelling], list: () => this.#acts(workflow) },
    });
  }

  #link(id) {
    const go = (event) => {
      event.preventDefault();
      this.#tools.go(id);
    };
    return el("a.mono", { href: this.#tools.addressOf(id), on: { click: go } }, bdi(id));
  }

  #acts({ id, task, ended, status, cancelling }) {
    if (cancelling) return [{ words: "Being cancelled…" }];
    if (!ended) return status === "unknown" ? [] : [{ label: "Cancel", icon: "close", tone: "danger", act: () => this.#cancel(id) }];
    return [
      { label: "Follow up", icon: "reply", act: () => this.#tools.newRun({ parent: id }), title: "Start another workflow that knows this result" },
      { label: "Run again", icon: "retry", act: () => this.#tools.newRun({ task }) },
    ];
  }

  async #cancel(id) {
    const answer = await this.#tools.ask({
      title: "Cancel this workflow?", words: "Its agents stop at their next step. What they have said so far stays.",
      label: "Cancel the workflow", tone: "danger", field: "Reason (optional)",
    });
    if (answer) await this.#tools.attempt(() => cancelWorkflow(id, answer.text));
  }
}

function cellsOf(workflow, now) {
  const { tokens, calls, latency, memory, seconds } = figuresOf(workflow, now);
  const working = workingIn(workflow);
  return [
    working ? ["working", whole(working), "good"] : null,
    ["agents", whole(workflow.agents.size)],
    ["tokens", compact(tokens)],
    ["model calls", compact(calls)],
    latency === null ? null : ["latency", duration(latency / 1000), "", "Until the model's first word, on average"],
    memory === null ? null : ["memory", `${whole(memory)} MB`, "", "Of the process that runs it"],
    seconds === null ? null : ["time", duration(workflow.ended ? seconds : Math.floor(seconds))],
  ];
}

const workingIn = ({ agents }) => [...agents.values()].filter(({ state }) => state === "running").length;

function workingWords(workflow) {
  const working = workingIn(workflow);
  return working ? `${count(working, "agent")} at work` : "";
}

function progressOf(workflow, now) {
  const { progress, status, created } = workflow;
  const waits = pendingApprovals(workflow).length > 0;
  const eta = progress?.eta ?? null;
  const left = eta === null || waits ? "" : `about ${duration(Math.max(1, Math.round(eta - (now - progress.time) / 1000)))} left`;
  const words = waits ? "Waiting for a person's answer" : status === "pending" ? `Waiting for a runner, since ${moment(created)}` : progress?.message || workingWords(workflow);
  return { percent: progress?.percent ?? 0, still: waits || status === "pending", words, left };
}
