// Many devices at once: a hundred lines say less than how far they reach and where most of them are.

const SECONDS = 10;

/** So many devices can still be told apart by their lines. */
export const MOST_LINES = 8;

export { SECONDS as SLICE_SECONDS };

/** The samples of many devices in slices of some seconds, each described as a window is. */
export function ofDevices(series) {
  const slices = new Map();
  for (const { device, points } of series) {
    for (const [time, value] of points) {
      const start = Math.floor(time / SECONDS) * SECONDS;
      if (!slices.has(start)) slices.set(start, []);
      slices.get(start).push({ device, value });
    }
  }
  return [...slices].sort(([one], [other]) => one - other).map(([start, samples]) => describe(start, samples));
}

function describe(start, samples) {
  const sorted = samples.sort((one, other) => one.value - other.value);
  const values = sorted.map(({ value }) => value);
  return {
    start,
    count: values.length,
    min: values[0],
    max: values.at(-1),
    avg: values.reduce((sum, value) => sum + value, 0) / values.length,
    p50: percentile(values, 0.5),
    p95: percentile(values, 0.95),
    lowest: sorted[0].device,
    highest: sorted.at(-1).device,
  };
}

/** Between the two nearest ranks, as the database does it. */
function percentile(sorted, part) {
  const rank = part * (sorted.length - 1);
  const below = Math.floor(rank);
  return sorted[below] + (rank - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
}
