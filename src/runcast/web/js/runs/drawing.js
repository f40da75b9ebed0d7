// Drawing once per frame however often something changes, and lists of which only what is another is touched.

const HIDDEN_MS = 300; // a page in the background gets no frames

/** `draw(parts)` once for all the parts that were asked for meanwhile. */
export function oncePerFrame(draw) {
  const wanted = new Set();
  const run = () => {
    if (!wanted.size) return;
    const parts = new Set(wanted);
    wanted.clear();
    draw(parts);
  };
  return (...parts) => {
    const isFirst = wanted.size === 0;
    for (const part of parts) wanted.add(part);
    if (!isFirst) return;
    requestAnimationFrame(run);
    setTimeout(run, HIDDEN_MS);
  };
}

/** Put `wanted` into `place`; only what stands elsewhere is moved, so that the keyboard stays where it is. */
export function putChildren(place, wanted) {
  const keep = new Set(wanted);
  for (const child of [...place.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((child, at) => {
    if (place.children[at] !== child) place.insertBefore(child, place.children[at] ?? null);
  });
}

/** Children of a place by key: `make(item)` gives {node, update(item)}. */
export class Keyed {
  #parts = new Map();

  constructor(place, make) {
    this.place = place;
    this.make = make;
  }

  update(items, keyOf, ...more) {
    const keys = new Set();
    const nodes = items.map((item) => {
      const key = keyOf(item);
      keys.add(key);
      let part = this.#parts.get(key);
      if (!part) this.#parts.set(key, (part = this.make(item)));
      part.update(item, ...more);
      return part.node;
    });
    for (const key of this.#parts.keys()) if (!keys.has(key)) this.#parts.delete(key);
    putChildren(this.place, nodes);
  }

  get(key) {
    return this.#parts.get(key);
  }
}

/** Calls `draw` only if `version`, any value, is another than the last time. */
export function whenChanged(draw) {
  let last;
  return (version, ...more) => {
    const now = JSON.stringify(version);
    if (now === last) return;
    last = now;
    draw(...more);
  };
}
