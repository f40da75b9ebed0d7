// The server's REST endpoints that the pages read, and nothing about what is done with the answers.

let bearer = () => "";

/** From now on each request shows the token that `of()` gives, unless that is empty; for who has no cookie. */
export function showToken(of) {
  bearer = of;
}

export class ApiError extends Error {
  constructor(message, { status = 0, code = "", field = "" } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field; // what of the request was wrong, such as "steps[2].action"
  }
}

/** The newest first; {sessions, next}. */
export function listSessions({ after = "", limit = 100 } = {}) {
  return get("/api/sessions", { order: "recent", limit, after });
}

/** A session with its `summary`, `totals` and `timeline`. */
export function readSession(id) {
  return get(`/api/sessions/${encodeURIComponent(id)}`);
}

export function readStatus() {
  return get("/api/status");
}

/**
 * A page of events, oldest first: {events, cursor, before, complete}. Of one session, or of all (null).
 * `where` is one of {after}, {before}, {at}; without one it is the newest page.
 */
export async function readEvents(session, filter, where = { before: "now" }, limit = 250) {
  const path = session === null ? "/api/events" : `/api/sessions/${encodeURIComponent(session)}/events`;
  const page = await get(path, { ...where, limit, filter: filter ? JSON.stringify(filter) : "" });
  return { ...page, before: page.before ?? null };
}

/** {sub, via, name, email, grants}, or null if the server does not know who looks. */
export async function whoAmI() {
  try {
    return await get("/api/v1/auth/me");
  } catch (error) {
    if (error.status === 401) return null;
    throw error;
  }
}

/** Exchange a key or token for a cookie, by way of a ticket, so that it never stands in an address. */
export async function signIn(secret) {
  const { ticket } = await post("/api/v1/auth/tickets", { Authorization: `Bearer ${secret}` });
  return get("/api/v1/auth/me", { ticket });
}

export function signOut() {
  return post("/api/v1/auth/logout");
}

async function post(path, headers = {}) {
  return answerOf(await fetchOrSay(path, { method: "POST", headers }));
}

/** Send a value as JSON; resolves to the answer's. Raises ApiError. */
export async function send(path, value = {}, method = "POST") {
  const headers = { "Content-Type": "application/json", Accept: "application/json" };
  return answerOf(await fetchOrSay(path, { method, headers, body: JSON.stringify(value) }));
}

/** The JSON that a path answers. Raises ApiError. */
export async function get(path, query = {}) {
  const address = new URL(path, location.href);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) address.searchParams.set(name, value);
  }
  return answerOf(await fetchOrSay(address, { headers: { Accept: "application/json" }, cache: "no-store" }));
}

/** A file that a path answers, as a Blob. Raises ApiError. */
export async function getFile(path) {
  const response = await fetchOrSay(path, { cache: "no-store" });
  return response.ok ? response.blob() : answerOf(response);
}

async function answerOf(response) {
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(problem.detail || `The server answered ${response.status}.`, {
    status: response.status, code: problem.code, field: problem.field,
  });
}

async function fetchOrSay(address, options) {
  try {
    const token = bearer();
    const headers = { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...options.headers };
    return await fetch(address, { ...options, headers });
  } catch {
    throw new ApiError("The server cannot be reached.");
  }
}
