// Rows turned into what the chart library draws: one column of times, and one of values for each line.

/** So many times its usual pause, and a device is silent. */
const SILENT = 6;

/** Windows: their most and least, the 95th percentile, the median and the average. */
export function ofWindows(rows, width) {
  const columns = [[], [], [], [], [], []];
  const add = (time, values) => [time, ...values].forEach((value, column) => columns[column].push(value));
  let last = null;
  for (const row of rows) {
    // A line does not lead over windows that have no row.
    if (last !== null && row.start - last > width * 1.5) add(last + width * 1.5, [null, null, null, null, null]);
    // A window's values belong to all of it: they stand in its middle.
    add(row.start + width / 2, [row.max, row.min, row.p95, row.p50, row.avg]);
    last = row.start;
  }
  return columns;
}

/** Samples of one device or of several, brought over one column of times. */
export function ofSamples(series) {
  const lines = series.map(({ points }) => broken(points));
  const times = [...new Set(lines.flatMap((points) => points.map(([time]) => time)))].sort((one, other) => one - other);
  const place = new Map(times.map((time, index) => [time, index]));
  const columns = lines.map((points) => {
    // Undefined is "no sample of this device here", which its line passes over; null breaks it.
    const column = new Array(times.length).fill(undefined);
    for (const [time, value] of points) column[place.get(time)] = value;
    return column;
  });
  return [times, ...columns];
}

/** A line that ends where a device fell silent: for much longer than it usually does. */
function broken(points) {
  const pauses = points.slice(1).map(([time], place) => time - points[place][0]);
  const usual = [...pauses].sort((one, other) => one - other)[Math.floor(pauses.length / 2)];
  return points.flatMap((point, place) =>
    pauses[place] > SILENT * usual ? [point, [point[0] + usual, null]] : [point],
  );
}
