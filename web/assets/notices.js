// What a reader of the numbers must know: where they are not final, what is missing, what was left out.

import { find, make } from "./elements.js";
import { countOf, moment, parseTime } from "./format.js";
import { explain } from "./reasons.js";

/**
 * @import { Schemas } from "../answers.js"
 * @import { Stretch } from "./windows.js"
 *
 * @typedef {{ kind: string, name: string, text: string }} Notice
 * @typedef {{ field: string, contract: string, versions: number[], events: number }} UnknownField
 */

const MOST_STRETCHES = 4;
const MOST_FIELDS = 8;
let written = "";

/**
 * Write all notices, or a line that says that nothing is wrong.
 * @param {{ status: Schemas["Fleet"] | null, states: Stretch[], width: number | null }} shown
 */
export function writeNotices({ status, states, width }) {
  const notices = [...ofStates(states, width ?? 60), ...ofStatus(status)];
  const key = JSON.stringify(notices);
  if (key === written) return;
  written = key;
  const items = notices.map(({ kind, name, text }) => make("li", { class: kind }, make("strong", {}, name), " ", text));
  find("notices").replaceChildren(
    ...(items.length ? items : [make("li", { class: "fine" }, "All numbers shown are complete.")]),
  );
}

/**
 * @param {Stretch[]} states
 * @param {number} width
 */
function ofStates(states, width) {
  const doubtful = states.filter(({ state }) => state !== "complete");
  const shown = doubtful.slice(-MOST_STRETCHES).map(({ from, to, state, reason }) => ({
    kind: state,
    name: state === "gap" ? "Gap" : "Provisional",
    text: `${moment(from, width)} to ${moment(to, width)} UTC: ${explain(reason)}.`,
  }));
  const rest = doubtful.length - shown.length;
  return rest > 0
    ? [
        ...shown,
        { kind: "more", name: "", text: `… and ${countOf(rest, "earlier stretch").replace("stretchs", "stretches")}.` },
      ]
    : shown;
}

/** @param {Schemas["Fleet"] | null} status */
function ofStatus(status) {
  if (status === null) return [];
  const { late = 0, duplicate = 0, dead_lettered: dead = 0 } = status.events;
  /** @type {Notice[]} */
  const notices = status.gaps.slice(0, MOST_STRETCHES).map((gap) => ({
    kind: "gap",
    name: "Not counted",
    text: `${countOf(gap.to_offset - gap.from_offset, "event")} received ${moment(parseTime(gap.received_from), 60)} to ${moment(parseTime(gap.received_to), 60)} UTC: stored, and missing in these numbers.`,
  }));
  if (late > 0)
    notices.push({
      kind: "info",
      name: "Late",
      text: `${countOf(late, "event")} came more than an hour late: kept raw, not in these numbers.`,
    });
  if (duplicate > 0)
    notices.push({
      kind: "info",
      name: "Duplicates",
      text: `${countOf(duplicate, "event")} came again and counted once.`,
    });
  if (dead > 0)
    notices.push({
      kind: "info",
      name: "Unreadable",
      text: `${countOf(dead, "event")} could not be read and became dead letters.`,
    });
  const fields = overVersions(status.unknown_fields);
  for (const { field, contract, versions, events } of fields.slice(0, MOST_FIELDS)) {
    const which = `version${versions.length === 1 ? "" : "s"} ${versions.join(", ")}`;
    notices.push({
      kind: "field",
      name: "Unknown field",
      text: `“${field}” of ${contract} ${which}, in ${countOf(events, "event")}: kept raw, not aggregated.`,
    });
  }
  if (fields.length > MOST_FIELDS)
    notices.push({
      kind: "more",
      name: "",
      text: `… and ${countOf(fields.length - MOST_FIELDS, "more unknown field")}.`,
    });
  return notices;
}

/**
 * Unknown fields with what is the same in several versions of a contract as one.
 * @param {Schemas["Fleet"]["unknown_fields"]} fields
 */
function overVersions(fields) {
  /** @type {Map<string, UnknownField>} */
  const found = new Map();
  for (const { field, contract, schema_version: version, events } of fields) {
    const key = JSON.stringify([field, contract]);
    const one = found.get(key) ?? { field, contract, versions: [], events: 0 };
    one.versions = [...one.versions, version].sort((lower, higher) => lower - higher);
    one.events += events;
    found.set(key, one);
  }
  return [...found.values()];
}
