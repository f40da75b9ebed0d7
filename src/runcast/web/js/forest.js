// From events to a forest: a call with its result, a subagent under the call that started it, usage as a note on
// what it paid for. Pure: the same events give the same nodes, whichever page they came with.

import { MAIN_AGENT, keyOf, kindOf, timeOf } from "./events.js";

const MAX_LINKS = 5_000;

/** What is remembered beyond the loaded events: which call started which agent, and whose session it is. */
export class Links {
  #callOf = new Map();

  /** `mainOf(session)` names a session's own agent, where it is known. */
  constructor(mainOf = () => null) {
    this.mainOf = mainOf;
  }

  /** The last one counts: a name may be given to one agent after the other. */
  learn(session, agent, call) {
    const name = `${session}\n${agent}`;
    this.#callOf.delete(name);
    if (this.#callOf.size >= MAX_LINKS) this.#callOf.delete(this.#callOf.keys().next().value);
    this.#callOf.set(name, call);
  }

  callOf(session, agent) {
    return this.#callOf.get(`${session}\n${agent}`);
  }
}

/** Nodes of a forest, by order of their first event. `lost` knows calls whose results are among the events only. */
export function buildForest(events, links = new Links(), lost = null) {
  const forest = new Forest(links, lost, events);
  for (const event of events) forest.add(event);
  return forest.roots;
}

class Forest {
  constructor(links, lost, events) {
    this.links = links;
    this.lost = lost;
    this.roots = [];
    this.nodes = new Map();
    this.waiting = new Map(); // results that came before their call
    this.groups = new Map(); // by call, or by agent
    this.delegations = new Map(); // by agent: the last one
    this.last = new Map(); // by agent: what a usage event is about
    this.isMain = mainAgents(events, links);
  }

  add(event) {
    const kind = kindOf(event);
    const parent = this.nodeOf(event, event.parent_event_id);
    if (kind === "usage") return this.addUsage(event);
    if (kind === "result" || (kind === "error" && event.tool_name)) return this.addResult(event, parent);
    if (kind === "delegation") return this.addDelegation(event, parent);
    if (parent?.kind === "call" && event.agent_id !== parent.event.agent_id) this.link(event, event.parent_event_id);
    this.place(this.node(event, kind));
  }

  nodeOf(event, id) {
    return id ? this.nodes.get(`${event.session_id}\n${id}`) : undefined;
  }

  node(event, kind) {
    const node = makeNode(keyOf(event), kind, event);
    this.nodes.set(node.key, node);
    if (kind === "call") {
      const result = this.waiting.get(node.key);
      if (result) {
        node.result = result.event;
        remove(result);
      }
      this.adoptGroup(node);
    }
    return node;
  }

  /** What stood for this call, which was not there yet, becomes the call's own. */
  adoptGroup(node) {
    const group = this.groups.get(node.key);
    if (!group || group === node) return;
    this.groups.set(node.key, node);
    this.takeOver(node, group);
    if (group.kind === "delegation") this.merge(node, group.event);
  }

  takeOver(node, group) {
    node.children.unshift(...group.children);
    for (const child of node.children) child.siblings = node.children;
    remove(group);
  }

  addUsage(event) {
    const payer = this.nodeOf(event, event.event_id.replace(/:usage$/, "")) ?? this.last.get(agentKey(event));
    if (payer) payer.usage.push(event);
    else this.place(this.node(event, "usage"));
  }

  addResult(event, call) {
    if (call?.kind === "call" && !call.result) {
      call.result = event;
      return;
    }
    const lost = call ? null : this.lost?.get(event.session_id, event.parent_event_id);
    const node = this.node(lost ?? event, lost ? "call" : event.tool_name ? "result" : "error");
    if (lost) node.result = event;
    else if (event.parent_event_id) this.waiting.set(`${event.session_id}\n${event.parent_event_id}`, node);
    this.place(node);
  }

  /** It is the call that it came from, where that is loaded; else it is what its agent's events stand under. */
  addDelegation(event, parent) {
    const early = this.groups.get(this.groupKey(event)); // of steps that the log tells before their beginning
    if (event.parent_event_id && event.agent_id && parent?.kind !== "delegation") this.link(event, event.parent_event_id);
    const node = parent?.kind === "call" ? parent : this.node(event, "delegation");
    for (const group of new Set([early, this.groups.get(this.groupKey(event))])) {
      if (group?.kind === "group") this.takeOver(node, group);
    }
    if (node === parent) return this.merge(parent, event);
    if (event.parent_event_id && !parent) this.groups.set(this.groupKey(event), node);
    this.delegations.set(agentKey(event), node);
    this.put(node, parent?.kind === "delegation" ? parent.children : this.roots);
  }

  /** A call and the delegation that came of it are one. */
  merge(call, delegation) {
    call.delegation = delegation;
    this.nodes.set(keyOf(delegation), call);
    this.delegations.set(agentKey(delegation), call);
  }

  link(event, callId) {
    this.links.learn(event.session_id, event.agent_id, callId);
  }

  place(node) {
    this.put(node, this.homeOf(node.event));
    if (node.kind !== "alert") this.last.set(agentKey(node.event), node);
  }

  /** What an agent did as a whole stands where it began, even if the log tells it later. */
  put(node, home) {
    let at = home.length;
    if (node.kind === "group" || node.kind === "delegation") {
      while (at > 0 && timeOf(home[at - 1].event) > timeOf(node.event)) at -= 1;
    }
    node.siblings = home;
    home.splice(at, 0, node);
  }

  homeOf(event) {
    const parent = this.nodeOf(event, event.parent_event_id);
    if (parent?.kind === "delegation" && parent.event.agent_id === event.agent_id) return parent.children;
    const delegation = this.delegations.get(agentKey(event));
    if (delegation) return delegation.children;
    const callId = this.links.callOf(event.session_id, event.agent_id);
    if (callId === undefined && !this.isSubagent(event)) return this.roots;
    const call = this.nodeOf(event, callId);
    if (call && call.event !== event && call.event.agent_id !== event.agent_id) return call.children;
    return this.groupOf(event).children;
  }

  /** For an agent whose beginning is not loaded. */
  groupOf(event) {
    const key = this.groupKey(event);
    let group = this.groups.get(key);
    if (!group) {
      group = makeNode(`${key}\ngroup`, "group", event);
      this.groups.set(key, group);
      this.put(group, this.roots);
    }
    return group;
  }

  groupKey(event) {
    const callId = this.links.callOf(event.session_id, event.agent_id);
    return `${event.session_id}\n${callId ?? `agent:${event.agent_id}`}`;
  }

  /** An agent known to be somebody's, though what started it is not loaded. */
  isSubagent(event) {
    if (this.isMain(event)) return false;
    return typeof event.agent_type === "string" || event.source === "transcript" || event.source === "hook";
  }
}

/** Says of an event whether its session's own agent did it: the one that is known, or that was there first. */
export function mainAgents(events, links) {
  const first = new Map();
  for (const event of events) {
    const kind = kindOf(event);
    if ((kind === "prompt" || kind === "start") && !first.has(event.session_id)) first.set(event.session_id, event.agent_id);
  }
  return ({ session_id: session, agent_id: agent }) =>
    !agent || agent === "unknown" || agent === (links.mainOf(session) ?? first.get(session) ?? MAIN_AGENT);
}

function makeNode(key, kind, event) {
  return { key, kind, event, result: null, delegation: null, usage: [], children: [], siblings: null };
}

function remove(node) {
  const at = node.siblings.indexOf(node);
  if (at >= 0) node.siblings.splice(at, 1);
}

const agentKey = (event) => `${event.session_id}\n${event.agent_id}`;
