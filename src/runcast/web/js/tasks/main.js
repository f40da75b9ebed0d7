// The page of tasks: what is particular to them, given to what all pages of runs share.

import { RunsPage } from "../runs/page.js";
import { looksOf } from "../runs/status.js";
import { listTasks } from "./api.js";
import { TaskForm } from "./form.js";
import { applyToTask, makeTask, nameOfTask, stateOfTask, wordsOfTask } from "./state.js";
import { HEARD_TYPES, applyToSummary, describe, summarise } from "./summary.js";
import { TaskView } from "./view.js";

const HELP = {
  keys: [
    [["n"], "new task"], [["/"], "search tasks"],
    [["[", "]"], "previous, next task"], [["?"], "this help"],
    [["Ctrl", "Enter"], "start it"], [["Esc"], "leave a field"],
  ],
  notes: [
    ["Steps", "Each step stands where it was told, with its tool and its messages. Come late or reload: everything is read from the log again."],
    ["Attempts", "A task that fails is tried again, and so is one whose worker was killed. It is called failed only when no attempt is left."],
    ["No word", "A task that says nothing for 60 s may still live: nobody has said that it failed. The page goes on listening."],
  ],
};

new RunsPage({
  name: "task", noun: "task", path: "/tasks", title: "Tasks", help: HELP,
  heardTypes: HEARD_TYPES, list: listTasks, summarise, applyToSummary, describe,
  fold: { make: makeTask, apply: applyToTask },
  nameOf: nameOfTask,
  stateOf: (task) => wordsOfTask(task, looksOf(stateOfTask(task)).word),
  makeForm: (place, tools) => new TaskForm(place, tools),
  makeView: (place, tools) => new TaskView(place, tools),
}).start();
