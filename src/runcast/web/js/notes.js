// What the feed makes of events and of the connection's words: costs for the chart, gaps as rows, sentences. Pure.

import { isError as failed, timeOf, tokensOf } from "./events.js";
import { count } from "./format.js";

/**
 * An event as the chart counts it. What a request to the model has cost is told by transcripts, too, so only one
 * of the two accounts counts.
 */
export function costOf(event, byRequests = false) {
  const counts = (event.event_type === "api_request") === byRequests;
  return { time: timeOf(event), tokens: counts ? tokensOf(event).out : 0, isError: failed(event) };
}

/** A gap as an event of its own, so that it stands where it is. */
export function gapEvent(frame, session) {
  return {
    event_id: `gap:${frame.first_seq}:${frame.last_seq}`, event_type: "gap", session_id: session ?? "",
    timestamp: frame.timestamp, agent_id: "", status: "recorded", seq: frame.first_seq,
    output_summary: `Events ${frame.first_seq} to ${frame.last_seq} are not kept any more.`,
  };
}

/** "Resumed, 42 events caught up, nothing missed." */
export function resumedWords({ events, missed }) {
  return `Resumed, ${count(events, "event")} caught up, ${missed ? "some are not kept any more" : "nothing missed"}.`;
}
