// One task: how far it is, what is wrong or waited for, what came of it, its steps, what it was begun with.

import { bdi, el, icon } from "../dom.js";
import { ago, duration, moment, whole } from "../format.js";
import { whenChanged } from "../runs/drawing.js";
import { RunHead, backButton } from "../runs/head.js";
import { section } from "../runs/parts.js";
import { ProgressBar } from "../runs/progress.js";
import { unknownRun } from "../runs/unknown.js";
import { textOf, wordsOf } from "../runs/values.js";
import { cancelTask } from "./api.js";
import { TaskResultView } from "./result.js";
import { SILENT_MS, canBeCancelled, nameOfTask, secondsOfTask, stateOfTask, toolsOf } from "./state.js";
import { labelOfStep, labelOfType } from "./steps.js";
import { TimelineView } from "./timeline.js";

const LONG_WAIT_MS = 20_000;

export class TaskView {
  #tools;
  #seq = 0;
  #heard = 0; // when something was heard live: the task's clock may be another than ours
  #drawNote = whenChanged((words) => this.#note(words));
  #drawInput = whenChanged((params) => this.#fillInput(params));

  constructor(place, tools) {
    this.#tools = tools;
    this.head = new RunHead({ back: tools.back });
    this.progress = new ProgressBar("Progress");
    this.note = el("div.task-note");
    this.result = new TaskResultView(tools);
    this.timeline = new TimelineView();
    this.input = section("What it was begun with", ".input-part");
    this.parts = el("div.panel-scroll.parts.task-parts", this.note, this.result.node, this.timeline.node, this.input.node);
    this.unknown = el("div.unknown");
    place.append(this.head.node, this.progress.node, this.parts, this.unknown);
  }

  /** Another one is looked at. */
  show() {
    this.#seq = this.#heard = 0;
    this.parts.scrollTop = 0;
  }

  update(task, run, now) {
    const isKnown = task.seq > 0;
    this.unknown.hidden = isKnown;
    for (const part of [this.head.node, this.parts]) part.hidden = !isKnown;
    this.progress.node.hidden = !isKnown || task.ended > 0;
    if (!isKnown) return this.unknown.replaceChildren(backButton(this.#tools.back), unknownRun("task", run));
    if (task.seq !== this.#seq && run.settled) this.#heard = now;
    this.#seq = task.seq;
    const state = stateOfTask(task, now, this.#heard);
    this.#updateHead(task, state, now);
    if (!task.ended) this.progress.update(progressOf(task, state, now));
    const note = this.#noteOf(task, state, now);
    this.#drawNote(note, note);
    this.result.update(task);
    this.timeline.update(task, now);
    this.input.node.hidden = Object.keys(task.params).length === 0;
    this.#drawInput([task.id, task.created], task.params);
  }

  #updateHead(task, state, now) {
    const { id, type, executor, worker, by, created, attempt, ended, managed, status, cancelling } = task;
    this.head.update({
      state, name: nameOfTask(task) || id,
      meta: {
        version: [id, type, executor, worker, by, created],
        parts: () => [
          bdi(id, "mono"), type ? el("span", bdi(labelOfType(type))) : null, el("span", `since ${moment(created)}`), by ? el("span", "by ", bdi(by)) : null,
          executor ? el("span", "run by ", bdi(executor)) : null, managed ? null : el("span", "run by another program"),
        ],
      },
      figures: this.#figures(task, now),
      acts: { version: [id, managed, executor, ended, attempt, status, cancelling], list: () => this.#acts(task) },
    });
  }

  #figures(task, now) {
    const { attempt, maxAttempts, ended, status, percent } = task;
    const tools = toolsOf(task).length;
    const seconds = secondsOfTask(task, now);
    return [
      status === "failed" || status === "cancelled" ? ["reached", `${Math.round(percent)} %`, status === "failed" ? "bad" : ""] : null,
      ["steps", whole(task.steps.length + task.stepsLeftOut)],
      tools ? ["tools", whole(tools)] : null,
      attempt > 1 || maxAttempts > 1 ? ["attempt", maxAttempts > 1 ? `${Math.max(1, attempt)} of ${maxAttempts}` : whole(attempt)] : null,
      seconds === null ? null : ["time", duration(ended ? seconds : Math.floor(seconds))],
    ];
  }

  #acts(task) {
    const { id, ended, managed, cancelling } = task;
    if (ended) return managed ? [{ label: "Run again", icon: "retry", act: () => this.#tools.newRun({ from: id }) }] : [];
    if (cancelling) return [{ words: "Being cancelled…" }];
    return canBeCancelled(task) ? [{ label: "Cancel", icon: "close", tone: "danger", act: () => this.#cancel(id) }] : [];
  }

  async #cancel(id) {
    const answer = await this.#tools.ask({
      title: "Cancel this task?", words: "It ends at its next step, or is ended two seconds later. What it has told so far stays.",
      label: "Cancel the task", tone: "danger", field: "Reason (optional)",
    });
    if (answer) await this.#tools.attempt(() => cancelTask(id, answer.text));
  }

  /** {tone, words} of what should be known about a task that does not get on; null for nothing. */
  #noteOf(task, state, now) {
    if (state === "silent") {
      const quiet = ago(now - Math.max(task.last, this.#heard));
      return {
        tone: "warn", title: `Nothing heard for ${quiet}`,
        words: `The task may still live: it has said nothing for more than ${SILENT_MS / 1000} s, and has not said that it failed. This page goes on listening.`,
      };
    }
    if (state === "queued" && now - task.created > LONG_WAIT_MS) {
      const hint = task.executor === "celery" ? " Tasks are run by Celery here: is a worker running? (runcast worker)" : " Other tasks may be before it.";
      return { tone: "calm", title: `Queued for ${ago(now - task.created)}`, words: `No worker has taken it yet.${hint}` };
    }
    if (state === "retrying") return { tone: "warn", title: `Attempt ${Math.max(1, task.attempt)} has failed`, words: task.message };
    return null;
  }

  #note(note) {
    this.note.hidden = !note;
    if (!note) return this.note.replaceChildren();
    this.note.replaceChildren(el(`div.notice.${note.tone}`, { role: "status" }, icon(note.tone === "warn" ? "alert" : "clock"), el("div", el("b", note.title), el("p", bdi(note.words)))));
  }

  #fillInput(params) {
    const { text, ...rest } = params;
    this.input.body.replaceChildren(...[
      textOf(text) ? el("div.box-text.input-text", { tabindex: 0, role: "group", "aria-label": "The text", dir: "auto" }, bdi(text)) : null,
      Object.keys(rest).length ? el("dl.result-fields", Object.entries(rest).map(([name, value]) => el("div", el("dt", bdi(name)), el("dd", bdi(wordsOf(value)))))) : null,
    ].filter(Boolean));
  }
}

function progressOf(task, state, now) {
  const { percent, status, due, steps } = task;
  const step = steps.at(-1);
  const wait = Math.max(0, Math.ceil((due - now) / 1000));
  const words = {
    queued: "Waiting for a worker",
    retrying: wait ? `Next attempt in ${wait} s` : "The next attempt is about to begin",
    running: [step ? labelOfStep(step.step) : "", task.message].filter(Boolean).join(": "),
  }[status] ?? task.message;
  return { percent, still: state !== "running", words };
}
