// What an OpenAPI document says, in the shape in which the page shows it. Pure.

const PROBLEM = "application/problem+json";

/** [{tag, operations}], tags and operations in the order of the document; the sockets come last. */
export function groupsOf(document) {
  const groups = new Map();
  const put = (operation) => {
    if (!groups.has(operation.tag)) groups.set(operation.tag, []);
    groups.get(operation.tag).push(operation);
  };
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    for (const [method, said] of Object.entries(methods)) put(operationOf(method.toUpperCase(), path, said));
  }
  for (const socket of document["x-websockets"] ?? []) put(operationOf("WS", socket.path, { ...socket, tags: ["sockets"] }));
  return [...groups].map(([tag, operations]) => ({ tag, operations }));
}

function operationOf(method, path, said) {
  const media = Object.entries(said.requestBody?.content ?? {});
  return {
    id: `${method.toLowerCase()}${path.replace(/[^A-Za-z0-9]+/g, "-").replace(/-$/, "")}`,
    method, path, tag: said.tags?.[0] ?? "other", summary: said.summary ?? "",
    permission: said["x-permission"] ?? "",
    says: said.says ?? "",
    parameters: (said.parameters ?? []).map(parameterOf),
    body: media.length ? { required: said.requestBody.required === true, media: media.map(([type, { schema = {} }]) => ({ type, schema })) } : null,
    answers: Object.entries(said.responses ?? {}).map(([status, { description, content = {} }]) => ({
      status: Number(status), description, media: Object.keys(content), isProblem: Object.hasOwn(content, PROBLEM),
    })),
  };
}

function parameterOf({ name, in: place, required = false, schema = {} }) {
  return {
    name, place, required, description: schema.description ?? "", words: typeWords(schema),
    choices: schema.enum ?? null, example: String(schema.examples?.[0] ?? ""), byDefault: String(schema.default ?? ""),
  };
}

/** {type: "integer", minimum: 1, maximum: 50, default: 20} -> "integer, 1 to 50, default 20". */
export function typeWords(schema) {
  if (schema.oneOf) return schema.oneOf.map(typeWords).join(" or ");
  const types = [schema.type ?? "any"].flat();
  const words = [types.map((type) => (type === "array" && schema.items ? `array of ${typeWords(schema.items)}` : type)).join(" or ")];
  if (schema.format) words.push(schema.format);
  if (schema.enum) words.push(schema.enum.join(", "));
  const { minimum: least, maximum: most, minLength: shortest, maxLength: longest } = schema;
  if (most !== undefined) words.push(`${least ?? "up"} to ${most}`);
  else if (least !== undefined) words.push(`${least} or more`);
  if (longest !== undefined) words.push(`${shortest ?? 0} to ${longest} characters`);
  if (schema.maxItems !== undefined) words.push(`at most ${schema.maxItems}`);
  if (schema.default !== undefined) words.push(`default ${schema.default}`);
  return words.join(", ");
}

/** The fields of an object: [{name, required, words, description}]; of the first that fits, if there are several. */
export function fieldsOf(schema) {
  const shape = schema.oneOf ? schema.oneOf[0] : schema;
  const required = new Set(shape.required ?? []);
  return Object.entries(shape.properties ?? {}).map(([name, inner]) => ({
    name, required: required.has(name), words: typeWords(inner), description: inner.description ?? "",
  }));
}

/** A body to begin with: what is required. */
export function exampleOf(schema) {
  if (schema.examples) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.oneOf) return exampleOf(schema.oneOf[0]);
  switch ([schema.type].flat()[0]) {
    case "object": {
      const required = new Set(schema.required ?? []);
      const shown = Object.entries(schema.properties ?? {}).filter(([name]) => required.has(name));
      return Object.fromEntries(shown.map(([name, inner]) => [name, exampleOf(inner)]));
    }
    case "array": return [];
    case "integer": case "number": return schema.minimum ?? 0;
    case "boolean": return true;
    default: return schema.enum?.[0] ?? "…";
  }
}

/** Where a request goes: the path with its names filled in, and what of the query was given. */
export function addressOf({ path, parameters }, values) {
  const there = path.replace(/\{([^}]+)\}/g, (_, name) => encodeURIComponent(values[name] ?? ""));
  const query = new URLSearchParams();
  for (const { name, place } of parameters) if (place === "query" && values[name]) query.append(name, values[name]);
  const asked = query.toString();
  return asked ? `${there}?${asked}` : there;
}

/** Parameters without which nothing can be sent, and that were not given. */
export function missing({ parameters }, values) {
  return parameters.filter(({ name, required }) => required && !values[name]).map(({ name }) => name);
}

/** The request as a line for a shell. */
export function curlOf({ method, body }, address, type, text, origin) {
  const parts = ["curl", ...(method === "GET" ? [] : ["-X", method]), quoted(origin + address)];
  if (body && text) parts.push("-H", quoted(`Content-Type: ${type}`), "--data-binary", quoted(text));
  return parts.join(" ");
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** What of the groups fits a search: every word stands somewhere in method, path, summary or tag. */
export function search(groups, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = ({ method, path, summary, tag }) => {
    const said = `${method} ${path} ${summary} ${tag}`.toLowerCase();
    return words.every((word) => said.includes(word));
  };
  return groups.map(({ tag, operations }) => ({ tag, operations: operations.filter(fits) })).filter(({ operations }) => operations.length);
}
