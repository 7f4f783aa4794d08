// The query API: one method per route, and its refusals as errors that say what to do.

/**
 * @import { Answers, Schemas } from "../answers.js"
 * @import { Resolution, Subject } from "./view.js"
 */

/**
 * @typedef {{ from: string, to: string, resolution: Resolution | "auto" }} Range as the API is asked for it
 * @typedef {Record<string, string | number | readonly string[] | null>} Question parameters; a null is left out
 */

/** The API refused the request. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {string | undefined} code
   * @param {string} detail
   * @param {number} retryAfter
   */
  constructor(status, code, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether the reader needs another key, and a retry would not help. */
  get needsKey() {
    return this.status === 401 || this.#isOneOf("wrong_role", "wrong_fleet");
  }

  /** Whether only this request cannot be answered. */
  get ofQuestion() {
    return (
      this.#isOneOf("directory_unavailable", "too_slow") || (!this.needsKey && this.status < 500 && this.status !== 429)
    );
  }

  /** Whether a later retry may succeed. */
  get passes() {
    return this.status === 429 || this.status >= 500;
  }

  /** @param {string[]} codes */
  #isOneOf(...codes) {
    return this.code !== undefined && codes.includes(this.code);
  }
}

/** There was no answer at all. */
export class Unreachable extends Error {}

const ANSWER_SECONDS = 20;
/** The most entries that a list gives at a time. */
export const PAGE = 1000;

export class Api {
  #key;
  #stopped = new AbortController();

  /** @param {string} key */
  constructor(key) {
    this.#key = key;
  }

  /** Stop asking: a late answer would show in the next session. */
  stop() {
    this.#stopped.abort();
  }

  /** The fleet that the key may read: there is always one. */
  async fleet() {
    /** @type {Answers["listFleets"]} */
    const { items } = await this.#get("/v1/fleets");
    const [fleet] = items;
    if (fleet === undefined) throw new Unreachable("the API names no fleet");
    return fleet.fleet_id;
  }

  /**
   * @param {string} fleet
   * @returns {Promise<Answers["getFleet"]>}
   */
  status(fleet) {
    return this.#get(fleetPath(fleet));
  }

  /**
   * The first devices of a fleet, by name; more than a list can show is typed.
   * @param {string} fleet
   * @returns {Promise<Answers["listDevices"]>}
   */
  devices(fleet) {
    return this.#get(fleetPath(fleet, "devices"), { limit: PAGE });
  }

  /**
   * @param {string} fleet
   * @returns {Promise<Answers["listGroups"]>}
   */
  groups(fleet) {
    return this.#get(fleetPath(fleet, "groups"));
  }

  /**
   * @param {string} fleet
   * @param {Subject} subject
   * @param {string[]} metrics
   * @param {AbortSignal} signal
   * @returns {Promise<Answers["getRecent"]>}
   */
  recent(fleet, subject, metrics, signal) {
    return this.#get(fleetPath(fleet, "recent"), { ...subject, metric: metrics }, signal);
  }

  /**
   * All windows of a range, however many pages they fill.
   * @param {string} fleet
   * @param {Subject} subject
   * @param {string[]} metrics
   * @param {Range} range
   * @param {AbortSignal} signal
   */
  async rollups(fleet, subject, metrics, { from, to, resolution }, signal) {
    const question = { ...subject, metric: metrics, from, to, resolution };
    /** @type {Answers["getRollups"]} */
    const whole = await this.#get(fleetPath(fleet, "rollups"), question, signal);
    for (let cursor = whole.next_cursor; cursor !== null; ) {
      /** @type {Answers["getRollups"]} */
      const page = await this.#get(fleetPath(fleet, "rollups"), { ...question, cursor }, signal);
      whole.items.push(...page.items);
      whole.states.push(...page.states);
      cursor = page.next_cursor;
    }
    return whole;
  }

  /**
   * @param {string} fleet
   * @param {number} minutes
   * @returns {Promise<Answers["getCounters"]>}
   */
  counters(fleet, minutes) {
    return this.#get(fleetPath(fleet, "counters"), { minutes });
  }

  /**
   * @param {string} fleet
   * @param {string | null} cursor
   * @returns {Promise<Answers["listChanges"]>}
   */
  changes(fleet, cursor) {
    return this.#get(fleetPath(fleet, "changes"), { cursor, limit: PAGE });
  }

  /**
   * What is usual for the series of a device.
   * @param {string} fleet
   * @param {string} device
   * @returns {Promise<Answers["listBaselines"]>}
   */
  baselines(fleet, device) {
    return this.#get(fleetPath(fleet, "baselines"), { device });
  }

  /**
   * A page of the key's fleet's incidents, the newest first.
   * @param {Question} question
   * @returns {Promise<Answers["listIncidents"]>}
   */
  incidents(question) {
    return this.#get("/v1/incidents", question);
  }

  /**
   * One incident with its devices, and what silences it.
   * @param {string} incident
   * @returns {Promise<Answers["getIncident"]>}
   */
  incident(incident) {
    return this.#get(`/v1/incidents/${encodeURIComponent(incident)}`);
  }

  /**
   * The fleet's dead letters of yesterday and today, in groups.
   * @returns {Promise<Answers["listLetterGroups"]>}
   */
  letterGroups() {
    return this.#get("/v1/dead-letters");
  }

  /**
   * What became of one event that arrived on a day.
   * @param {string} event
   * @param {string | null} device
   * @param {string} day
   * @returns {Promise<Answers["traceEvent"]>}
   */
  trace(event, device, day) {
    return this.#get(`/v1/trace/${encodeURIComponent(event)}`, { device_id: device, from: day, to: day });
  }

  /**
   * The document of an answer. The API's description defines its type.
   * @param {string} path
   * @param {Question} [question]
   * @param {AbortSignal} [signal]
   */
  async #get(path, question = {}, signal) {
    const ends = [AbortSignal.timeout(ANSWER_SECONDS * 1000), this.#stopped.signal];
    let answer;
    let document;
    try {
      answer = await fetch(path + query(question), {
        headers: { "x-api-key": this.#key },
        // Revalidated each time, so that new rollups show at once. An unchanged answer comes without a body.
        cache: "no-cache",
        signal: AbortSignal.any(signal === undefined ? ends : [...ends, signal]),
      });
      document = await answer.json();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable("no answer", { cause: error });
    }
    if (answer.ok) return document;
    throw refusal(answer, document);
  }
}

/**
 * Read a refusal; the gateway's own carry a message and no code.
 * @param {Response} answer
 * @param {Partial<Schemas["Problem"]> & { message?: string }} problem
 */
function refusal(answer, problem) {
  const detail = problem.detail ?? problem.message ?? `status ${answer.status}`;
  const asked = Number(answer.headers.get("retry-after")) || 0;
  return new Refused(answer.status, problem.code, detail, asked);
}

/**
 * @param {string} fleet
 * @param {string[]} rest
 */
function fleetPath(fleet, ...rest) {
  return ["/v1/fleets", ...[fleet, ...rest].map(encodeURIComponent)].join("/");
}

/** @param {Question} question */
function query(question) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(question)) {
    for (const one of [value].flat()) if (one !== null) parameters.append(name, String(one));
  }
  return parameters.size ? `?${parameters}` : "";
}
