// Rows turned into what the chart library draws: one column of times, and one of values for each line.

/**
 * @import { Series } from "./samples.js"
 *
 * @typedef {[number[], ...(number | null | undefined)[][]]} Columns
 *
 * @typedef {object} Described what is said of the values from `start` on
 * @property {number} start
 * @property {number} max
 * @property {number} min
 * @property {number} p95
 * @property {number} p50
 * @property {number} avg
 */

/** So many times its usual pause, and a device is silent. */
const SILENT = 6;

/** The lines of windows, in the order in which they are drawn. */
const LINES = /** @type {const} */ (["max", "min", "p95", "p50", "avg"]);
const NOTHING = { max: null, min: null, p95: null, p50: null, avg: null };

/**
 * Windows: their most and least, the 95th percentile, the median and the average.
 * @param {Described[]} rows
 * @param {number} width
 * @returns {Columns}
 */
export function ofWindows(rows, width) {
  const points = rows.flatMap((row, place) => {
    // A window's values belong to all of it: they stand in its middle.
    const point = { ...row, time: row.start + width / 2 };
    const last = rows[place - 1];
    // A line does not lead over windows that have no row.
    const pause = last !== undefined && row.start - last.start > width * 1.5;
    return pause ? [{ ...NOTHING, time: last.start + width * 1.5 }, point] : [point];
  });
  return [points.map(({ time }) => time), ...LINES.map((line) => points.map((point) => point[line]))];
}

/**
 * Samples of one device or of several, brought over one column of times.
 * @param {Series[]} series
 * @returns {Columns}
 */
export function ofSamples(series) {
  const lines = series.map(({ points }) => new Map(broken(points)));
  const times = [...new Set(lines.flatMap((line) => [...line.keys()]))].sort((one, other) => one - other);
  // Undefined is "no sample of this device here", which its line passes over; null breaks it.
  return [times, ...lines.map((line) => times.map((time) => line.get(time)))];
}

/**
 * A line that ends where a device fell silent: for much longer than it usually does.
 * @param {Series["points"]} points
 * @returns {[number, number | null][]}
 */
function broken(points) {
  const pauses = points.slice(1).map(([time], place) => time - (points[place]?.[0] ?? time));
  const usual = pauses.toSorted((one, other) => one - other)[Math.floor(pauses.length / 2)] ?? 0;
  return points.flatMap((point, place) =>
    (pauses[place] ?? 0) > SILENT * usual ? [point, [point[0] + usual, null]] : [point],
  );
}
