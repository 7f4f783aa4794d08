// The windows that are shown: answers are laid over what is there, so that only what changed has to be fetched again.

import { parseTime } from "./format.js";
import { RESOLUTIONS } from "./view.js";

export class Windows {
  #rows = new Map(); // metric -> start -> row
  #units = new Map();
  states = [];
  width = null;
  until = null; // up to when every window of this width has been rolled

  /** Lay an answer over what is there: within its range it says everything. */
  lay(answer) {
    const width = RESOLUTIONS.get(answer.resolution);
    const [from, to] = [parseTime(answer.from), parseTime(answer.to)];
    if (width !== this.width) this.clear();
    this.width = width;
    this.until = answer.complete_until === null ? null : parseTime(answer.complete_until);
    this.#drop((start) => start >= from && start < to);
    for (const item of answer.items) {
      this.#units.set(item.metric, item.unit);
      if (!this.#rows.has(item.metric)) this.#rows.set(item.metric, new Map());
      const start = parseTime(item.window_start);
      this.#rows.get(item.metric).set(start, { ...item, start });
    }
    const read = answer.states.map((state) => ({ ...state, from: parseTime(state.from), to: parseTime(state.to) }));
    this.states = joined([...cut(this.states, -Infinity, from), ...read, ...cut(this.states, to, Infinity)]);
  }

  /** Forget what lies before a time: the view has moved on. */
  forget(before) {
    this.#drop((start) => start + this.width <= before);
    this.states = cut(this.states, before, Infinity);
  }

  clear() {
    this.#rows.clear();
    this.#units.clear();
    this.states = [];
    this.width = null;
    this.until = null;
  }

  /** The metrics of which there are rows. */
  get metrics() {
    return [...this.#rows].flatMap(([metric, rows]) => (rows.size ? [metric] : [])).sort();
  }

  unit(metric) {
    return this.#units.get(metric) ?? "";
  }

  /** A metric's rows in the order of time. */
  rows(metric) {
    return [...(this.#rows.get(metric)?.values() ?? [])].sort((one, other) => one.start - other.start);
  }

  /** What is said of the window that starts at a time. */
  stateAt(start) {
    return this.states.find((state) => start >= state.from && start < state.to);
  }

  #drop(condition) {
    for (const rows of this.#rows.values()) {
      for (const start of rows.keys()) if (condition(start)) rows.delete(start);
    }
  }
}

/** The parts of stretches that lie within a range. */
function cut(stretches, from, to) {
  return stretches
    .map((one) => ({ ...one, from: Math.max(one.from, from), to: Math.min(one.to, to) }))
    .filter((one) => one.from < one.to);
}

/** Neighbours of which the same is said, as one. */
function joined(stretches) {
  const whole = [];
  for (const one of stretches) {
    const last = whole.at(-1);
    if (last && last.to === one.from && last.state === one.state && last.reason === one.reason) last.to = one.to;
    else whole.push({ ...one });
  }
  return whole;
}
