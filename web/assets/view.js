// What is looked at: whose numbers, which ones, and when. The address keeps it, so that a link shows the same; never the key.

import { DAY, HOUR, MINUTE, dateAndTime } from "./format.js";

export const LIVE = "5m";
export const RANGES = new Map([
  [LIVE, 5 * MINUTE],
  ["1h", HOUR],
  ["6h", 6 * HOUR],
  ["24h", DAY],
  ["7d", 7 * DAY],
  ["30d", 30 * DAY],
  ["1y", 365 * DAY],
]);
export const RESOLUTIONS = new Map([
  ["1m", MINUTE],
  ["1h", HOUR],
  ["1d", DAY],
]);
const SHORTEST = 5 * MINUTE;
const LONGEST = 730 * DAY;
/** The year 2200: the API knows nothing later, and times of no year at all cannot be written. */
const LAST = Date.UTC(2200) / 1000;

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

/** Read a view from an address; what it does not say, or says wrongly, is as at first. */
export function readView(hash) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  const view = { ...FIRST_VIEW, metrics: said.getAll("metric").slice(0, 20) };
  view.fleet = said.get("fleet");
  if (said.has("device")) Object.assign(view, { scope: "device", device: said.get("device") });
  else if (said.has("group")) Object.assign(view, { scope: "group", group: said.get("group") });
  if (RANGES.has(said.get("range"))) view.range = said.get("range");
  const [from, to] = [Number(said.get("from")), Number(said.get("to"))];
  if (from > 0 && to > from && to <= LAST) Object.assign(view, { range: null, from, to });
  if (RESOLUTIONS.has(said.get("resolution"))) view.resolution = said.get("resolution");
  return settle(view);
}

/** Write a view into an address. */
export function writeView(view) {
  const said = new URLSearchParams();
  if (view.fleet) said.set("fleet", view.fleet);
  if (view.scope !== "fleet") said.set(view.scope, view[view.scope]);
  for (const metric of view.metrics) said.append("metric", metric);
  if (view.range) said.set("range", view.range);
  else for (const end of ["from", "to"]) said.set(end, view[end]);
  if (view.resolution !== "auto") said.set("resolution", view.resolution);
  return `#${said}`;
}

/** A fleet as a whole has no samples of its own: the last minutes are a device's or a group's. */
function settle(view) {
  return view.range === LIVE && view.scope === "fleet" ? { ...view, range: "1h" } : view;
}

export function change(view, changes) {
  return settle({ ...view, ...changes });
}

export function isLive(view) {
  return view.range === LIVE;
}

/** Whether the view's end is now, and moves on. */
export function follows(view) {
  return view.range !== null;
}

/** Whose numbers, as the API is asked. */
export function subject(view) {
  return view.scope === "fleet" ? {} : { [view.scope]: view[view.scope] };
}

/** Whether there is enough to ask for. */
export function isWhole(view) {
  return view.scope === "fleet" || view[view.scope] !== "";
}

/** From when to when, in seconds. */
export function span(view, now) {
  return follows(view) ? { from: now - RANGES.get(view.range), to: now } : { from: view.from, to: view.to };
}

/** Look at a range of one's own; one that reaches beyond now ends there. */
export function lookAt(view, from, to, now) {
  const length = Math.min(LONGEST, Math.max(SHORTEST, to - from));
  const end = Math.min(Math.ceil(now), Math.round((from + to + length) / 2));
  return change(view, { range: null, from: Math.round(end - length), to: end });
}

/** Look at a part (factor below 1) or at more of what lies around the middle. */
export function zoom(view, factor, now) {
  const { from, to } = span(view, now);
  // What ends now stays at now: the latest is what somebody who zooms there wants to see more or less of.
  const end = to >= now - 1 ? now : (from + to) / 2 + ((to - from) * factor) / 2;
  return lookAt(view, end - (to - from) * factor, end, now);
}

/** Look at what lies before (direction -1) or after (1). */
export function step(view, direction, now) {
  const { from, to } = span(view, now);
  const move = (direction * (to - from)) / 2;
  return lookAt(view, from + move, to + move, now);
}

const RANGE_WORDS = new Map([
  [LIVE, "the last 5 minutes, live"],
  ["1h", "the last hour"],
  ["6h", "the last 6 hours"],
  ["24h", "the last 24 hours"],
  ["7d", "the last 7 days"],
  ["30d", "the last 30 days"],
  ["1y", "the last year"],
]);
const WIDTH_WORDS = new Map([
  [MINUTE, "one value a minute"],
  [HOUR, "one value an hour"],
  [DAY, "one value a day"],
]);

/** The view's range in words. */
export function rangeName(view) {
  return follows(view) ? RANGE_WORDS.get(view.range) : "a range of its own";
}

/** What is shown, in words: {title, detail}; `names` has the fleet's, and the group's where it is known. */
export function describe(view, names, width, now) {
  const group = names.group && names.group !== view.group ? `${names.group} (${view.group})` : view.group;
  const titles = { fleet: `Fleet ${names.fleet} as a whole`, group: `Group ${group}`, device: `Device ${view.device}` };
  const { from, to } = span(view, now);
  const when = follows(view) ? rangeName(view) : `${dateAndTime(from)} to ${dateAndTime(to)} UTC`;
  const how = isLive(view) ? `every sample${view.scope === "group" ? " of its devices" : ""}` : WIDTH_WORDS.get(width);
  return { title: titles[view.scope], detail: [when, how].filter(Boolean).join(" · ") };
}
