// The samples of the last minutes, as they were answered last.

import { parseTime } from "./format.js";

/**
 * @import { Answers } from "../answers.js"
 *
 * @typedef {{ device: string, points: [number, number][] }} Series a device's values, each with its time
 */

export class Samples {
  /** @type {Map<string, Series[]>} */
  #series = new Map();
  /** @type {Map<string, string>} */
  #units = new Map();

  /** @param {Answers["getRecent"]} answer */
  take(answer) {
    this.clear();
    for (const { metric, unit, device_id: device, points } of answer.items) {
      const series = this.series(metric);
      series.push({ device, points: points.map(([time, value]) => [parseTime(time), value]) });
      this.#series.set(metric, series);
      this.#units.set(metric, unit);
    }
    for (const series of this.#series.values()) series.sort((one, other) => (one.device < other.device ? -1 : 1));
  }

  clear() {
    this.#series.clear();
    this.#units.clear();
  }

  get metrics() {
    return [...this.#series.keys()].sort();
  }

  /** @param {string} metric */
  unit(metric) {
    return this.#units.get(metric) ?? "";
  }

  /** @param {string} metric */
  series(metric) {
    return this.#series.get(metric) ?? [];
  }
}
