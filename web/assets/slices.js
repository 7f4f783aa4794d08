// Many devices at once: a hundred lines say less than how far they reach and where most of them are.

const SECONDS = 10;

/** At most so many devices get a line each. */
export const MOST_LINES = 8;

export { SECONDS as SLICE_SECONDS };

/**
 * @import { Described } from "./columns.js"
 * @import { Series } from "./samples.js"
 *
 * @typedef {{ device: string, value: number }} Sample
 * @typedef {Described & { lowest: string, highest: string }} Slice
 */

/**
 * The samples of many devices in slices of some seconds, each described as a window is.
 * @param {Series[]} series
 */
export function ofDevices(series) {
  /** @type {Map<number, Sample[]>} */
  const slices = new Map();
  for (const { device, points } of series) {
    for (const [time, value] of points) {
      const start = Math.floor(time / SECONDS) * SECONDS;
      const samples = slices.get(start) ?? [];
      samples.push({ device, value });
      slices.set(start, samples);
    }
  }
  return [...slices].sort(([one], [other]) => one - other).flatMap(([start, samples]) => describe(start, samples));
}

/**
 * @param {number} start
 * @param {Sample[]} samples
 * @returns {Slice[]}
 */
function describe(start, samples) {
  const sorted = samples.sort((one, other) => one.value - other.value);
  const [lowest, highest] = [sorted[0], sorted.at(-1)];
  if (lowest === undefined || highest === undefined) return [];
  const values = sorted.map(({ value }) => value);
  return [
    {
      start,
      min: lowest.value,
      max: highest.value,
      avg: values.reduce((sum, value) => sum + value, 0) / values.length,
      p50: percentile(values, 0.5),
      p95: percentile(values, 0.95),
      lowest: lowest.device,
      highest: highest.device,
    },
  ];
}

/**
 * Between the two nearest ranks, as the database does it.
 * @param {number[]} sorted
 * @param {number} part
 */
function percentile(sorted, part) {
  const rank = part * (sorted.length - 1);
  const below = Math.floor(rank);
  const [lower = Number.NaN, upper = lower] = sorted.slice(below, below + 2);
  return lower + (rank - below) * (upper - lower);
}
