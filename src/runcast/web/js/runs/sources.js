// The sources that a text names in square brackets, as agents are asked to: [file] or [file, heading]. Pure.

const CITED = /\[([^[\]\n]{1,300})\](?!\()/g;
const FILE = /^([^,;]*\.[A-Za-z][A-Za-z0-9]{0,4})(?:\s*,\s*(.+))?$/;
const MOST = 50;

/** [{name, headings: [...]}], each file once, in the order in which they are named first. */
export function sourcesIn(text) {
  const sources = new Map();
  for (const [, cited] of text.matchAll(CITED)) {
    for (const one of cited.split(";")) add(sources, one.trim());
  }
  return [...sources.values()].slice(0, MOST);
}

function add(sources, cited) {
  const parts = FILE.test(cited) && !/\.[A-Za-z][A-Za-z0-9]{0,4}\s*,.*\.[A-Za-z][A-Za-z0-9]{0,4}$/.test(cited) ? [cited] : cited.split(/\s*,\s*/);
  for (const part of parts) {
    const found = FILE.exec(part);
    if (!found) continue;
    const [, name, heading] = found;
    if (!sources.has(name)) sources.set(name, { name, headings: [] });
    const { headings } = sources.get(name);
    if (heading && !headings.includes(heading)) headings.push(heading);
  }
}
