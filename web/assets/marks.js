// The incidents of the device that is shown, for its charts: when they were open, and the limits of their rules. It asks for
// itself; until it has an answer, and while there is none, the charts are drawn without.

import { Refused, Unreachable } from "./api.js";
import { parseTime, writeTime } from "./format.js";
import { hasThreshold, writeFinding, writePeriod, writeRule, writeState } from "./wording.js";

/**
 * @import { Api } from "./api.js"
 * @import { Incident } from "./wording.js"
 *
 * @typedef {{ from: number, to: number, severity: Incident["severity"], state: Incident["state"] }} Mark
 * @typedef {{ value: number, opens: boolean, text: string }} Limit
 * @typedef {{ marks: Mark[], limits: Limit[], texts: { text: string, kind: string }[] }} Marking
 */

const FRESH_SECONDS = 10;
const MOST_MARKS = 100;
const MOST_TEXTS = 5;

export class Marks {
  #api;
  #key = "";
  #due = 0;
  #asking = false;
  /** @type {Incident[]} */
  incidents = [];

  /** @param {Api} api */
  constructor(api) {
    this.#api = api;
  }

  /**
   * Ask again if the answer is old or of something else.
   * @param {string | null} device none is shown
   * @param {{ from: number, to: number }} span
   * @param {boolean} follows whether the span ends now
   */
  async keepUp(device, { from, to }, follows) {
    const key = JSON.stringify([device, follows ? Math.round(to - from) : [from, to]]);
    if (key !== this.#key) {
      this.#key = key;
      this.#due = 0;
      this.incidents = [];
    }
    if (device === null || this.#asking || performance.now() / 1000 < this.#due) return;
    this.#asking = true;
    try {
      const question = { device, from: writeTime(from), to: follows ? null : writeTime(to), limit: MOST_MARKS };
      const { items } = await this.#api.incidents(question);
      if (key === this.#key) this.incidents = items;
    } catch (error) {
      // The list of incidents says why there are none.
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
    } finally {
      this.#asking = false;
      if (key === this.#key) this.#due = performance.now() / 1000 + FRESH_SECONDS;
    }
  }
}

/**
 * What of some incidents belongs on the chart of a metric. A device that sends nothing sends nothing of any metric.
 * @param {Incident[]} incidents
 * @param {string} metric
 * @param {string} unit
 * @returns {Marking}
 */
export function markingOf(incidents, metric, unit) {
  const ours = incidents.filter((one) => one.metric === metric || one.metric === null);
  const rules = new Map(ours.map((one) => [one.rule_id, one]));
  const texts = ours.slice(0, MOST_TEXTS).map((one) => ({
    text: `${one.severity}: ${writeFinding(one)}, ${one.state === "open" ? writeState(one) : writePeriod(one)}`,
    kind: `${one.severity} ${one.state}`,
  }));
  if (ours.length > MOST_TEXTS) texts.push({ text: `and ${ours.length - MOST_TEXTS} earlier incidents`, kind: "" });
  const written = [...rules.values()].filter((one) => one.rule !== null && hasThreshold(one));
  return {
    marks: ours.map(({ opened_at: opened, resolved_at: resolved, severity, state }) => ({
      from: parseTime(opened),
      to: resolved === null ? Infinity : parseTime(resolved),
      severity,
      state,
    })),
    limits: written.flatMap((one) => limitsOf(one, unit)),
    texts: [...texts, ...written.map((one) => ({ text: `Rule ${writeRule(one)}`, kind: "" }))],
  };
}

/**
 * @param {Incident} incident
 * @param {string} unit
 * @returns {Limit[]}
 */
function limitsOf({ rule, kind }, unit) {
  if (rule === null || rule.archived_at !== null || rule.unit !== unit) return [];
  const { open, clear } = rule;
  const opens = { value: open, opens: true, text: `opens ${kind} ${open}` };
  return clear === open ? [opens] : [opens, { value: clear, opens: false, text: `clear at ${clear}` }];
}
