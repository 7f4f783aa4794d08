// Numbers and times as people read them. Times are UTC, as windows and days are.

const SECOND = 1;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export { DAY, HOUR, MINUTE };

const numbers = new Intl.NumberFormat("en", {
  maximumSignificantDigits: 4,
  maximumFractionDigits: 1,
  roundingPriority: "morePrecision",
});
const counts = new Intl.NumberFormat("en");

/** @param {number | null} value */
export function number(value) {
  return value === null ? "–" : numbers.format(value);
}

/** @param {number} value */
export function count(value) {
  return counts.format(value);
}

/**
 * How many, of what: "1 device", "12 devices".
 * @param {number} value
 * @param {string} noun
 */
export function countOf(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/**
 * Seconds since the epoch, from a time as the API writes it.
 * @param {string} text
 */
export function parseTime(text) {
  return Date.parse(text) / 1000;
}

/**
 * A time as the API reads it.
 * @param {number} seconds
 */
export function writeTime(seconds) {
  return new Date(seconds * 1000).toISOString();
}

/**
 * A duration in its largest units.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 2 * MINUTE) return `${Math.round(seconds)} s`;
  if (seconds < 2 * HOUR) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)} h`;
  return `${Math.round(seconds / DAY)} days`;
}

/**
 * @param {number} seconds
 * @param {number} from
 * @param {number} to
 */
function part(seconds, from, to) {
  return new Date(seconds * 1000).toISOString().slice(from, to);
}

/** @param {number} seconds */
export function clock(seconds) {
  return part(seconds, 11, 19);
}

/** @param {number} seconds */
export function hourAndMinute(seconds) {
  return part(seconds, 11, 16);
}

/** @param {number} seconds */
export function date(seconds) {
  return part(seconds, 0, 10);
}

/** @param {number} seconds */
export function dateAndTime(seconds) {
  return `${date(seconds)} ${hourAndMinute(seconds)}`;
}

/**
 * A moment as precise as windows of a width need it.
 * @param {number} seconds
 * @param {number} width
 */
export function moment(seconds, width) {
  if (width >= DAY) return date(seconds);
  return width >= MINUTE ? dateAndTime(seconds) : clock(seconds);
}

/**
 * What to write below the lines of a time axis whose steps are so long.
 * @param {number} seconds
 * @param {number} step
 */
export function tick(seconds, step) {
  if (step >= DAY) return part(seconds, 5, 10);
  if (step < MINUTE) return clock(seconds);
  return seconds % DAY === 0 ? part(seconds, 5, 10) : hourAndMinute(seconds);
}
