// The fleet's incidents as a list with filters, its devices that send nothing, and what is silenced. It asks for itself, so
// that the rest of the page does not wait for it and works without it.

import { Refused, Unreachable } from "./api.js";
import { find, make, say } from "./elements.js";
import { count, countOf, DAY, dateAndTime, duration, hourAndMinute, MINUTE, parseTime, writeTime } from "./format.js";
import { makeIncident, writeSilence } from "./incident.js";
import { change, lookAt } from "./view.js";
import { nameDevices, writeMinute } from "./wording.js";

/**
 * @import { Answers } from "../answers.js"
 * @import { Api } from "./api.js"
 * @import { OnDevice } from "./incident.js"
 * @import { View } from "./view.js"
 * @import { Incident } from "./wording.js"
 */

const FRESH_SECONDS = 10;
const FIRST_LISTED = 25;
/** The line at the top counts so many open ones; it says when there are more. */
const MOST_COUNTED = 100;
/** The most that the API lists at a time. */
const MOST_LISTED = 1000;
/** What is shown before an incident and after it, at the least. */
const AROUND = 15 * MINUTE;
/** Verdicts are taken in within seconds; what takes longer is late. */
const LATE_SECONDS = 120;

export class Incidents {
  #api;
  #onDevice;
  #now;
  #due = 0;
  #turn = 0; // answers of earlier turns are not shown any more
  #asking = false;
  #limit = FIRST_LISTED;
  /** @type {Map<string, { key: string, made: HTMLDetailsElement }>} */
  #lines = new Map();
  #listening = new AbortController();

  /** @param {{ api: Api, onDevice: OnDevice, now: () => number }} session */
  constructor({ api, onDevice, now }) {
    this.#api = api;
    this.#onDevice = onDevice;
    this.#now = now;
    say(find("incidents-note"), "Loading …");
    find("incidents").replaceChildren();
    for (const id of ["open-now", "incidents-late", "more-incidents", "dropped-out", "silences"])
      find(id).hidden = true;
    const { signal } = this.#listening;
    const filters = find("incident-filters", HTMLFormElement);
    filters.reset();
    filters.addEventListener("submit", (event) => event.preventDefault(), { signal });
    filters.addEventListener("change", () => this.#filter(), { signal });
    find("more-incidents").addEventListener("click", () => this.#more(), { signal });
    find("to-incidents").addEventListener("click", () => find("incidents-title").focus(), { signal });
  }

  /** Forget what it listens to. */
  remove() {
    this.#turn += 1;
    this.#listening.abort();
  }

  /** @param {string[]} metrics */
  offerMetrics(metrics) {
    const key = JSON.stringify(metrics);
    const list = find("incident-metrics");
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...metrics.map((metric) => make("option", { value: metric })));
  }

  /** Ask again if the answer is old. */
  async keepUp() {
    if (this.#asking || performance.now() / 1000 < this.#due) return;
    this.#asking = true;
    const turn = this.#turn;
    let wait = FRESH_SECONDS;
    try {
      const [listed, open, silent] = await Promise.all([
        this.#api.incidents(this.#question()),
        this.#api.incidents({ state: "open", limit: MOST_COUNTED }),
        this.#api.incidents({ state: "open", kind: "silence" }),
      ]);
      if (turn === this.#turn) {
        this.#show(listed);
        showOpen(open);
        showDroppedOut(silent.items);
      }
    } catch (error) {
      // Whether the key still gives access is found by the requests of the page's own beat.
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      wait = Math.max(FRESH_SECONDS, error instanceof Refused ? error.retryAfter : 0);
      if (turn === this.#turn) this.#showFailure(error);
    } finally {
      this.#asking = false;
      // After another choice it asks at once.
      this.#due = turn === this.#turn ? performance.now() / 1000 + wait : 0;
    }
  }

  #question() {
    const chosen = find("incident-filters").querySelector("input[name=incident-state]:checked");
    const days = Number(find("incident-days", HTMLSelectElement).value);
    return {
      state: chosen instanceof HTMLInputElement ? chosen.value : "open",
      severity: find("incident-severity", HTMLSelectElement).value,
      device: find("incident-device", HTMLInputElement).value.trim() || null,
      metric: find("incident-metric", HTMLInputElement).value.trim() || null,
      from: writeTime(this.#now() - days * DAY),
      limit: this.#limit,
    };
  }

  #filter() {
    this.#limit = FIRST_LISTED;
    this.#again();
  }

  #more() {
    this.#limit = Math.min(MOST_LISTED, this.#limit * 4);
    this.#again();
  }

  #again() {
    this.#turn += 1;
    this.#due = 0;
    say(find("incidents-note"), "Loading …");
    void this.keepUp();
  }

  /** @param {Answers["listIncidents"]} answer */
  #show(answer) {
    const { items, next_cursor: more, silences } = answer;
    say(find("incidents-note"), describe(answer));
    showDelay(answer);
    const lines = new Map(items.map((incident) => [incident.incident_id, this.#line(incident)]));
    this.#lines = lines;
    const [list, wanted] = [find("incidents"), [...lines.values()].map(({ made }) => made)];
    const shown = [...list.querySelectorAll(":scope > li > details")];
    // What did not change stays where it is, and keeps the focus.
    if (shown.length !== wanted.length || shown.some((one, place) => one !== wanted[place]))
      list.replaceChildren(...wanted.map((made) => make("li", {}, made)));
    find("more-incidents").hidden = more === null || this.#limit === MOST_LISTED;
    find("silences").hidden = silences.length === 0;
    showTexts("silences-list", silences.map(writeSilence));
  }

  /** @param {Incident} incident */
  #line(incident) {
    // When it was last judged changes with each answer; that alone is no reason to draw it anew.
    const key = JSON.stringify({ ...incident, heard_at: null });
    const known = this.#lines.get(incident.incident_id);
    if (known?.key === key) return known;
    const made = makeIncident(incident, this.#api, this.#onDevice);
    made.open = known?.made.open ?? false;
    return { key, made };
  }

  /** @param {Refused | Unreachable} error */
  #showFailure(error) {
    const kept = this.#lines.size === 0 ? "" : " What is below is older.";
    const why = error instanceof Unreachable ? "The API does not answer." : error.message;
    say(find("incidents-note"), `Incidents cannot be shown right now: ${why}${kept}`);
  }
}

/**
 * Look at a device around the time of an incident.
 * @param {View} view
 * @param {string} device
 * @param {Incident} incident
 * @param {number} now
 */
export function lookAtIncident(view, device, { opened_at: opened, resolved_at: resolved, metric }, now) {
  const [from, to] = [parseTime(opened), resolved === null ? now : parseTime(resolved)];
  const around = Math.max(AROUND, (to - from) / 2);
  const metrics = metric === null ? [] : [metric];
  return lookAt(change(view, { scope: "device", device, metrics }), from - around, to + around, now);
}

/** @param {Answers["listIncidents"]} answer */
function describe({ as_of: asOf, items, next_cursor: more, from }) {
  const read = `As of ${hourAndMinute(parseTime(asOf))} UTC`;
  if (items.length === 0) return `${read}: none like this since ${dateAndTime(parseTime(from))} UTC.`;
  return `${read}: ${more === null ? "" : "the newest "}${countOf(items.length, "incident")}, the newest first.`;
}

/** @param {Answers["listIncidents"]} answer */
function showDelay({ verdicts }) {
  const delay = verdicts?.delay_seconds ?? 0;
  find("incidents-late").hidden = delay < LATE_SECONDS;
  say(
    find("incidents-late"),
    delay < LATE_SECONDS
      ? ""
      : `Incidents come late: readings were judged ${duration(delay)} after they were received.`,
  );
}

/** @param {Answers["listIncidents"]} answer */
function showOpen({ items, next_cursor: more }) {
  find("open-now").hidden = items.length === 0;
  const parts = ["critical", "warning", "info"].flatMap((severity) => {
    const some = items.filter((one) => one.severity === severity).length;
    return some ? [`${count(some)} ${severity}`] : [];
  });
  const total = `${more === null ? "" : "more than "}${countOf(items.length, "open incident")}`;
  say(find("open-words"), items.length ? `${total}: ${parts.join(", ")}.` : "");
}

/** @param {Incident[]} incidents */
function showDroppedOut(incidents) {
  find("dropped-out").hidden = incidents.length === 0;
  const lines = incidents.map((one) => {
    const again = one.devices - one.open_devices;
    const back = again > 0 ? `, ${count(again)} of ${count(one.devices)} send again` : "";
    return `${nameDevices(one)}: since ${writeMinute(one.opened_at)}${back}`;
  });
  showTexts("dropped-out-list", lines);
}

/**
 * @param {string} id
 * @param {string[]} lines
 */
function showTexts(id, lines) {
  const list = find(id);
  const key = JSON.stringify(lines);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...lines.map((line) => make("li", {}, line)));
}
