// What is usual for the device that is shown: a band behind its lines. It asks for itself, and seldom: baselines are computed
// once a day.

import { Refused, Unreachable } from "./api.js";
import { DAY, HOUR, parseTime } from "./format.js";

/**
 * @import { Schemas } from "../answers.js"
 * @import { Api } from "./api.js"
 *
 * @typedef {Schemas["Baseline"]} Baseline
 * @typedef {{ from: number, to: number, low: number, high: number }} Usual what is usual during an hour
 */

const FRESH_SECONDS = 600;
const RETRY_SECONDS = 20;
/** Nearly all readings of an hour are so near to its mean. */
export const DEVIATIONS = 3;
const SATURDAY = 6;
const SUNDAY = 0;

export class Baselines {
  #api;
  #fleet;
  /** @type {string | null} */
  #device = null;
  #due = 0;
  #asking = false;
  /** @type {Baseline[]} */
  items = [];

  /**
   * @param {Api} api
   * @param {string} fleet
   */
  constructor(api, fleet) {
    this.#api = api;
    this.#fleet = fleet;
  }

  /**
   * Ask again if the answer is old or of another device.
   * @param {string | null} device none is shown
   */
  async keepUp(device) {
    if (device !== this.#device) {
      this.#device = device;
      this.#due = 0;
      this.items = [];
    }
    if (device === null || this.#asking || performance.now() / 1000 < this.#due) return;
    this.#asking = true;
    let wait = FRESH_SECONDS;
    try {
      const { items } = await this.#api.baselines(this.#fleet, device);
      if (device === this.#device) this.items = items;
    } catch (error) {
      // Charts are whole without the band.
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      wait = RETRY_SECONDS;
    } finally {
      this.#asking = false;
      if (device === this.#device) this.#due = performance.now() / 1000 + wait;
    }
  }
}

/**
 * What is usual in each hour of a range, from when on the baseline holds.
 * @param {Baseline | undefined} baseline
 * @param {number} from
 * @param {number} to
 * @returns {Usual[]}
 */
export function usualIn(baseline, from, to) {
  if (baseline === undefined) return [];
  const hours = [];
  const first = Math.floor(Math.max(from, parseTime(baseline.since)) / HOUR) * HOUR;
  for (let start = first; start < to; start += HOUR) {
    const day = new Date(start * 1000).getUTCDay();
    const cells = day === SATURDAY || day === SUNDAY ? baseline.weekend : baseline.working_days;
    const cell = cells[Math.floor((start % DAY) / HOUR)];
    if (cell === undefined) continue;
    const reach = DEVIATIONS * cell.deviation;
    hours.push({ from: start, to: start + HOUR, low: cell.mean - reach, high: cell.mean + reach });
  }
  return hours;
}
