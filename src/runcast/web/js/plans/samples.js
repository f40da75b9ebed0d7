// Plans to begin with: each shows one more thing that a plan can do. Pure.

const research = (step_id, description, needed = [], more = {}) =>
  ({ step_id, description, ...(needed.length ? { depends_on: needed } : {}), ...more });

export const SAMPLES = [
  {
    name: "Three steps in a row",
    plan: {
      name: "What do we know about resuming?",
      steps: [
        research("collect", "Collect what is known about clients that resume a broken connection"),
        research("compare", "Compare the ways to resume by what they cost", ["collect"]),
        research("conclude", "Say which way to take, and why", ["compare"]),
      ],
    },
  },
  {
    name: "Side by side, with a quality gate",
    plan: {
      name: "Delivery guarantees, compared",
      steps: [
        research("ordering", "What is promised about the order of events?"),
        research("durability", "What is promised about events that were acknowledged?"),
        research("slow_clients", "What happens to a client that reads too slowly?"),
        research("compare", "Compare the three by what each costs", ["ordering", "durability", "slow_clients"], {
          max_attempts: 2, quality_gate: { min_score: 0.5, on_fail: "retry" },
        }),
        research("report", "Write a report for people who run servers", ["compare"]),
      ],
    },
  },
  {
    name: "A person decides in between",
    plan: {
      name: "Release notes",
      parallel_steps: 2,
      steps: [
        research("changes", "What has changed since the last release?"),
        research("risks", "Which of the changes may break somebody's client?"),
        research("tone", "In which tone shall the notes be written? Nothing is looked up for that, so a person decides.", [], {
          params: { passages: 0 }, quality_gate: { on_fail: "review" },
        }),
        research("draft", "Draft the release notes", ["changes", "risks", "tone"]),
        research("shorten", "Shorten the draft to ten lines", ["draft"]),
        research("translate", "Put the draft into German", ["draft"], { timeout_s: 120 }),
        research("publish", "Put both together for publishing", ["shorten", "translate"]),
      ],
    },
  },
];
