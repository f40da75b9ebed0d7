// The page of plans: what is particular to them, given to what all pages of runs share.

import { RunsPage } from "../runs/page.js";
import { looksOf } from "../runs/status.js";
import { listPlans } from "./api.js";
import { PlanForm } from "./form.js";
import { applyToPlan, makePlan, nameOfPlan, nameOfStep, reviewsOf, stateOfPlan } from "./state.js";
import { HEARD_TYPES, applyToSummary, describe, summarise } from "./summary.js";
import { PlanView } from "./view.js";

const HELP = {
  keys: [
    [["n"], "new plan"], [["/"], "search plans"],
    [["[", "]"], "previous, next plan"], [["?"], "this help"],
    [["← → ↑ ↓"], "from step to step in the graph"], [["Esc"], "leave a field"],
  ],
  notes: [
    ["The graph",
      "Each box is a step, with its state in words; lines lead from a step to those that wait for it. Press one for its attempts, its result and what can be done with it."],
    ["Pause, retry, skip", "A paused plan lets running steps finish and begins no other. A failed plan goes on when its failed step is retried or skipped. What makes no sense is refused, and the server says why."],
    ["Reviews", "A quality gate may ask a person: the step waits, across restarts, until somebody approves or rejects."],
  ],
};

new RunsPage({
  name: "plan", noun: "plan", path: "/plans", title: "Plans", help: HELP,
  heardTypes: HEARD_TYPES, list: listPlans, summarise, applyToSummary, describe,
  fold: { make: makePlan, apply: applyToPlan },
  nameOf: nameOfPlan,
  stateOf: (plan) => {
    const [asked] = reviewsOf(plan);
    return `${looksOf(stateOfPlan(plan)).word}.${asked ? ` ${nameOfStep(asked)} waits for your review.` : ""}`;
  },
  makeForm: (place, tools) => new PlanForm(place, tools),
  makeView: (place, tools) => new PlanView(place, tools),
}).start();
