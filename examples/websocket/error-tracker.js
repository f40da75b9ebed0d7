// Watch for errors of coding agents, grouped by tool.
//
//     node error-tracker.js [SESSION] [ws://localhost:8000]
//
// Without a session, or with *, those of all sessions. The server sends errors only: the filter is part of the
// address. Needs Node.js 22 or newer, which has WebSocket built in.

const [session = "*", address = "ws://localhost:8000"] = process.argv.slice(2);
const server = address.replace(/^http/, "ws");

if (typeof WebSocket === "undefined") {
  console.error(`This needs Node.js 22 or newer, which has WebSocket built in; here is ${process.version}.`);
  process.exit(1);
}

const FILTER = { statuses: ["error", "timeout"] };
const FINAL = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

const errors = new Map(); // tool -> { count, last }
let cursor = "start";
let delay = FIRST_DELAY_MS;

function url() {
  const path = session === "*" ? "/ws/events" : `/ws/events/${encodeURIComponent(session)}`;
  const query = new URLSearchParams({ filter: JSON.stringify(FILTER), after: cursor });
  return `${server}${path}?${query}`;
}

function track(event) {
  const tool = event.tool_name ?? event.event_type;
  const known = errors.get(tool) ?? { count: 0, last: "" };
  const text = (event.output_summary ?? event.input_summary ?? "no details").split("\n")[0].slice(0, 100);
  errors.set(tool, { count: known.count + 1, last: text });
  console.log(`${event.timestamp}  ${event.session_id}  ${tool} #${known.count + 1}: ${text}`);
}

function summary() {
  const ranked = [...errors].sort(([, a], [, b]) => b.count - a.count);
  for (const [tool, { count, last }] of ranked) {
    console.log(`${String(count).padStart(5)} × ${tool}  (last: ${last})`);
  }
}

function receive(message) {
  const frame = JSON.parse(message.data);
  if (frame.type === "error") {
    console.error(frame.message);
    process.exitCode = 1;
  }
  frame.events.forEach(track);
  // After the last event, or where a control frame says to go on: a reconnect misses nothing.
  cursor = frame.events.at(-1)?.cursor ?? frame.cursor ?? cursor;
}

function connect() {
  const socket = new WebSocket(url());
  socket.addEventListener("open", () => {
    delay = FIRST_DELAY_MS;
  });
  socket.addEventListener("message", receive);
  socket.addEventListener("close", ({ code, reason }) => {
    if (FINAL.has(code)) {
      console.error(`closed: ${reason || code}`);
      return;
    }
    console.error(`connection lost, trying again in ${delay} ms`);
    setTimeout(connect, delay * (0.5 + Math.random() / 2));
    delay = Math.min(delay * 2, LONGEST_DELAY_MS);
  });
}

process.on("SIGINT", () => {
  summary();
  process.exit(0);
});

connect();
