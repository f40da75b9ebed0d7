// Making elements. Data becomes text nodes and attributes here, never markup.

import { visibleParts } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * el("button.primary", {type: "button", on: {click}, vars: {"--x": "3px"}}, "text", child, …).
 * Properties are attributes; true is an attribute without a value, false, null and undefined are none.
 */
export function el(what, ...rest) {
  const [tag, ...classes] = what.split(".");
  return fill(document.createElement(tag), classes, rest);
}

export function svg(what, ...rest) {
  const [tag, ...classes] = what.split(".");
  return fill(document.createElementNS(SVG, tag), classes, rest);
}

function fill(node, classes, rest) {
  if (classes.length) node.classList.add(...classes);
  const properties = isProperties(rest[0]) ? rest.shift() : {};
  for (const [name, value] of Object.entries(properties)) setProperty(node, name, value);
  node.append(...rest.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function isProperties(value) {
  return value !== null && typeof value === "object" && !(value instanceof Node) && !Array.isArray(value);
}

function setProperty(node, name, value) {
  if (name === "on") {
    for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
  } else if (name === "vars") {
    for (const [variable, text] of Object.entries(value)) node.style.setProperty(variable, text);
  } else if (value === true) {
    node.setAttribute(name, "");
  } else if (value !== false && value !== null && value !== undefined) {
    node.setAttribute(name, String(value));
  }
}

/** Somebody else's text, on its own: it cannot turn the text around it, and what is invisible in it is shown. */
export function bdi(text, classes = "") {
  const node = el("bdi", { class: classes || null });
  node.append(...visibleText(text));
  return node;
}

/** Text nodes, with marks where a control character stands. */
export function visibleText(text) {
  return visibleParts(text).map(({ text: part, control }) =>
    control === null ? document.createTextNode(part) : el("span.control", { title: control }, part),
  );
}

/** Put a text in only if it is another: screen readers and layout have nothing to do then. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const SHAPES = {
  terminal: "M2.5 3.5h11v9h-11zM5 6.2l2 1.8-2 1.8M8.4 10h2.6",
  file: "M4 2.5h5l3 3v8H4zM9 2.5v3h3M6 8.2h4M6 10.6h4",
  pencil: "M3 13l.7-3 6.8-6.8 2.3 2.3L6 12.3zM9.2 4.5l2.3 2.3",
  search: "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4M10.2 10.2L13.4 13.4",
  globe: "M8 2.4a5.6 5.6 0 1 0 0 11.2A5.6 5.6 0 0 0 8 2.4M2.5 8h11M8 2.5c3.2 3.4 3.2 7.6 0 11M8 2.5c-3.2 3.4-3.2 7.6 0 11",
  agent: "M4.2 3v6.6M4.2 6.2h4.3a2.5 2.5 0 0 1 2.5 2.5v1M4.2 9.6a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3M11 9.7a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3",
  list: "M6.5 4.2h7M6.5 8h7M6.5 11.8h7M2.5 4.2l.8.8 1.5-1.7M2.5 8l.8.8 1.5-1.7M2.7 11.8h1.6",
  plug: "M5.5 2.5v3M10.5 2.5v3M4 5.5h8v2a4 4 0 0 1-8 0zM8 11.5v2.2",
  tool: "M10.4 2.6a3.3 3.3 0 0 0-3.5 4.6l-4.3 4.3 1.9 1.9 4.3-4.3a3.3 3.3 0 0 0 4.4-4.1l-2 2-1.9-.5-.5-1.9z",
  prompt: "M8 2.8a2.4 2.4 0 1 0 0 4.8 2.4 2.4 0 0 0 0-4.8M3 13.4c.5-2.6 2.4-4 5-4s4.500 1.400 5 4",
  message: "M2.6 3.4h10.800v7.400H7.200L4.400 13.200v-2.400H2.600z",
  thinking: "M8 2.300l1.300 3.900L13.200 7.500 9.300 8.800 8 12.700 6.700 8.800 2.800 7.500l3.900-1.300zM12.600 11.300l.5 1.400 1.400.5-1.400.5-.5 1.400",
  error: "M8 2.600a5.400 5.400 0 1 0 0 10.800 5.400 5.400 0 0 0 0-10.800M8 5.200v3.600M8 10.700v.1",
  alert: "M8 2.600l6 10.600H2zM8 6.400v3.200M8 11.300v.1",
  start: "M5 3.200l7.200 4.800L5 12.800z",
  end: "M4 4h8v8H4z",
  usage: "M8 2.800c3 0 5 .9 5 2s-2 2-5 2-5-.9-5-2 2-2 5-2M3 4.800v6.400c0 1.100 2 2 5 2s5-.9 5-2V4.800M3 8c0 1.100 2 2 5 2s5-.9 5-2",
  note: "M8 7.200v3.600M8 5v.1M8 2.600a5.400 5.400 0 1 0 0 10.800 5.400 5.400 0 0 0 0-10.800",
  clock: "M8 2.600a5.400 5.400 0 1 0 0 10.800 5.400 5.400 0 0 0 0-10.800M8 5v3.200l2.200 1.400",
  chevron: "M6 3.800L10.200 8 6 12.200",
  down: "M3.800 6L8 10.200 12.200 6",
  close: "M4 4l8 8M12 4l-8 8",
  pause: "M5.600 3.600v8.800M10.400 3.600v8.800",
  play: "M5 3.200l7.200 4.800L5 12.800z",
  step: "M4 3.400l6 4.600-6 4.600zM12 3.400v9.200",
  live: "M8 6.600a1.400 1.400 0 1 0 0 2.800 1.400 1.400 0 0 0 0-2.800M5 5a4.200 4.200 0 0 0 0 6M11 5a4.200 4.200 0 0 1 0 6M3 3a7 7 0 0 0 0 10M13 3a7 7 0 0 1 0 10",
  copy: "M5.800 5.800h7v7h-7zM10.200 5.800V3.200h-7v7h2.600",
  link: "M6.800 9.200l2.400-2.400M7.600 4.600l1.300-1.300a2.700 2.700 0 0 1 3.800 3.800L11.400 8.400M8.400 11.400l-1.300 1.300a2.700 2.700 0 0 1-3.800-3.800L4.600 7.600",
  back: "M9.800 3.600L5.400 8l4.400 4.400",
  theme: "M8 2.600a5.400 5.400 0 1 0 0 10.800zM8 2.600a5.400 5.400 0 0 1 0 10.800",
  help: "M5.900 6.100a2.100 2.100 0 1 1 3.200 1.800c-.8.500-1.100.9-1.100 1.700M8 11.900v.1",
  filter: "M2.600 3.600h10.800L9.400 8.400v4.200l-2.800-1.400V8.400z",
  plus: "M8 3.600v8.800M3.600 8h8.800",
  minus: "M3.600 8h8.800",
  fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
  check: "M3.400 8.400l3 3 6.200-6.600",
  retry: "M12.800 6.200A5.200 5.200 0 1 0 13.200 9M13.200 3v3.400H9.800",
  skip: "M4 3.400l6 4.600-6 4.600zM12 3.400v9.200",
  trash: "M3.400 4.600h9.200M6.400 4.600V3h3.200v1.600M4.600 4.600l.6 8.400h5.600l.6-8.400",
  reply: "M6.600 4L3 7.600l3.600 3.600M3 7.600h6.400a3.600 3.600 0 0 1 3.600 3.600v1",
  flask: "M6.400 2.600h3.200M7 2.600v4L3.600 12a1 1 0 0 0 .9 1.400h7a1 1 0 0 0 .9-1.400L9 6.600v-4",
  scales: "M8 2.800v10.400M5 13.200h6M3 5.200h10M3 5.200L1.600 9.400a1.800 1.800 0 0 0 2.800 0zM13 5.200l-1.400 4.200a1.800 1.800 0 0 0 2.800 0z",
  merge: "M4 3v2.600a2.400 2.400 0 0 0 2.400 2.400h3.200A2.400 2.400 0 0 1 12 10.400V13M12 3v2.600A2.400 2.400 0 0 1 9.600 8",
  phone: "M5.600 2.800l1.400 3-1.600 1.200a8 8 0 0 0 3.600 3.600l1.200-1.600 3 1.400v2a1.400 1.400 0 0 1-1.500 1.400A9.800 9.800 0 0 1 2.200 4.300 1.400 1.400 0 0 1 3.600 2.800z",
  send: "M8 12.800V3.400M4.200 7L8 3.200 11.800 7",
  attach: "M12.600 7.400L8 12a2.900 2.900 0 0 1-4.100-4.100l5-5a1.900 1.900 0 0 1 2.700 2.700l-4.900 4.900a.9.9 0 0 1-1.300-1.300l4.400-4.400",
  people: "M6 3.200a2.200 2.200 0 1 0 0 4.400 2.200 2.200 0 0 0 0-4.400M2 12.800c.3-2.300 1.900-3.600 4-3.600s3.700 1.300 4 3.600M10.600 3.400a2.200 2.200 0 0 1 0 4M11.400 9.400c1.500.4 2.400 1.600 2.600 3.400",
  book: "M3 3.400h4a1.400 1.400 0 0 1 1 1.400v8a1.200 1.200 0 0 0-1-.8H3zM13 3.400H9a1.400 1.400 0 0 0-1 1.400v8a1.200 1.200 0 0 1 1-.8h4z",
  route: "M4 3v3a2 2 0 0 0 2 2h6M9.600 5.400L12.200 8l-2.600 2.600M4 8v5",
  more: "M3.600 8h.1M8 8h.1M12.400 8h.1",
  upload: "M8 10.600V3.200M5 6l3-3 3 3M3 10.400v2.400h10v-2.400",
};

/** A line icon; for looks only, so screen readers skip it. */
export function icon(name, size = 16) {
  const shape = svg("path", { d: SHAPES[name] ?? SHAPES.note });
  return svg("svg.icon", { viewBox: "0 0 16 16", width: size, height: size, "aria-hidden": "true" }, shape);
}
