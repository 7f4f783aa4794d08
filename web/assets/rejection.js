// One group of rejected events: a line that says what is wrong, and below it why, some of the events, and what to do.

import { Refused, Unreachable } from "./api.js";
import { make, say } from "./elements.js";
import { countOf, dateAndTime, parseTime } from "./format.js";

/**
 * @import { Schemas } from "../answers.js"
 * @import { Api } from "./api.js"
 *
 * @typedef {Schemas["LetterGroup"]} Group
 * @typedef {Group["samples"][number]} Sample
 * @typedef {{ from: string, to: string }} Days
 */

/** Who rejects events before they are accepted. */
const EDGE = "ingest";

/** @type {Record<Schemas["Trace"]["verdict"], string>} */
const VERDICTS = {
  accepted: "Accepted: it was sent again, and is stored.",
  dead_lettered: "Accepted, and then given up: a consumer could not read it.",
  rejected: "Rejected: it is kept as a dead letter, and is in no number.",
  never_received: "Not found among the events of its day.",
  unknown: "Not known: something that may have it does not answer.",
};

/**
 * @param {Group} group
 * @param {Days} days
 * @param {Api} api
 */
export function makeGroup(group, days, api) {
  const line = make(
    "summary",
    {},
    make("span", { class: "count" }, countOf(group.letters, "event")),
    " ",
    make("span", { class: "wrong" }, wrong(group)),
    " ",
    make("span", { class: "hint" }, origin(group)),
  );
  return make(
    "details",
    { id: `group-${group.group_id}`, class: group.state },
    line,
    why(group),
    ...about(group, days, api),
  );
}

/** @param {Group} group */
function wrong({ example, path, reason }) {
  if (example?.passes) return example.message;
  const words = reason.replaceAll("_", " ");
  return path === null ? words : `${path}: ${words}`;
}

/** @param {Group} group */
function origin({ contract, firmware, last, state }) {
  const from = [contract, firmware === null ? null : `firmware ${firmware}`].filter(Boolean).join(", ");
  const end = state === "closed" ? "closed" : `last ${dateAndTime(parseTime(last))} UTC`;
  return [from, end].filter(Boolean).join(" · ");
}

/** @param {Group} group */
function why(group) {
  const { example, path, rule, reason, consumer, first, last } = group;
  /** @type {[string, string | null | undefined][]} */
  const facts = [
    ["Where", path],
    ["Rule", rule === null ? reason : rule],
    ["One event has", example?.passes ? (example.value ?? "nothing there") : null],
    ["What would pass", example?.passes ?? example?.message],
    ["Given up by", consumer === EDGE ? null : consumer],
    ["When", period(dateAndTime(parseTime(first)), dateAndTime(parseTime(last)))],
    ["Sent again", sentAgain(group)],
  ];
  const told = facts.filter(([, value]) => value);
  return make("dl", {}, ...told.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
}

/**
 * @param {string} first
 * @param {string} last
 */
function period(first, last) {
  return first === last ? `${first} UTC` : `${first} to ${last} UTC`;
}

/** @param {Group} group */
function sentAgain({ accounted, in_flight: flying, still_bad: bad, exhausted, incomplete }) {
  const parts = [
    accounted && `${countOf(accounted, "event")} fixed and counted`,
    flying && `${countOf(flying, "event")} fixed and under way`,
    bad && `${countOf(bad, "event")} rejected again`,
    exhausted && `${countOf(exhausted, "event")} given up after several attempts`,
    incomplete && `${countOf(incomplete, "event")} that cannot be sent again`,
  ];
  return parts.filter(Boolean).join(", ");
}

/**
 * @param {Group} group
 * @param {Days} days
 * @param {Api} api
 */
function about(group, days, api) {
  const [advice, command] = whatToDo(group, days);
  const shown = group.samples.map((sample) => makeSample(sample, api));
  return [
    ...(shown.length ? [make("h3", {}, "Some of the events"), make("ul", { class: "samples" }, ...shown)] : []),
    make("h3", {}, "What to do"),
    make("p", {}, advice),
    ...(command ? [make("pre", {}, make("code", {}, command))] : []),
  ];
}

/**
 * @param {Group} group
 * @param {Days} days
 * @returns {[string, string | null]}
 */
function whatToDo({ group_id: id, consumer, state, samples: [sample] }, { from, to }) {
  // Whole days in UTC, which the command takes as such.
  const range = `--from ${from.slice(0, 10)} --to ${to.slice(0, 10)}`;
  if (state === "closed") return ["Nothing: each of these events is counted, or cannot be sent again.", null];
  if (consumer !== EDGE)
    return [
      `These events were accepted, and ${consumer} gave them up. An admin can see why, and give them to ${consumer} again:`,
      sample === undefined ? null : `sluice dead-letters explain ${sample.letter_id} ${range}`,
    ];
  return [
    "Correct the devices. The rejected events are kept: an admin can have a fix proposed for them, and send them again.",
    `sluice dead-letters propose --group ${id} ${range}`,
  ];
}

/**
 * @param {Sample} sample
 * @param {Api} api
 */
function makeSample({ event_id: event, device_id: device, failed_at: failed }, api) {
  const named = make("span", {}, event ?? "an event without an id");
  const hint = [device, `${dateAndTime(parseTime(failed))} UTC`].filter(Boolean).join(" · ");
  const made = make("li", {}, named, " ", make("span", { class: "hint" }, hint));
  // An id with a slash cannot be part of an address.
  if (event === null || event.includes("/")) return made;
  const found = make("p", { class: "found", role: "status" });
  const button = make("button", { type: "button", "aria-label": `Trace ${event}` }, "Trace");
  button.addEventListener("click", async () => {
    // Disabled in words alone: a button that loses the focus would take the keyboard's place with it.
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    say(found, "Looking for it …");
    say(found, await trace(api, event, device, failed.slice(0, 10)));
    button.removeAttribute("aria-disabled");
  });
  made.append(" ", button, found);
  return made;
}

/**
 * @param {Api} api
 * @param {string} event
 * @param {string | null} device
 * @param {string} day
 */
async function trace(api, event, device, day) {
  try {
    const { verdict } = await api.trace(event, device, day);
    return VERDICTS[verdict];
  } catch (error) {
    // Without a code it is the gateway's own refusal: the search took too long.
    if (error instanceof Refused && error.code !== undefined) return error.message;
    if (error instanceof Refused || error instanceof Unreachable) return "No answer in time. Try again in a moment.";
    throw error;
  }
}
