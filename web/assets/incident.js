// One incident: a line that says what is wrong and since when; below it why, under which rule, of which devices.

import { Refused, Unreachable } from "./api.js";
import { make, say } from "./elements.js";
import { count } from "./format.js";
import * as words from "./wording.js";

/**
 * @import { Schemas } from "../answers.js"
 * @import { Api } from "./api.js"
 * @import { Incident } from "./wording.js"
 *
 * @typedef {(device: string, incident: Incident) => void} OnDevice
 */

/**
 * @param {Incident} incident
 * @param {Api} api
 * @param {OnDevice} onDevice
 */
export function makeIncident(incident, api, onDevice) {
  const { incident_id: id, severity, state } = incident;
  const line = make(
    "summary",
    {},
    make("span", { class: "severity" }, severity),
    " ",
    make("span", { class: "wrong" }, words.writeFinding(incident)),
    " ",
    make("span", { class: "hint" }, words.writeState(incident)),
  );
  const more = make("div", { class: "more" });
  const made = make(
    "details",
    { id: `incident-${id}`, class: `${severity} ${state}` },
    line,
    writeFacts(incident),
    more,
  );
  made.addEventListener("toggle", () => {
    if (made.open && !more.hasChildNodes()) void showMore(more, incident, api, onDevice);
  });
  return made;
}

/** @param {Incident} incident */
function writeFacts(incident) {
  const { why, value, unit, read_at: read, event_id: event, heard_at: heard, state } = incident;
  /** @type {[string, string | null][]} */
  const facts = [
    ["Why", why || "The rule gave no reason."],
    ["When", words.writePeriod(incident)],
    ["Notified", words.writeNotified(incident)],
    ["Ended because", words.writeResolution(incident)],
    ["Value", value === null ? null : `${words.withUnit(value, unit)} at ${words.writeMinute(read)}`],
    ["Event", event],
    ["Rule", words.writeRule(incident)],
    // An incident that is over is not judged any more.
    ["Last judged", state === "open" && heard !== null ? words.writeMinute(heard) : null],
  ];
  const told = facts.filter(([, fact]) => fact !== null);
  return make("dl", {}, ...told.flatMap(([name, fact]) => [make("dt", {}, name), make("dd", {}, String(fact))]));
}

/**
 * Ask for what a list does not have.
 * @param {HTMLElement} place
 * @param {Incident} incident
 * @param {Api} api
 * @param {OnDevice} onDevice
 */
async function showMore(place, incident, api, onDevice) {
  const progress = make("p", { class: "hint", role: "status" }, "Loading its devices …");
  place.replaceChildren(progress);
  try {
    const { devices, silences } = await api.incident(incident.incident_id);
    place.replaceChildren(
      ...writeMembers(devices, incident, onDevice),
      ...writeSilences(silences),
      make("h3", {}, "What to do"),
      make("p", {}, "An operator can see who was notified of it, and acknowledge, silence or resolve it:"),
      make("pre", {}, make("code", {}, `sluice alerts show ${incident.incident_id}`)),
    );
  } catch (error) {
    if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    say(progress, "Its devices cannot be shown right now. Close it and open it again.");
    // Opened again, it asks again.
    place.closest("details")?.addEventListener("toggle", () => place.replaceChildren(), { once: true });
  }
}

/**
 * @param {Schemas["IncidentDetail"]["devices"]} devices
 * @param {Incident} incident
 * @param {OnDevice} onDevice
 */
function writeMembers(devices, incident, onDevice) {
  const lines = devices.map(({ device_id: device, joined_at: joined, cleared_at: cleared }) => {
    const button = make("button", { type: "button", "aria-label": `Show the charts of ${device}` }, "Show");
    button.addEventListener("click", () => onDevice(device, incident));
    const state = cleared === null ? `since ${words.writeMinute(joined)}` : `clear since ${words.writeMinute(cleared)}`;
    return make("li", {}, device, " ", make("span", { class: "hint" }, state), " ", button);
  });
  const rest = incident.devices - devices.length;
  if (rest > 0) lines.push(make("li", { class: "hint" }, `and ${count(rest)} more`));
  return [make("h3", {}, "Devices"), make("ul", { class: "plain devices" }, ...lines)];
}

/** @param {Schemas["Silence"][]} silences */
function writeSilences(silences) {
  if (silences.length === 0) return [];
  const lines = silences.map((one) => make("li", {}, writeSilence(one)));
  return [make("h3", {}, "Silences"), make("ul", { class: "plain" }, ...lines)];
}

/** @param {Schemas["Silence"]} silence */
export function writeSilence({ rule_id: rule, device_id: device, until, reason }) {
  const parts = [rule === null ? null : `rule ${rule}`, device === null ? null : `device ${device}`].filter(Boolean);
  return `${parts.join(", ") || "the whole fleet"}, until ${words.writeMinute(until)}: ${reason}`;
}
