// The change feed: what was rolled since the page last asked. A cursor keeps the place, so that the page misses no
// change while it is offline. When the cursor has expired, the page fetches everything again.

import { PAGE, Refused } from "./api.js";
import { parseTime } from "./format.js";

/**
 * @import { Schemas } from "../answers.js"
 * @import { Api } from "./api.js"
 *
 * @typedef {ReturnType<typeof readChange>} Change
 */

export class Feed {
  #api;
  #fleet;
  /** @type {string | null} */
  #cursor = null;

  /**
   * @param {Api} api
   * @param {string} fleet
   */
  constructor(api, fleet) {
    this.#api = api;
    this.#fleet = fleet;
  }

  /**
   * What changed; or null when the cursor has expired.
   * @returns {Promise<Change[] | null>}
   */
  async read() {
    const begins = this.#cursor === null;
    const changes = [];
    try {
      for (let more = true; more; ) {
        const page = await this.#api.changes(this.#fleet, this.#cursor);
        changes.push(...page.items.map(readChange));
        more = page.items.length >= PAGE;
        this.#cursor = page.next_cursor;
      }
    } catch (error) {
      if (!(error instanceof Refused && error.code === "cursor_expired")) throw error;
      this.#cursor = null;
      return await this.read();
    }
    return begins ? null : changes;
  }
}

/** @param {Schemas["Change"]} item */
function readChange(item) {
  return {
    of: item.of,
    resolution: item.resolution,
    device: item.device_id,
    start: parseTime(item.window_start),
  };
}
