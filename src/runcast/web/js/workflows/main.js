// The page of workflows: what is particular to them, given to what all pages of runs share.

import { RunsPage } from "../runs/page.js";
import { looksOf } from "../runs/status.js";
import { listWorkflows } from "./api.js";
import { WorkflowForm } from "./form.js";
import { applyToWorkflow, makeWorkflow, pendingApprovals, stateOfWorkflow } from "./state.js";
import { HEARD_TYPES, applyToSummary, describe, summarise } from "./summary.js";
import { WorkflowView } from "./view.js";

const HELP = {
  keys: [
    [["n"], "new workflow"], [["/"], "search workflows"],
    [["[", "]"], "previous, next workflow"], [["?"], "this help"],
    [["Ctrl", "Enter"], "start it"], [["Esc"], "leave a field"],
  ],
  notes: [
    ["Agents",
      "Each writes into its card as its words come, and the bars above show when it worked. Reload as you like: everything is read from the log again, and a server that restarts goes on where it was."],
    ["Approvals", "A workflow may ask a person and waits, across restarts, until somebody answers here or by the API. The first answer counts."],
    ["Follow up", "Starts another workflow that is given the result of this one."],
  ],
};

new RunsPage({
  name: "workflow", noun: "workflow", path: "/workflows", title: "Workflows", help: HELP,
  heardTypes: HEARD_TYPES, list: listWorkflows, summarise, applyToSummary, describe,
  fold: { make: makeWorkflow, apply: applyToWorkflow },
  nameOf: (workflow) => workflow.task.slice(0, 80),
  stateOf: (workflow) => {
    const [asked] = pendingApprovals(workflow);
    return `${looksOf(stateOfWorkflow(workflow)).word}.${asked ? ` ${asked.question}` : ""}`;
  },
  makeForm: (place, tools) => new WorkflowForm(place, tools),
  makeView: (place, tools) => new WorkflowView(place, tools),
}).start();
