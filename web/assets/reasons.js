// What the API's words for windows mean to whoever looks at them.

const MEANINGS = new Map([
  ["not_closed", "still open: events may come"],
  ["being_rolled_again", "late samples are being counted in"],
  ["offsets_missing", "events were stored that are not counted yet"],
  ["not_kept", "no longer kept at this resolution"],
]);

export function explain(reason) {
  return MEANINGS.get(reason) ?? reason ?? "";
}
