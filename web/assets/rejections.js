// The fleet's rejected events in groups: what is wrong, what would pass, and what to do. It asks for itself, so that the
// rest of the page does not wait for it and works without it.

import { Refused, Unreachable } from "./api.js";
import { find, make, say } from "./elements.js";
import { countOf, dateAndTime, parseTime } from "./format.js";
import { makeGroup } from "./rejection.js";

/**
 * @import { Answers } from "../answers.js"
 * @import { Api } from "./api.js"
 */

const FRESH_SECONDS = 300;
/** After a failure: as often as the API reads letters for all readers together, at the least. */
const RETRY_SECONDS = 20;

export class Rejections {
  #api;
  #due = 0;
  #asking = false;
  #written = "";

  /** @param {Api} api */
  constructor(api) {
    this.#api = api;
    say(find("rejections-note"), "Loading …");
    find("rejections").replaceChildren();
  }

  /** Ask again if the answer is old. */
  async keepUp() {
    if (this.#asking || performance.now() / 1000 < this.#due) return;
    this.#asking = true;
    let wait = FRESH_SECONDS;
    try {
      this.#show(await this.#api.letterGroups());
    } catch (error) {
      // Whether the key still gives access is found by the requests of the page's own beat.
      if (!(error instanceof Refused || error instanceof Unreachable)) throw error;
      wait = Math.max(RETRY_SECONDS, error instanceof Refused ? error.retryAfter : 0);
      this.#showFailure(explain(error));
    } finally {
      this.#asking = false;
      this.#due = performance.now() / 1000 + wait;
    }
  }

  /** @param {Answers["listLetterGroups"]} answer */
  #show(answer) {
    say(find("rejections-note"), describe(answer));
    const key = JSON.stringify(answer.items);
    if (key === this.#written) return;
    this.#written = key;
    const open = new Set([...find("rejections").querySelectorAll("details[open]")].map(({ id }) => id));
    const days = { from: answer.from, to: answer.to };
    find("rejections").replaceChildren(
      ...answer.items.map((group) => {
        const made = makeGroup(group, days, this.#api);
        made.open = open.has(made.id);
        return make("li", {}, made);
      }),
    );
  }

  /** @param {string} why */
  #showFailure(why) {
    const kept = this.#written === "" ? "" : " What is below is older.";
    say(find("rejections-note"), `Rejected events cannot be shown right now: ${why}${kept}`);
  }
}

/** @param {Refused | Unreachable} error */
function explain(error) {
  if (error instanceof Unreachable) return "The API does not answer.";
  return error.code === "quota_letters"
    ? "They were just read, for another fleet or for other days. The page asks again in some seconds."
    : error.message;
}

/** @param {Answers["listLetterGroups"]} answer */
function describe({ as_of: asOf, from, found, letters, complete, items }) {
  const since = `since ${dateAndTime(parseTime(from))} UTC`;
  const read = `as of ${dateAndTime(parseTime(asOf))} UTC`;
  const cut = complete ? "" : " Not all of them could be read in time: there may be more.";
  if (letters === 0) return `None ${since}, ${read}.${cut}`;
  const largest = found > items.length ? `, the largest ${items.length} of them below` : "";
  return `${countOf(letters, "event")} ${since}, in ${countOf(found, "group")} by what is wrong${largest}; ${read}.${cut}`;
}
