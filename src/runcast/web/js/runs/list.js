// The runs of one kind there are: the list from the server, kept up to date by one live connection to all of them.

import { connectTo } from "./native.js";

const CHECK_MS = 4_000; // what we have made of events is put right by the server's list so often, while something happens
const SOON_MS = 120;
const PAGE = 50;

export class RunList {
  #known = new Map();
  #connection;
  #timer = null;
  #pages = 1;

  /**
   * `kind` is {name, heardTypes, list({page, size}), summarise(told), applyToSummary(summary, event)};
   * `changed()` is called when the list is another, `heard(id)` for the run of an event.
   */
  constructor({ kind, changed, heard }) {
    this.kind = kind;
    this.changed = changed;
    this.heard = heard;
    this.loaded = false;
    this.hasMore = false;
    this.total = 0;
    this.error = null;
    this.#connection = connectTo(`${kind.name}:*`, kind.heardTypes, {
      onEvents: (events) => this.#receive(events),
      onNotice: () => this.refresh(),
      onState: (state) => (state.phase === "live" ? this.refresh() : this.changed()),
    });
  }

  get connection() {
    return this.#connection.state;
  }

  /** Begin: the connection first, so that nothing falls between it and the list. */
  start() {
    this.#connection.open("now");
    return this.refresh();
  }

  retry() {
    this.#connection.retry();
  }

  get(id) {
    return this.#known.get(id);
  }

  /** All that are loaded, the newest first. */
  all() {
    return [...this.#known.values()].sort((a, b) => b.created - a.created || (a.id < b.id ? 1 : -1));
  }

  loadMore() {
    this.#pages += 1;
    return this.refresh();
  }

  async refresh() {
    clearTimeout(this.#timer);
    this.#timer = null;
    try {
      const answers = [];
      for (let page = 1; page <= this.#pages; page += 1) answers.push(await this.kind.list({ page, size: PAGE }));
      this.#replace(answers.flatMap(({ runs }) => runs));
      this.total = answers[0].total ?? this.#known.size;
      this.hasMore = this.#known.size < this.total;
      this.loaded = true;
      this.error = null;
    } catch (error) {
      this.error = error;
    }
    this.changed();
  }

  /** An answer may be older than what has come live meanwhile. */
  #replace(told) {
    const before = this.#known;
    this.#known = new Map();
    for (const one of told) {
      const run = this.kind.summarise(one);
      const known = before.get(run.id);
      this.#known.set(run.id, known && known.touched > run.touched ? known : run);
    }
  }

  #receive(events) {
    let isUnknown = false;
    for (const event of events) {
      const id = event.stream.slice(event.stream.indexOf(":") + 1);
      const run = this.#known.get(id);
      if (!run) isUnknown = true;
      else this.#apply(run, event);
      this.heard(id);
    }
    if (isUnknown) this.#refreshIn(SOON_MS);
    else this.#timer ??= setTimeout(() => this.refresh(), CHECK_MS);
    this.changed();
  }

  #apply(run, event) {
    this.kind.applyToSummary(run, event);
    run.touched = Date.parse(event.time) || run.touched;
  }

  #refreshIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.refresh(), ms);
  }
}
