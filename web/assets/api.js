// The query API: one method a route, and its refusals as errors that say what to do.

/** The API answered, and said no. */
export class Refused extends Error {
  constructor(status, code, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }

  /** Whether another key is needed, rather than another try. */
  get needsKey() {
    return this.status === 401 || ["wrong_role", "wrong_fleet"].includes(this.code);
  }

  /** Whether it is the question that cannot be answered, and others can. */
  get ofQuestion() {
    return (
      ["directory_unavailable", "too_slow"].includes(this.code) ||
      (!this.needsKey && this.status < 500 && this.status !== 429)
    );
  }

  /** Whether it passes by itself. */
  get passes() {
    return this.status === 429 || this.status >= 500;
  }
}

/** There was no answer at all. */
export class Unreachable extends Error {}

const ANSWER_SECONDS = 20;
/** The most entries that a list gives at a time. */
export const PAGE = 1000;

export class Api {
  #key;

  constructor(key) {
    this.#key = key;
  }

  async fleets() {
    return (await this.#get("/v1/fleets")).items;
  }

  status(fleet) {
    return this.#get(fleetPath(fleet));
  }

  /** The first devices of a fleet, by name; more than a list can show is typed. */
  devices(fleet) {
    return this.#get(fleetPath(fleet, "devices"), { limit: PAGE });
  }

  async groups(fleet) {
    return (await this.#get(fleetPath(fleet, "groups"))).items;
  }

  recent(fleet, subject, metrics, signal) {
    return this.#get(fleetPath(fleet, "recent"), { ...subject, metric: metrics }, signal);
  }

  /** All windows of a range, however many pages they fill. */
  async rollups(fleet, subject, metrics, { from, to, resolution }, signal) {
    const question = { ...subject, metric: metrics, from, to, resolution };
    const whole = await this.#get(fleetPath(fleet, "rollups"), question, signal);
    for (let cursor = whole.next_cursor; cursor !== null; ) {
      const page = await this.#get(fleetPath(fleet, "rollups"), { ...question, cursor }, signal);
      whole.items.push(...page.items);
      whole.states.push(...page.states);
      cursor = page.next_cursor;
    }
    return whole;
  }

  counters(fleet, minutes) {
    return this.#get(fleetPath(fleet, "counters"), { minutes });
  }

  changes(fleet, cursor) {
    return this.#get(fleetPath(fleet, "changes"), { cursor, limit: PAGE });
  }

  async #get(path, question = {}, signal = undefined) {
    const limit = AbortSignal.timeout(ANSWER_SECONDS * 1000);
    let answer, document;
    try {
      answer = await fetch(path + query(question), {
        headers: { "x-api-key": this.#key },
        // Asked each time, and answered with nothing when it is the same: what was just rolled must be seen.
        cache: "no-cache",
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
      });
      document = await answer.json();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new Unreachable(error.message);
    }
    if (answer.ok) return document;
    const asked = Number(answer.headers.get("retry-after")) || 0;
    // The gateway's own answers carry a message and no code.
    throw new Refused(
      answer.status,
      document.code,
      document.detail ?? document.message ?? `status ${answer.status}`,
      asked,
    );
  }
}

function fleetPath(fleet, ...rest) {
  return ["/v1/fleets", fleet, ...rest].map((part, place) => (place ? encodeURIComponent(part) : part)).join("/");
}

function query(question) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(question)) {
    for (const one of [value].flat()) if (one !== undefined && one !== null) parameters.append(name, one);
  }
  return parameters.size ? `?${parameters}` : "";
}
