// The windows that are shown. Answers are merged into them, so that the page fetches only changes again.

import { parseTime } from "./format.js";
import { RESOLUTIONS } from "./view.js";

/**
 * @import { Answers, Schemas } from "../answers.js"
 * @import { Resolution } from "./view.js"
 *
 * @typedef {Schemas["Window"] & { start: number }} Row
 * @typedef {Omit<Schemas["Stretch"], "from" | "to"> & { from: number, to: number }} Stretch
 */

export class Windows {
  /** @type {Map<string, Map<number, Row>>} */
  #rows = new Map(); // metric -> start -> row
  /** @type {Map<string, string>} */
  #units = new Map();
  /** @type {Stretch[]} */
  states = [];
  /** @type {Resolution | null} */
  resolution = null;
  /** @type {number | null} */
  until = null; // up to when every window of this resolution has been rolled

  /** How long a window is, in seconds. */
  get width() {
    return this.resolution === null ? null : RESOLUTIONS[this.resolution];
  }

  /**
   * Merge an answer: within its range it replaces everything.
   * @param {Answers["getRollups"]} answer
   */
  lay(answer) {
    const [from, to] = [parseTime(answer.from), parseTime(answer.to)];
    if (answer.resolution !== this.resolution) this.clear();
    this.resolution = answer.resolution;
    this.until = answer.complete_until === null ? null : parseTime(answer.complete_until);
    this.#drop((start) => start >= from && start < to);
    for (const item of answer.items) {
      const start = parseTime(item.window_start);
      const rows = this.#rows.get(item.metric) ?? new Map();
      this.#rows.set(item.metric, rows.set(start, { ...item, start }));
      this.#units.set(item.metric, item.unit);
    }
    const read = answer.states.map((state) => ({ ...state, from: parseTime(state.from), to: parseTime(state.to) }));
    this.states = joined([...cut(this.states, -Infinity, from), ...read, ...cut(this.states, to, Infinity)]);
  }

  /**
   * Forget what lies before a time: the view has moved on.
   * @param {number} before
   */
  forget(before) {
    const { width } = this;
    if (width === null) return;
    this.#drop((start) => start + width <= before);
    this.states = cut(this.states, before, Infinity);
  }

  clear() {
    this.#rows.clear();
    this.#units.clear();
    this.states = [];
    this.resolution = null;
    this.until = null;
  }

  /** The metrics that have rows. */
  get metrics() {
    return [...this.#rows].flatMap(([metric, rows]) => (rows.size ? [metric] : [])).sort();
  }

  /** @param {string} metric */
  unit(metric) {
    return this.#units.get(metric) ?? "";
  }

  /**
   * A metric's rows in the order of time.
   * @param {string} metric
   */
  rows(metric) {
    return [...(this.#rows.get(metric)?.values() ?? [])].sort((one, other) => one.start - other.start);
  }

  /**
   * The state of the window that starts at a time.
   * @param {number} start
   */
  stateAt(start) {
    return this.states.find((state) => start >= state.from && start < state.to);
  }

  /** @param {(start: number) => boolean} condition */
  #drop(condition) {
    for (const rows of this.#rows.values()) {
      for (const start of rows.keys()) if (condition(start)) rows.delete(start);
    }
  }
}

/**
 * The parts of stretches that lie within a range.
 * @param {Stretch[]} stretches
 * @param {number} from
 * @param {number} to
 */
function cut(stretches, from, to) {
  return stretches
    .map((one) => ({ ...one, from: Math.max(one.from, from), to: Math.min(one.to, to) }))
    .filter((one) => one.from < one.to);
}

/**
 * Joins neighbours with the same state and reason.
 * @param {Stretch[]} stretches
 */
function joined(stretches) {
  /** @type {Stretch[]} */
  const whole = [];
  for (const one of stretches) {
    const last = whole.at(-1);
    if (last && last.to === one.from && last.state === one.state && last.reason === one.reason) last.to = one.to;
    else whole.push({ ...one });
  }
  return whole;
}
