// The agents of a workflow: when each worked, and a card for each with what it says while it says it.

import { bdi, el, icon, setText } from "../dom.js";
import { typeLabel } from "../events.js";
import { compact, duration } from "../format.js";
import { Keyed, whenChanged } from "../runs/drawing.js";
import { GrowingText } from "../runs/growing.js";
import { badge, confidenceMeter, section } from "../runs/parts.js";
import { own } from "../runs/values.js";
import { prose } from "../views/prose.js";
import { lanesOf, secondsOfAgent } from "./state.js";

const ICONS = { research: "search", analysis: "flask", critic: "scales", critique: "scales", synthesis: "merge" };
const LONG_CHARS = 600;

export class AgentsView {
  constructor() {
    const part = section("Agents", ".agents-part");
    this.node = part.node;
    this.setCount = part.setCount;
    this.lanes = el("div.lanes", { role: "img" });
    this.cards = el("div.agents");
    part.body.append(this.lanes, this.cards);
    this.keyed = new Keyed(this.cards, (agent) => makeCard(agent));
    this.laneRows = new Keyed(this.lanes, () => makeLane());
  }

  update(workflow, now) {
    const agents = [...workflow.agents.values()];
    this.node.hidden = agents.length === 0;
    this.setCount(workflow.agentsLeftOut ? `${agents.length} of ${agents.length + workflow.agentsLeftOut}` : String(agents.length));
    const lanes = lanesOf(workflow, now);
    this.lanes.hidden = lanes.length < 2;
    this.laneRows.update(lanes, ({ agent }) => agent.id, now);
    this.lanes.setAttribute("aria-label", `When they worked: ${lanes.map(({ agent }) => `${agent.id} ${duration(secondsOfAgent(agent, now))}`).join(", ")}`);
    this.keyed.update(agents, ({ id }) => `${workflow.id}\n${id}`, now);
  }
}

function makeLane() {
  const name = el("span.lane-name");
  const bar = el("span.lane-bar");
  const took = el("span.lane-took");
  const node = el("div.lane", name, el("span.lane-track", bar), took);
  const fill = whenChanged(({ agent, from, to }) => {
    name.replaceChildren(bdi(agent.id));
    bar.className = `lane-bar s-${agent.state}`;
    bar.style.setProperty("--from", `${(from * 100).toFixed(2)}%`);
    bar.style.setProperty("--wide", `${Math.max(0.4, (to - from) * 100).toFixed(2)}%`);
  });
  return {
    node,
    update(lane, now) {
      fill([lane.agent.id, lane.agent.state, lane.from, lane.to], lane);
      setText(took, duration(secondsOfAgent(lane.agent, now)));
    },
  };
}

function makeCard(agent) {
  const head = el("div.agent-head");
  const facts = el("div.agent-facts");
  const said = el("div.agent-said");
  const growing = new GrowingText(`Output of ${agent.id}`);
  const node = el("article.agent", { "aria-label": `Agent ${agent.id}`, "data-agent": agent.id }, head, said, facts);
  const drawHead = whenChanged((told) => head.replaceChildren(
    el("span.agent-icon", icon(own(ICONS, told.type) ?? "agent", 17)),
    el("h3", bdi(typeLabel(told.type) || told.id)), bdi(told.id, "mono agent-id"), badge(told.state),
  ));
  const drawFacts = whenChanged((told, seconds) => facts.replaceChildren(...factsOf(told, seconds)));
  const drawEnd = whenChanged((told) => said.replaceChildren(...endOf(told)));
  return {
    node,
    update(told, now) {
      node.className = `agent s-${told.state}`;
      drawHead([told.type, told.state], told);
      const seconds = duration(secondsOfAgent(told, now));
      drawFacts([seconds, told.confidence, told.tokens, told.calls, told.model, told.runs], told, seconds);
      if (told.state !== "running") return drawEnd([told.state, told.output.length, told.error, told.runs], told);
      drawEnd(["running", told.runs], told);
      if (!told.output && !told.reasoning) return said.replaceChildren(waiting());
      if (growing.node.parentNode !== said) said.replaceChildren(growing.node);
      growing.update(told.output || told.reasoning);
      growing.node.classList.toggle("reasoning", !told.output);
    },
  };
}

const waiting = () => el("p.agent-waiting", el("span.spinner", { "aria-hidden": "true" }), "Working, nothing said yet");

/** What stands in a card when its agent does not work any more: the whole, as it is meant to be read. */
function endOf({ id, output, error, state }) {
  if (state === "running") return [];
  const parts = error ? [el("p.agent-error", bdi(error))] : [];
  if (!output) return parts.length ? parts : [el("p.agent-waiting", "It said nothing.")];
  const box = el("div.prose-block", { tabindex: 0, role: "group", "aria-label": `Output of ${id}` }, prose(output));
  if (output.length <= LONG_CHARS) return [...parts, box];
  const button = el("button.quiet.more", { type: "button", "aria-expanded": "false" }, "Show all");
  button.addEventListener("click", () => {
    const isOpen = box.classList.toggle("tall");
    button.setAttribute("aria-expanded", String(isOpen));
    button.textContent = isOpen ? "Show less" : "Show all";
  });
  return [...parts, box, button];
}

function factsOf(agent, seconds) {
  return [
    confidenceMeter(agent.confidence),
    el("span", { title: "How long it has worked" }, seconds),
    agent.tokens === null ? null : el("span", `${compact(agent.tokens)} tok`),
    agent.calls ? el("span", `${compact(agent.calls)} ${agent.calls === 1 ? "call" : "calls"}`) : null,
    agent.runs > 1 ? el("span.t-warn", `run ${agent.runs}`) : null,
    agent.model ? bdi(agent.model, "mono agent-model") : null,
  ].filter(Boolean);
}
