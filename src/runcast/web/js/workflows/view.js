// One workflow: whose task it is and how far it is, what it asks, what came of it, its agents, what has happened.

import { bdi, el, icon } from "../dom.js";
import { compact, duration, moment, whole } from "../format.js";
import { whenChanged } from "../runs/drawing.js";
import { LogView } from "../runs/log_view.js";
import { modelNote } from "../runs/model.js";
import { actButton, badge, figureList } from "../runs/parts.js";
import { unknownRun } from "../runs/unknown.js";
import { AgentsView } from "./agents.js";
import { cancelWorkflow } from "./api.js";
import { ApprovalsView } from "./approvals.js";
import { ResultView } from "./result.js";
import { figuresOf, pendingApprovals, stateOfWorkflow } from "./state.js";

export class WorkflowView {
  #tools;
  #drawHead = whenChanged((workflow, figures) => this.#head(workflow, figures));
  #drawProgress = whenChanged((workflow) => this.#progress(workflow));

  constructor(place, tools) {
    this.#tools = tools;
    this.head = el("div.headline");
    this.progress = el("div.progress-row");
    this.approvals = new ApprovalsView(tools);
    this.result = new ResultView(tools);
    this.agents = new AgentsView();
    this.log = new LogView();
    this.parts = el("div.panel-scroll.parts", this.approvals.node, this.result.node, this.agents.node, this.log.node);
    this.unknown = el("div.unknown");
    place.append(this.head, this.progress, this.parts, this.unknown);
  }

  /** Another one is looked at. */
  show() {
    this.parts.scrollTop = 0;
  }

  update(workflow, run, now) {
    const isKnown = workflow.seq > 0;
    this.unknown.hidden = isKnown;
    for (const part of [this.head, this.progress, this.parts]) part.hidden = !isKnown;
    if (!isKnown) return this.unknown.replaceChildren(back(this.#tools), unknownRun("workflow", run));
    const figures = figuresOf(workflow, now);
    const running = [...workflow.agents.values()].filter(({ state }) => state === "running").length;
    const { id, task, attempt, cancelling, model, started } = workflow;
    this.#drawHead([id, task, stateOfWorkflow(workflow), attempt, cancelling, model, started, running, { ...figures, seconds: Math.floor(figures.seconds) }], workflow, { ...figures, running });
    this.#drawProgress([id, workflow.progress, workflow.status, pendingApprovals(workflow).length, Math.floor(now / 1000)], workflow);
    this.approvals.update(workflow, now);
    this.result.update(workflow);
    this.agents.update(workflow, now);
    this.log.update(workflow.log, workflow, workflow.missing);
  }

  #head(workflow, figures) {
    const { id, task, workflow: name, model, created, parent, attempt } = workflow;
    this.head.replaceChildren(
      back(this.#tools),
      el("div.headline-text",
        el("h1", badge(stateOfWorkflow(workflow)), bdi(task || id, "run-name")),
        el("p.headline-meta",
          bdi(id, "mono"), name ? bdi(name) : null,
          el("span", `since ${moment(created)}`),
          model ? modelNote(model) : null,
          attempt > 1 ? el("span.t-warn", `attempt ${attempt}`) : null,
          parent ? el("span", "follows ", this.#link(parent)) : null,
        ),
      ),
      figureList([
        figures.running ? ["working", whole(figures.running), "good"] : null,
        ["agents", whole(workflow.agents.size)],
        ["tokens", compact(figures.tokens)],
        ["model calls", compact(figures.calls)],
        figures.latency === null ? null : ["latency", duration(figures.latency / 1000), "", "Until the model's first word, on average"],
        figures.memory === null ? null : ["memory", `${whole(figures.memory)} MB`, "", "Of the process that runs it"],
        figures.seconds === null ? null : ["time", duration(figures.seconds < 60 && !workflow.ended ? Math.floor(figures.seconds) : figures.seconds)],
      ]),
      el("div.acts", this.#acts(workflow)),
    );
  }

  #link(id) {
    const go = (event) => {
      event.preventDefault();
      this.#tools.go(id);
    };
    return el("a.mono", { href: this.#tools.addressOf(id), on: { click: go } }, bdi(id));
  }

  #acts(workflow) {
    if (workflow.cancelling) return [el("span.t-warn", "Being cancelled…")];
    if (!workflow.ended) return workflow.status === "unknown" ? [] : [actButton({ label: "Cancel", icon: "close", tone: "danger", act: () => this.#cancel(workflow) })];
    return [
      actButton({ label: "Follow up", icon: "reply", act: () => this.#tools.newRun({ parent: workflow.id }), title: "Start another workflow that knows this result" }),
      actButton({ label: "Run again", icon: "retry", act: () => this.#tools.newRun({ task: workflow.task }) }),
    ];
  }

  async #cancel({ id }) {
    const answer = await this.#tools.ask({
      title: "Cancel this workflow?", words: "Its agents stop at their next step. What they have said so far stays.",
      label: "Cancel the workflow", tone: "danger", field: "Reason (optional)",
    });
    if (answer) await this.#tools.attempt(() => cancelWorkflow(id, answer.text));
  }

  #progress({ progress, status, ended, created, approvals }) {
    const isPending = status === "pending";
    const percent = status === "completed" ? 100 : Math.round(progress?.percent ?? 0);
    this.progress.hidden = Boolean(ended);
    if (ended) return;
    const waits = [...approvals.values()].some(({ answer }) => !answer);
    const eta = progress?.eta === null || progress?.eta === undefined ? "" : `about ${duration(Math.max(1, Math.round(progress.eta - (Date.now() - progress.time) / 1000)))} left`;
    const words = waits ? "Waiting for a person's answer" : isPending ? `Waiting for a runner, since ${moment(created)}` : progress?.message ?? "";
    this.progress.replaceChildren(
      el("div.progress", {
        role: "progressbar", "aria-label": "Progress", "aria-valuenow": percent, "aria-valuemin": 0, "aria-valuemax": 100, vars: { "--part": `${percent}%` },
        class: `progress${isPending || waits ? " still" : ""}`,
      }),
      el("div.progress-words", bdi(words), el("span", waits ? "" : eta), el("b", `${percent} %`)),
    );
  }
}

const back = (tools) =>
  el("button.quiet.to-list", { type: "button", "aria-label": "Back to the list", on: { click: tools.back } }, icon("back"));
