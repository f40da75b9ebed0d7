// A list of many rows of any height, of which only those in sight are in the document.
//
// What the reader looks at stays where it is, whatever is put in or taken out around it; at the end, the end
// stays in sight.

const OVERSCAN_PX = 500;
const END_PX = 32;
const MAX_HEIGHTS = 20_000;
const PASSES = 4; // of measuring, until what is in sight has its true heights

export class VirtualList {
  #rows = [];
  #index = new Map();
  #tops = new Float64Array(1);
  #heights = new Map();
  #nodes = new Map(); // key -> {node, version}
  #frame = 0;
  #distances = [0, 0];
  #top = 0; // where we have left it: elsewhere, the reader has scrolled

  /**
   * `make(row)` makes a row's element, `fill(element, row)` its content; `guess(row)` says its height before it
   * is measured; `scrolled()` is called after the reader scrolled.
   */
  constructor(scroller, canvas, { make, fill, guess, scrolled = () => {} }) {
    this.scroller = scroller;
    this.canvas = canvas;
    this.make = make;
    this.fill = fill;
    this.guess = guess;
    this.follows = true;
    this.active = null; // the key of the row that has, or gets, the keyboard; it stays in the document
    scroller.addEventListener("scroll", () => this.#scrolled(scrolled), { passive: true });
    this.resizes = new ResizeObserver(() => this.#resized());
    this.resizes.observe(scroller);
  }

  get rows() {
    return this.#rows;
  }

  /** How many rows are in the document. */
  get size() {
    return this.#nodes.size;
  }

  /** How far the ends were when it was last drawn: to ask the document would cost another layout. */
  get distanceToStart() {
    return this.#distances[0];
  }

  get distanceToEnd() {
    return this.#distances[1];
  }

  indexOf(key) {
    return this.#index.get(key) ?? -1;
  }

  nodeOf(key) {
    return this.#nodes.get(key)?.node ?? null;
  }

  /** Show other rows; each has a `key`, and a `version` that changes when it looks different. */
  setRows(rows) {
    this.#noticeScroll();
    const anchors = this.follows ? [] : this.#anchors();
    this.#rows = rows;
    this.#index = new Map(rows.map((row, at) => [row.key, at]));
    this.#layOut();
    if (this.follows) this.#setTop(Infinity);
    else this.#restore(anchors);
    this.#draw();
  }

  scrollToEnd() {
    this.follows = true;
    this.#setTop(Infinity);
    this.#draw();
  }

  scrollToStart() {
    this.follows = false;
    this.#setTop(0);
    this.#draw();
  }

  /** Bring a row into sight: "near" moves as little as needed, "middle" puts it there. */
  scrollToKey(key, where = "near") {
    const at = this.indexOf(key);
    if (at < 0) return;
    for (let pass = 0; pass < PASSES; pass += 1) {
      const before = this.scroller.scrollTop;
      this.#setTop(this.#targetOf(at, where));
      this.follows = false;
      this.#draw();
      if (Math.abs(before - this.scroller.scrollTop) < 1) break;
    }
    this.follows = this.#measureEnd() < END_PX;
  }

  /** The first and the last row in sight. */
  visible() {
    const { scrollTop, clientHeight } = this.scroller;
    return [this.#rows[this.#rowAt(scrollTop)], this.#rows[this.#rowAt(scrollTop + clientHeight - 1)]];
  }

  /** Measure again what has changed by itself, such as an opened detail. */
  refresh() {
    this.#draw(true);
  }

  #targetOf(at, where) {
    const { scrollTop, clientHeight } = this.scroller;
    const [top, bottom] = [this.#tops[at], this.#tops[at + 1]];
    if (where === "middle") return top - Math.max(0, (clientHeight - Math.min(bottom - top, clientHeight)) / 3);
    if (top < scrollTop) return top - 8;
    return bottom > scrollTop + clientHeight ? Math.min(top - 8, bottom - clientHeight + 8) : scrollTop;
  }

  #scrolled(tell) {
    this.#noticeScroll();
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      this.#draw();
      tell();
    });
  }

  /** The reader may have scrolled a moment before its event comes. */
  #noticeScroll() {
    if (Math.abs(this.scroller.scrollTop - this.#top) <= 1) return;
    this.#top = this.scroller.scrollTop;
    this.follows = this.#measureEnd() < END_PX;
  }

  #measureEnd() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  #resized() {
    const anchors = this.follows ? [] : this.#anchors();
    if (this.scroller.clientWidth !== this.width) {
      this.width = this.scroller.clientWidth;
      this.#heights.clear();
    }
    this.#layOut();
    if (this.follows) this.#setTop(Infinity);
    else this.#restore(anchors);
    this.#draw(true);
  }

  #layOut() {
    const tops = new Float64Array(this.#rows.length + 1);
    for (let at = 0; at < this.#rows.length; at += 1) tops[at + 1] = tops[at] + this.#heightOf(this.#rows[at]);
    this.#tops = tops;
    this.canvas.style.setProperty("height", `${tops.at(-1)}px`);
  }

  #heightOf(row) {
    return this.#heights.get(row.key) ?? this.guess(row);
  }

  #rowAt(y) {
    let [low, high] = [0, Math.max(0, this.#rows.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The rows in sight and how far each is from the top: the first that is still there will stay there. */
  #anchors() {
    const { scrollTop, clientHeight } = this.scroller;
    const anchors = [];
    for (let at = this.#rowAt(scrollTop); at < this.#rows.length && anchors.length < 60; at += 1) {
      if (this.#tops[at] > scrollTop + clientHeight) break;
      anchors.push([this.#rows[at].key, this.#tops[at] - scrollTop]);
    }
    return anchors;
  }

  #restore(anchors) {
    const kept = anchors.find(([key]) => this.#index.has(key));
    if (kept) this.#setTop(this.#tops[this.#index.get(kept[0])] - kept[1]);
  }

  #setTop(top) {
    const most = Math.max(0, this.scroller.scrollHeight - this.scroller.clientHeight);
    const wanted = Math.max(0, Math.min(top, most));
    if (Math.abs(this.scroller.scrollTop - wanted) < 0.5) return;
    this.scroller.scrollTop = wanted;
    this.#top = this.scroller.scrollTop;
  }

  #draw(measureAll = false) {
    for (let pass = 0; pass < PASSES; pass += 1) {
      const fresh = this.#renderRange();
      if (!this.#measure(measureAll && pass === 0 ? [...this.#nodes.keys()] : fresh)) break;
      const anchors = this.follows ? [] : this.#anchors();
      this.#layOut();
      if (this.follows) this.#setTop(Infinity);
      else this.#restore(anchors);
    }
    this.#distances = [this.scroller.scrollTop, this.#measureEnd()];
    this.#place();
  }

  /** Put in what is in sight or near, take out what is not. Returns the keys to be measured. */
  #renderRange() {
    const { scrollTop, clientHeight } = this.scroller;
    const first = this.#rowAt(scrollTop - OVERSCAN_PX);
    const last = this.#rowAt(scrollTop + clientHeight + OVERSCAN_PX);
    const wanted = new Set();
    const fresh = [];
    for (let at = first; at <= last && at < this.#rows.length; at += 1) wanted.add(this.#rows[at].key);
    if (this.active !== null && this.#index.has(this.active)) wanted.add(this.active);
    for (const [key, { node }] of this.#nodes) {
      if (wanted.has(key)) continue;
      node.remove();
      this.#nodes.delete(key);
    }
    for (const key of wanted) if (this.#renderRow(key)) fresh.push(key);
    return fresh;
  }

  #renderRow(key) {
    const row = this.#rows[this.#index.get(key)];
    const there = this.#nodes.get(key);
    if (there && there.version === row.version) return false;
    const node = there?.node ?? this.make(row);
    this.fill(node, row);
    if (!there) this.canvas.append(node);
    this.#nodes.set(key, { node, version: row.version });
    return true;
  }

  /** Returns whether any height was another than assumed. */
  #measure(keys) {
    let differs = false;
    if (this.#heights.size > MAX_HEIGHTS) this.#heights.clear();
    for (const key of keys) {
      const height = this.#nodes.get(key)?.node.offsetHeight ?? 0;
      if (!height) continue; // not shown at all, as on the other view of a phone
      if (Math.abs(this.#heightOf(this.#rows[this.#index.get(key)]) - height) > 0.5) differs = true;
      this.#heights.set(key, height);
    }
    return differs;
  }

  #place() {
    for (const [key, { node }] of this.#nodes) {
      const at = this.#index.get(key);
      node.style.setProperty("transform", `translateY(${this.#tops[at]}px)`);
      node.setAttribute("aria-posinset", String(at + 1));
    }
  }
}
