// Incidents in words: what a series does as its rule saw it, who does it, and since when.

import { count, countOf, date, dateAndTime, duration, hourAndMinute, number, parseTime } from "./format.js";

/**
 * @import { Schemas } from "../answers.js"
 *
 * @typedef {Schemas["Incident"]} Incident
 */

/** @type {Record<Incident["kind"], string>} */
const DOES = {
  above: "is above",
  below: "is below",
  zscore: "is far from the last hour's mean",
  baseline: "is far from its usual value at this time of the week",
  range: "is outside of the range of the last days",
  level: "has moved to another level",
  stuck: "has stopped varying",
  silence: "sends no readings",
};
/** @type {Record<string, string>} */
const RESOLUTIONS = {
  clear: "its readings are clear",
  unheard: "no reading of it was judged for a day, which does not show that it is well",
  by_hand: "someone has resolved it",
};

/** @param {Incident} incident */
export function hasThreshold({ kind }) {
  return kind === "above" || kind === "below";
}

/**
 * What is wrong, in one line.
 * @param {Incident} incident
 */
export function writeFinding(incident) {
  const { kind, metric, threshold } = incident;
  // An API newer than this page may have other kinds.
  const does = DOES[kind] ?? `breaks a rule of kind ${kind}`;
  const limit = hasThreshold(incident) ? ` ${withUnit(threshold, incident.unit)}` : "";
  if (metric !== null) return `${metric} of ${writeDevices(incident)} ${does}${limit}`;
  return `${writeDevices(incident)} ${incident.devices === 1 ? does : does.replace("sends", "send")}`;
}

/** @param {Incident} incident */
export function writeDevices({ devices, examples: [first] }) {
  return devices === 1 && first !== undefined ? first : countOf(devices, "device");
}

/**
 * The devices by name, as far as the incident names them.
 * @param {Incident} incident
 */
export function nameDevices({ devices, examples }) {
  const more = devices - examples.length;
  return examples.join(", ") + (more > 0 ? ` and ${count(more)} more` : "");
}

/**
 * Since when, how many still fire, and what is done about it.
 * @param {Incident} incident
 */
export function writeState(incident) {
  const { state, devices, open_devices: open, reopened, acknowledged_at: acknowledged } = incident;
  const parts = [
    writePeriod(incident),
    state === "open" && devices > 1 && `${count(open)} of ${countOf(devices, "device")} still`,
    reopened > 0 && `fired again ${reopened === 1 ? "once" : `${count(reopened)} times`}`,
    acknowledged !== null && "acknowledged",
    incident.silenced_until !== null && `silenced until ${writeMinute(incident.silenced_until)}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** @param {Incident} incident */
export function writePeriod({ opened_at: opened, resolved_at: resolved }) {
  if (resolved === null) return `open since ${writeMinute(opened)}`;
  const [from, to] = [parseTime(opened), parseTime(resolved)];
  const end = date(from) === date(to) ? hourAndMinute(to) : dateAndTime(to);
  return `${dateAndTime(from)} to ${end} UTC`;
}

/**
 * When the first destination was notified, and how long after the reading that opened the incident.
 * @param {Incident} incident
 */
export function writeNotified({ notified_at: notified, opened_at: opened }) {
  // An API older than this page does not have it.
  if (!notified) return null;
  const at = parseTime(notified);
  return `${dateAndTime(at)} UTC, ${duration(at - parseTime(opened))} after the reading that opened it`;
}

/** @param {Incident} incident */
export function writeResolution({ resolution }) {
  return resolution === null ? null : (RESOLUTIONS[resolution] ?? resolution);
}

/** @param {Incident} incident */
export function writeRule(incident) {
  const { rule_id: id, rule, kind, unit } = incident;
  if (rule === null) return `${id}, which judges where no rule of the fleet does`;
  const { open, clear, breaches, of } = rule;
  const limits = hasThreshold(incident)
    ? `opens ${kind} ${withUnit(open, rule.unit ?? unit)}, clear at ${withUnit(clear, rule.unit ?? unit)}`
    : `opens at ${number(open)}, clear at ${number(clear)}`;
  const archived = rule.archived_at === null ? "" : ", archived since";
  return `${id}: ${limits}, with ${count(breaches)} of ${countOf(of, "reading")}${archived}`;
}

/**
 * @param {number} value
 * @param {string | null} unit
 */
export function withUnit(value, unit) {
  return [number(value), unit].filter(Boolean).join(" ");
}

/** @param {string} time */
export function writeMinute(time) {
  return `${dateAndTime(parseTime(time))} UTC`;
}
