// The address of what is shown: `/?session=…&type=…&at=…&event=…`, read and written. Pure.

import { fromQuery, toQuery } from "./filters.js";

/** {session: string | null (all), filter, at: ms | null, event: string | null, view: "list" | "feed"} */
export function parseRoute(search) {
  const query = new URLSearchParams(search);
  const session = query.get("session");
  const at = Date.parse(query.get("at") ?? "");
  return {
    session: session && session !== "*" ? session : null,
    chosen: session !== null,
    filter: fromQuery(query),
    at: Number.isNaN(at) ? null : at,
    event: query.get("event"),
  };
}

export function formatRoute({ session, chosen, filter, at, event }) {
  const query = new URLSearchParams();
  if (session !== null) query.set("session", session);
  else if (chosen) query.set("session", "*");
  for (const [name, value] of toQuery(filter)) query.set(name, value);
  if (at !== null) query.set("at", new Date(at).toISOString());
  if (event !== null) query.set("event", event);
  const text = query.toString();
  return text ? `/?${text}` : "/";
}
