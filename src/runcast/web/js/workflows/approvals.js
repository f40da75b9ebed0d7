// What a workflow asks of people: the question with its details, a comment, approve or reject; then who answered what.

import { bdi, el, icon } from "../dom.js";
import { ago, clock } from "../format.js";
import { Keyed, whenChanged } from "../runs/drawing.js";
import { answerApproval } from "./api.js";

const MOST_COMMENT_CHARS = 2_000;

export class ApprovalsView {
  constructor(tools) {
    this.node = el("div.approvals");
    this.keyed = new Keyed(this.node, (approval) => makeApproval(approval, tools));
  }

  update(workflow, now) {
    const shown = [...workflow.approvals.values()].filter(({ answer }) => answer || !workflow.ended);
    this.node.hidden = shown.length === 0;
    this.keyed.update(shown, ({ id }) => `${workflow.id}\n${id}`, now);
  }
}

function makeApproval(approval, tools) {
  const node = el("section.approval", { "aria-label": "Approval" });
  const when = el("span.approval-when");
  const draw = whenChanged((told) => node.replaceChildren(...(told.answer ? answered(told) : asking(told, when, tools))));
  return {
    node,
    update(told, now) {
      node.classList.toggle("answered", told.answer !== null);
      draw([told.answer], told);
      when.textContent = `asked ${ago(now - told.asked) === "now" ? "now" : `${ago(now - told.asked)} ago`}`;
    },
  };
}

function asking({ id, question, details }, when, tools) {
  const comment = el("textarea", { rows: 2, maxlength: MOST_COMMENT_CHARS, "aria-label": "Comment on your answer", placeholder: "Comment (optional)" });
  const buttons = [true, false].map((approved) =>
    el(approved ? "button.primary" : "button.danger", { type: "button", on: { click: () => answer(approved) } },
      icon(approved ? "check" : "close", 14), approved ? "Approve" : "Reject"),
  );
  const answer = async (approved) => {
    for (const button of buttons) button.disabled = true;
    const done = await tools.attempt(() => answerApproval(id, approved, comment.value.trim()));
    if (done) tools.say(approved ? "Approved." : "Rejected.", { tone: "good" });
    for (const button of buttons) button.disabled = false;
  };
  return [
    el("div.approval-head", icon("alert"), el("h2", "A person is asked"), when),
    el("p.approval-question", { dir: "auto" }, bdi(question || "May it go on?")),
    details && details !== "{}" ? el("pre.approval-details", { tabindex: 0, dir: "auto" }, bdi(details)) : null,
    comment,
    el("div.approval-buttons", buttons),
  ].filter(Boolean);
}

function answered({ question, answer: { approved, by, comment, time } }) {
  return [
    el(`p.approval-answer.t-${approved ? "done" : "failing"}`, icon(approved ? "check" : "close", 14),
      el("b", approved ? "Approved" : "Rejected"), by ? el("span", "by ", bdi(by)) : null, el("span", clock(time))),
    el("p.approval-question", bdi(question)),
    comment ? el("p.approval-comment", bdi(comment)) : null,
  ].filter(Boolean);
}
