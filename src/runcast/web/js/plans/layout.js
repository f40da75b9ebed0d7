// Where the steps of a plan stand and how the lines between them run: layers by dependency, few crossings. Pure.

const SWEEPS = 6;

/**
 * `steps` is [{id, dependsOn}]. Places for boxes of `size` {width, height, gap (between layers), space (beside each
 * other)}; `down` makes the layers rows instead of columns. What is not there is not depended upon, and a cycle, which
 * no server accepts but an editor may hold, is drawn as if its last line were missing.
 *
 * {nodes: [{id, layer, x, y}], edges: [{from, to, points: [{x, y}]}], width, height}
 */
export function layOut(steps, size, down = false) {
  const layers = orderedLayers(steps);
  const flat = places(layers.rows, size, down);
  const at = ({ along, across }, shift = 0) => (down ? { x: across, y: along + shift } : { x: along + shift, y: across });
  const half = (down ? size.height : size.width) / 2;
  const pointsOf = (cell) => (cell.step ? [at(flat.get(cell))] : [at(flat.get(cell), -half), at(flat.get(cell), half)]); // past the boxes beside it
  const nodes = layers.rows.flat().filter(({ step }) => step).map((cell) => ({ id: cell.id, layer: cell.layer, ...at(flat.get(cell)) }));
  const edges = layers.edges.map(({ from, to, cells }) => ({ from, to, points: cells.flatMap(pointsOf) }));
  return { nodes, edges, ...extent(nodes, edges, size) };
}

/** Rows of cells, each a step or a bend of a line that passes through; with the lines by their cells. */
function orderedLayers(steps) {
  const byId = new Map(steps.map((step) => [step.id, step]));
  const layerOf = layersOf(byId);
  const cells = new Map(steps.map((step) => [step.id, { id: step.id, step, layer: layerOf.get(step.id), links: [] }]));
  const rows = [];
  for (const cell of cells.values()) (rows[cell.layer] ??= []).push(cell);
  const edges = [];
  for (const { id, dependsOn } of steps) {
    for (const from of new Set(dependsOn)) {
      if (cells.has(from) && layerOf.get(from) < layerOf.get(id)) edges.push({ from, to: id, cells: chain(cells.get(from), cells.get(id), rows) });
    }
  }
  untangle(rows);
  return { rows, edges };
}

/** The longest way from a step that waits for nothing. */
function layersOf(byId) {
  const layers = new Map();
  const open = new Set();
  const visit = (id) => {
    if (layers.has(id)) return layers.get(id);
    if (open.has(id)) return -1; // a cycle
    open.add(id);
    const before = byId.get(id).dependsOn.filter((other) => byId.has(other)).map(visit);
    open.delete(id);
    layers.set(id, Math.max(-1, ...before) + 1);
    return layers.get(id);
  };
  for (const id of byId.keys()) visit(id);
  return layers;
}

function chain(from, to, rows) {
  const cells = [from];
  for (let layer = from.layer + 1; layer < to.layer; layer += 1) {
    const bend = { id: `${from.id}\n${to.id}\n${layer}`, step: null, layer, links: [] };
    rows[layer].push(bend);
    cells.push(bend);
  }
  cells.push(to);
  for (let at = 1; at < cells.length; at += 1) {
    cells[at].links.push(cells[at - 1]);
    cells[at - 1].links.push(cells[at]);
  }
  return cells;
}

/** Each cell stands as near as can be to the middle of those it is linked to, forth and back a few times. */
function untangle(rows) {
  rows.forEach((row) => row.forEach((cell, at) => (cell.at = at)));
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const isForth = sweep % 2 === 0;
    for (const row of isForth ? rows : [...rows].reverse()) sortRow(row, isForth);
  }
}

function sortRow(row, isForth) {
  for (const cell of row) {
    const beside = cell.links.filter((link) => (isForth ? link.layer < cell.layer : link.layer > cell.layer));
    cell.wish = beside.length ? beside.reduce((sum, { at }) => sum + at, 0) / beside.length : cell.at;
  }
  row.sort((a, b) => a.wish - b.wish || a.at - b.at);
  row.forEach((cell, at) => (cell.at = at));
}

/** Cell → {along, across}, each the middle of its box; every row is centred. */
function places(rows, size, down) {
  const [thick, wide] = down ? [size.height, size.width] : [size.width, size.height];
  const breadth = ({ step }) => (step ? wide : Math.min(wide, size.space));
  const lengths = rows.map((row) => row.reduce((sum, cell) => sum + breadth(cell), 0) + size.space * (row.length - 1));
  const widest = Math.max(0, ...lengths);
  const flat = new Map();
  rows.forEach((row, layer) => {
    let across = (widest - lengths[layer]) / 2;
    for (const cell of row) {
      flat.set(cell, { along: layer * (thick + size.gap) + thick / 2, across: across + breadth(cell) / 2 });
      across += breadth(cell) + size.space;
    }
  });
  return flat;
}

function extent(nodes, edges, { width, height }) {
  const points = edges.flatMap((edge) => edge.points);
  const most = (values) => values.reduce((a, b) => Math.max(a, b), 0);
  return {
    width: most([...nodes.map(({ x }) => x + width / 2), ...points.map(({ x }) => x)]),
    height: most([...nodes.map(({ y }) => y + height / 2), ...points.map(({ y }) => y)]),
  };
}

/** An SVG path through the points of an edge, from box to box, in curves that leave along the layers. */
export function pathOf({ points }, { width, height }, down = false) {
  const [first, ...rest] = points;
  const half = down ? { x: 0, y: height / 2 } : { x: width / 2, y: 0 };
  const stops = [{ x: first.x + half.x, y: first.y + half.y }, ...rest];
  const last = stops.length - 1;
  stops[last] = { x: stops[last].x - half.x, y: stops[last].y - half.y };
  const curves = stops.slice(1).map((to, at) => curve(stops[at], to, down));
  return `M${round(stops[0].x)} ${round(stops[0].y)}${curves.join("")}`;
}

function curve(from, to, down) {
  const middle = down ? (from.y + to.y) / 2 : (from.x + to.x) / 2;
  const [a, b] = down ? [{ x: from.x, y: middle }, { x: to.x, y: middle }] : [{ x: middle, y: from.y }, { x: middle, y: to.y }];
  return `C${[a, b, to].map(({ x, y }) => `${round(x)} ${round(y)}`).join(" ")}`;
}

const round = (value) => Math.round(value * 10) / 10;
