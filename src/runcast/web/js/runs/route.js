// The address of what is shown on a page of runs: `/plans`, `/plans?new`, `/plans/{id}`. Pure.

/** {id: string | null, isNew, query: URLSearchParams} */
export function parseRoute(path, { pathname, search }) {
  const rest = pathname.startsWith(`${path}/`) ? pathname.slice(path.length + 1) : "";
  const query = new URLSearchParams(search);
  return { id: rest ? decoded(rest) : null, isNew: query.has("new"), query };
}

export function formatRoute(path, { id = null, isNew = false, query = {} }) {
  if (id !== null) return `${path}/${encodeURIComponent(id)}`;
  const words = new URLSearchParams(Object.entries(query).filter(([, value]) => value));
  if (isNew) words.set("new", "");
  const text = words.toString().replace(/\bnew=(?=&|$)/, "new");
  return text ? `${path}?${text}` : path;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
