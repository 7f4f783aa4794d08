// The samples of the last minutes, as they were answered last.

import { parseTime } from "./format.js";

export class Samples {
  #series = new Map(); // metric -> [{device, unit, points}]

  take(answer) {
    this.#series.clear();
    for (const item of answer.items) {
      if (!this.#series.has(item.metric)) this.#series.set(item.metric, []);
      const points = item.points.map(([time, value]) => [parseTime(time), value]);
      this.#series.get(item.metric).push({ device: item.device_id, unit: item.unit, points });
    }
    for (const series of this.#series.values()) series.sort((one, other) => (one.device < other.device ? -1 : 1));
  }

  clear() {
    this.#series.clear();
  }

  get metrics() {
    return [...this.#series.keys()].sort();
  }

  unit(metric) {
    return this.#series.get(metric)?.[0].unit ?? "";
  }

  series(metric) {
    return this.#series.get(metric) ?? [];
  }
}
