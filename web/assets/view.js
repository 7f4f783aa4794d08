// What is looked at: whose numbers, which ones, and when. The address keeps it, so that a link shows the same; never the key.

import { DAY, dateAndTime, HOUR, MINUTE } from "./format.js";

/** @import { Answers } from "../answers.js" */

/**
 * @typedef {"fleet" | "group" | "device"} Scope
 * @typedef {keyof typeof RANGES} Range a name for the time that ends now
 * @typedef {Answers["getRollups"]["resolution"]} Resolution
 * @typedef {{ group?: string, device?: string }} Subject
 *
 * @typedef {object} What
 * @property {string | null} fleet
 * @property {Scope} scope
 * @property {string} group
 * @property {string} device
 * @property {string[]} metrics none: as many as fit
 * @property {Resolution | "auto"} resolution
 *
 * @typedef {{ range: Range, from: null, to: null } | { range: null, from: number, to: number }} When
 * @typedef {What & When} View
 * @typedef {Partial<What> | (Partial<What> & When)} Change
 */

export const LIVE = "5m";
const RANGES = {
  [LIVE]: 5 * MINUTE,
  "1h": HOUR,
  "6h": 6 * HOUR,
  "24h": DAY,
  "7d": 7 * DAY,
  "30d": 30 * DAY,
  "1y": 365 * DAY,
};
/** @type {Record<Resolution, number>} */
export const RESOLUTIONS = { "1m": MINUTE, "1h": HOUR, "1d": DAY };
const SHORTEST = 5 * MINUTE;
const LONGEST = 730 * DAY;
/** The year 2200: the API knows nothing later, and times of no year at all cannot be written. */
const LAST = Date.UTC(2200) / 1000;

/** @type {Readonly<View>} */
export const FIRST_VIEW = Object.freeze({
  fleet: null,
  scope: "fleet",
  group: "",
  device: "",
  metrics: [],
  range: "1h",
  from: null,
  to: null,
  resolution: "auto",
});

/**
 * Read a view from an address. Missing and wrong parts get their defaults.
 * @param {string} hash
 */
export function readView(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  /** @type {View} */
  const view = {
    ...FIRST_VIEW,
    ...readWhen(said),
    fleet: said.get("fleet"),
    metrics: said.getAll("metric").slice(0, 20),
    resolution: readResolution(said.get("resolution")),
  };
  const [device, group] = [said.get("device"), said.get("group")];
  if (device !== null) return settle({ ...view, scope: "device", device });
  return settle(group === null ? view : { ...view, scope: "group", group });
}

/**
 * @param {URLSearchParams} said
 * @returns {When}
 */
function readWhen(said) {
  const [from, to, range] = [Number(said.get("from")), Number(said.get("to")), said.get("range")];
  if (from > 0 && to > from && to <= LAST) return { range: null, from, to };
  return { range: isNameOf(RANGES, range) ? range : "1h", from: null, to: null };
}

/** @param {string | null} text */
export function readResolution(text) {
  return isNameOf(RESOLUTIONS, text) ? text : "auto";
}

/**
 * @template {string} Name
 * @param {Record<Name, unknown>} things
 * @param {string | null} text
 * @returns {text is Name}
 */
function isNameOf(things, text) {
  return text !== null && Object.hasOwn(things, text);
}

/**
 * Write a view into an address.
 * @param {View} view
 */
export function writeView(view) {
  const said = new URLSearchParams();
  if (view.fleet) said.set("fleet", view.fleet);
  if (view.scope !== "fleet") said.set(view.scope, view[view.scope]);
  for (const metric of view.metrics) said.append("metric", metric);
  if (view.range === null) {
    said.set("from", String(view.from));
    said.set("to", String(view.to));
  } else {
    said.set("range", view.range);
  }
  if (view.resolution !== "auto") said.set("resolution", view.resolution);
  return `#${said}`;
}

/**
 * A fleet as a whole has no samples of its own: the last minutes are a device's or a group's.
 * @param {View} view
 * @returns {View}
 */
function settle(view) {
  return view.range === LIVE && view.scope === "fleet" ? { ...view, range: "1h" } : view;
}

/**
 * @param {View} view
 * @param {Change} changes
 */
export function change(view, changes) {
  // A change of the time is a whole one, which the type of a spread cannot tell.
  return settle(/** @type {View} */ ({ ...view, ...changes }));
}

/** @param {View} view */
export function isLive(view) {
  return view.range === LIVE;
}

/**
 * Whether the view's end is now, and moves on.
 * @param {View} view
 */
export function follows(view) {
  return view.range !== null;
}

/**
 * Whose numbers, as the API is asked.
 * @param {View} view
 * @returns {Subject}
 */
export function subject(view) {
  return view.scope === "fleet" ? {} : { [view.scope]: view[view.scope] };
}

/**
 * Whether there is enough to ask for.
 * @param {View} view
 */
export function isWhole(view) {
  return view.scope === "fleet" || view[view.scope] !== "";
}

/**
 * From when to when, in seconds.
 * @param {View} view
 * @param {number} now
 */
export function span(view, now) {
  return view.range === null ? { from: view.from, to: view.to } : { from: now - RANGES[view.range], to: now };
}

/**
 * Look at a range of one's own; one that reaches beyond now ends there.
 * @param {View} view
 * @param {number} from
 * @param {number} to
 * @param {number} now
 */
export function lookAt(view, from, to, now) {
  const length = Math.min(LONGEST, Math.max(SHORTEST, to - from));
  const end = Math.min(Math.ceil(now), Math.round((from + to + length) / 2));
  return change(view, { range: null, from: Math.round(end - length), to: end });
}

/**
 * Look at a part (factor below 1) or at more of what lies around the middle.
 * @param {View} view
 * @param {number} factor
 * @param {number} now
 */
export function zoom(view, factor, now) {
  const { from, to } = span(view, now);
  // A range that ends now still ends now: a reader who zooms there wants more or less of the latest.
  const end = to >= now - 1 ? now : (from + to) / 2 + ((to - from) * factor) / 2;
  return lookAt(view, end - (to - from) * factor, end, now);
}

/**
 * Look at what lies before (direction -1) or after (1).
 * @param {View} view
 * @param {-1 | 1} direction
 * @param {number} now
 */
export function step(view, direction, now) {
  const { from, to } = span(view, now);
  const move = (direction * (to - from)) / 2;
  return lookAt(view, from + move, to + move, now);
}

/** @type {Record<Range, string>} */
const RANGE_WORDS = {
  [LIVE]: "the last 5 minutes, live",
  "1h": "the last hour",
  "6h": "the last 6 hours",
  "24h": "the last 24 hours",
  "7d": "the last 7 days",
  "30d": "the last 30 days",
  "1y": "the last year",
};
/** @type {Record<Resolution, string>} */
const RESOLUTION_WORDS = { "1m": "one value a minute", "1h": "one value an hour", "1d": "one value a day" };

/**
 * The view's range in words.
 * @param {View} view
 */
export function rangeName(view) {
  return view.range === null ? "a custom range" : RANGE_WORDS[view.range];
}

/**
 * What is shown, in words; `names` has the fleet's, and the group's where it is known.
 * @param {View} view
 * @param {{ fleet: string, group: string | undefined }} names
 * @param {Resolution | null} resolution
 * @param {number} now
 */
export function describe(view, names, resolution, now) {
  const group = names.group && names.group !== view.group ? `${names.group} (${view.group})` : view.group;
  const titles = { fleet: `Fleet ${names.fleet} as a whole`, group: `Group ${group}`, device: `Device ${view.device}` };
  const { from, to } = span(view, now);
  const when = follows(view) ? rangeName(view) : `${dateAndTime(from)} to ${dateAndTime(to)} UTC`;
  const samples = `every sample${view.scope === "group" ? " of its devices" : ""}`;
  const how = isLive(view) ? samples : resolution === null ? "" : RESOLUTION_WORDS[resolution];
  return { title: titles[view.scope], detail: [when, how].filter(Boolean).join(" · ") };
}
