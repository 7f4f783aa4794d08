// What the API's words for windows mean to the reader of a chart.

/**
 * @import { Schemas } from "../answers.js"
 *
 * @typedef {Schemas["Stretch"]["reason"]} Reason
 */

/** @type {Record<NonNullable<Reason>, string>} */
const MEANINGS = {
  not_closed: "still open: events may come",
  being_rolled_again: "late samples are being counted in",
  offsets_missing: "events were stored that are not counted yet",
  not_kept: "no longer kept at this resolution",
};

/** @param {Reason} reason */
export function explain(reason) {
  if (reason === null) return "";
  // An API newer than this page may have other reasons.
  return MEANINGS[reason] ?? reason;
}
