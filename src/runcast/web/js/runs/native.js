// The native socket, as `Connection` speaks it: one subscription, to a stream or to all of a kind ("plan:*").

import { Connection } from "../connection.js";

const PATH = "/api/v1/stream";
const SUBSCRIBING = "s";

/** A connection that hears of `stream`; `types` are those of the events that are wanted, null for all. */
export function connectTo(stream, types, { onEvents, onNotice, onState }) {
  return new Connection({ path: PATH, protocol: protocolOf(stream, types), onEvents, onNotice, onState });
}

export function protocolOf(stream, types) {
  const filter = types ? { event_types: types } : null;
  return {
    query: () => ({}),
    greeting: (after) => JSON.stringify({ op: "subscribe", id: SUBSCRIBING, stream, after, ...(filter ? { filter } : {}) }),
    ping: '{"op":"ping"}',
    eventsOf: (frame) => (frame.type === "events" ? frame.events : null),
    refusalOf: (frame) => (frame.type === "error" && frame.id === SUBSCRIBING ? frame : null),
  };
}
