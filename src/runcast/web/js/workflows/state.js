// A workflow as a fold over its stream: what its agents say, how far it is, what it asks, what came of it. Pure.

import { listOf, numberOf, objectOf, own, tail, textOf, timeOf, wordsOf } from "../runs/values.js";

const MOST_AGENTS = 200;
const MOST_OUTPUT_CHARS = 60_000; // while it is being written; the whole comes at the end
const MOST_LOG = 400;

/** A workflow of which nothing is known yet. */
export function makeWorkflow(id) {
  return {
    id, seq: 0, missing: 0, status: "unknown", task: "", workflow: "", model: "", maxSteps: null, parent: null, by: null,
    attempt: 1, created: 0, started: 0, ended: 0, last: 0, agents: new Map(), agentsLeftOut: 0, approvals: new Map(),
    progress: null, resources: null, synthesizing: 0, synthesis: null, performance: null, error: "", cancelling: false, log: [],
  };
}

export function applyToWorkflow(workflow, event) {
  const data = objectOf(event.data);
  const time = timeOf(event);
  workflow.created ||= time;
  workflow.last = time;
  if (!workflow.ended) own(APPLY, event.type)?.(workflow, data, time); // what comes after its end changes nothing
  const words = logWords(event.type, data);
  if (!words) return;
  workflow.log.push({ seq: event.seq, time, type: event.type, ...words });
  if (workflow.log.length > MOST_LOG) workflow.log.shift();
}

const APPLY = {
  workflow_created(workflow, data, time) {
    Object.assign(workflow, {
      task: textOf(data.task), workflow: textOf(data.workflow), maxSteps: numberOf(data.max_steps), created: time,
      parent: textOf(data.parent_workflow_id) || null, by: textOf(data.by) || null,
    });
    if (workflow.status === "unknown") workflow.status = "pending";
  },
  workflow_status(workflow, data, time) {
    const status = textOf(data.status);
    if (!status) return;
    workflow.status = status;
    workflow.attempt = numberOf(data.attempt) ?? workflow.attempt;
    if (status === "running") workflow.started ||= time;
  },
  agent_spawned(workflow, data, time) {
    const agent = agentOf(workflow, data);
    if (!agent || agent.state === "completed") return;
    Object.assign(agent, { state: "running", started: time, output: "", reasoning: "", error: "", runs: agent.runs + 1 });
    agent.type = textOf(data.agent_type) || agent.type;
    agent.confidence = numberOf(data.confidence) ?? agent.confidence;
  },
  agent_output(workflow, data, time) {
    const agent = agentOf(workflow, data);
    if (!agent || agent.state === "completed") return;
    agent.started ||= time;
    agent.output = tail(agent.output + textOf(data.content), MOST_OUTPUT_CHARS);
    agent.reasoning = tail(agent.reasoning + textOf(data.reasoning), MOST_OUTPUT_CHARS);
    agent.confidence = numberOf(data.confidence) ?? agent.confidence;
  },
  agent_completed(workflow, data, time) {
    const agent = agentOf(workflow, data);
    if (!agent) return;
    Object.assign(agent, {
      state: "completed", ended: time, output: textOf(data.content) || agent.output, tokens: numberOf(data.tokens),
      calls: numberOf(data.llm_calls), seconds: numberOf(data.seconds), model: textOf(data.model),
      confidence: numberOf(data.confidence) ?? agent.confidence, sources: listOf(data.sources),
    });
    workflow.model = agent.model || workflow.model;
  },
  agent_failed(workflow, data, time) {
    const agent = agentOf(workflow, data);
    if (agent) Object.assign(agent, { state: "failed", ended: time, error: wordsOf(data.error) || "It failed without a word." });
  },
  synthesis_started(workflow, data, time) {
    workflow.synthesizing = time;
  },
  workflow_progress(workflow, data, time) {
    const percent = numberOf(data.percent);
    workflow.progress = {
      percent: percent === null ? workflow.progress?.percent ?? 0 : Math.min(100, Math.max(0, percent)),
      eta: numberOf(data.eta_seconds), message: textOf(data.message), time,
    };
  },
  resource_metrics(workflow, data) {
    workflow.resources = {
      tokens: numberOf(data.tokens), calls: numberOf(data.llm_calls), latency: numberOf(data.llm_latency_ms), memory: numberOf(data.memory_mb),
    };
  },
  approval_requested(workflow, data, time) {
    const id = textOf(data.approval_id);
    if (!id || workflow.approvals.has(id)) return;
    workflow.approvals.set(id, { id, question: textOf(data.question), details: wordsOf(data.details), asked: time, answer: null });
  },
  approval_resolved(workflow, data, time) {
    const approval = workflow.approvals.get(textOf(data.approval_id));
    if (!approval || approval.answer) return;
    approval.answer = { approved: data.approved === true, by: textOf(data.by), comment: textOf(data.comment), time };
  },
  workflow_command(workflow, data) {
    if (data.command === "cancel") workflow.cancelling = true;
  },
  workflow_complete(workflow, data, time) {
    const synthesis = objectOf(data.synthesis);
    end(workflow, "completed", time);
    workflow.synthesis = {
      content: textOf(synthesis.content), confidence: numberOf(synthesis.confidence), agents: numberOf(synthesis.agents_synthesized),
      tokens: numberOf(synthesis.token_count), sources: listOf(synthesis.sources ?? data.sources),
    };
    workflow.performance = performanceOf(data);
    workflow.model = textOf(data.model) || workflow.model;
  },
  workflow_error(workflow, data, time) {
    end(workflow, data.status === "cancelled" ? "cancelled" : "failed", time);
    workflow.error = wordsOf(data.error);
    workflow.performance = performanceOf(data);
  },
};

function agentOf(workflow, data) {
  const id = textOf(data.agent_id);
  const known = workflow.agents.get(id);
  if (known || !id) return known ?? null;
  if (workflow.agents.size >= MOST_AGENTS) {
    workflow.agentsLeftOut += 1;
    return null;
  }
  const agent = {
    id, type: textOf(data.agent_type) || id.replace(/_\d+$/, ""), state: "running", started: 0, ended: 0, confidence: null, runs: 0,
    output: "", reasoning: "", error: "", tokens: null, calls: null, seconds: null, model: "", sources: [],
  };
  workflow.agents.set(id, agent);
  return agent;
}

function end(workflow, status, time) {
  workflow.status = status;
  workflow.ended = time;
  workflow.cancelling = false;
  for (const agent of workflow.agents.values()) {
    if (agent.state === "running") Object.assign(agent, { state: status === "completed" ? "completed" : "cancelled", ended: time });
  }
}

function performanceOf(data) {
  const told = objectOf(data.performance_metrics);
  return { duration: numberOf(told.total_duration), calls: numberOf(told.llm_calls), tokens: numberOf(told.total_tokens) };
}

/** The approvals that wait for somebody; none once the workflow is over. */
export function pendingApprovals(workflow) {
  return workflow.ended ? [] : [...workflow.approvals.values()].filter(({ answer }) => !answer);
}

/** What to call its state: what it waits for comes before that it runs. */
export function stateOfWorkflow(workflow) {
  return !workflow.ended && pendingApprovals(workflow).length ? "approval" : workflow.status;
}

/** The agent that writes the result, and what it has written so far; null before. */
export function writerOf(workflow) {
  return [...workflow.agents.values()].findLast(({ type }) => type === "synthesis") ?? null;
}

/** For how many seconds an agent has worked. */
export function secondsOfAgent(agent, now) {
  if (agent.seconds !== null) return agent.seconds;
  return agent.started ? Math.max(0, ((agent.ended || now) - agent.started) / 1000) : 0;
}

/** {tokens, calls, latency, memory, seconds}: the last figures that were told, or what the agents add up to. */
export function figuresOf(workflow, now) {
  const agents = [...workflow.agents.values()];
  const sum = (name) => agents.reduce((all, agent) => all + (agent[name] ?? 0), 0);
  const { performance, resources } = workflow;
  const until = workflow.ended || now;
  return {
    tokens: performance?.tokens ?? resources?.tokens ?? sum("tokens"),
    calls: performance?.calls ?? resources?.calls ?? sum("calls"),
    latency: resources?.latency ?? null,
    memory: resources?.memory ?? null,
    seconds: performance?.duration ?? (workflow.started ? (until - workflow.started) / 1000 : null),
  };
}

/** When each agent worked, as fractions of the whole time: [{agent, from, to}]. */
export function lanesOf(workflow, now) {
  const first = workflow.started || workflow.created;
  const agents = [...workflow.agents.values()];
  const isBusy = agents.some(({ state }) => state === "running");
  const last = Math.max(first + 1, isBusy ? now : agents.reduce((latest, { ended }) => Math.max(latest, ended), 0));
  const place = (time) => Math.min(1, Math.max(0, (time - first) / (last - first)));
  return agents.filter(({ started }) => started).map((agent) => ({
    agent, from: place(agent.started), to: place(agent.ended || now),
  }));
}

function logWords(type, data) {
  switch (type) {
    case "workflow_created": return { text: "Created", who: textOf(data.by) };
    case "workflow_status": {
      const again = numberOf(data.attempt) > 1 && data.status === "running" ? `, attempt ${data.attempt}: another runner has taken it over` : "";
      return { text: `Is ${textOf(data.status)}${again}`, tone: again ? "warn" : "" };
    }
    case "agent_spawned": return { text: `${textOf(data.agent_id)} began` };
    case "agent_completed": return { text: `${textOf(data.agent_id)} finished`, tone: "good" };
    case "agent_failed": return { text: `${textOf(data.agent_id)} failed: ${wordsOf(data.error)}`, tone: "bad" };
    case "synthesis_started": return { text: `Synthesis of ${data.agent_count ?? "all"} agents began` };
    case "workflow_progress": return textOf(data.message) ? { text: `${Math.round(numberOf(data.percent) ?? 0)} %: ${data.message}` } : null;
    case "approval_requested": return { text: `Asks: ${textOf(data.question)}`, tone: "warn" };
    case "approval_resolved": {
      const comment = textOf(data.comment) ? `: ${data.comment}` : "";
      return { text: `${data.approved === true ? "Approved" : "Rejected"}${comment}`, who: textOf(data.by), tone: data.approved === true ? "good" : "bad" };
    }
    case "workflow_command": return { text: `Asked to ${textOf(data.command)}${textOf(data.reason) ? `: ${data.reason}` : ""}`, who: textOf(data.by), tone: "warn" };
    case "workflow_complete": return { text: "Completed", tone: "good" };
    case "workflow_error": return { text: wordsOf(data.error) || "Failed", tone: "bad" };
    case "agent_output": case "resource_metrics": return null;
    default: return { text: type.replaceAll("_", " ") };
  }
}
