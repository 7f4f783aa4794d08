// The fleet now: how fresh its numbers are, how much comes in, what was left out, and what firmware runs.

import { find, make, say } from "./elements.js";
import { clock, count, countOf, dateAndTime, duration, parseTime } from "./format.js";

/** @import { Answers, Schemas } from "../answers.js" */

const GOOD_SECONDS = 10;
const PROMISED_SECONDS = 30;
const TYPES_SHOWN = 4;

export class Overview {
  /** @type {{ seconds: number, at: number } | null} */
  #freshness = null; // as answered, and when by this page's own clock

  /**
   * Show what the fleet's status says.
   * @param {Schemas["Fleet"]} status
   */
  showStatus(status) {
    this.takeFreshness(status);
    const until = status.complete_until["1m"];
    say(find("complete"), until ? clock(parseTime(until)) : "–");
    say(
      find("complete-note"),
      until
        ? `${dateAndTime(parseTime(until)).slice(0, 10)} UTC, every window before it is complete`
        : "nothing has been rolled up yet",
    );
    this.#showLeftOut(status.events);
    this.#showFirmware(status.firmware_versions);
  }

  /**
   * Show how many events came in the last whole minute, by type.
   * @param {Answers["getCounters"]} counters
   */
  showCounters({ available, items }) {
    const minute = items.at(-2);
    if (!available || minute === undefined) {
      // Counters live in a cache of their own: without it the rest of the page goes on.
      say(find("rate"), "–");
      find("rate-types").replaceChildren(make("li", {}, "not available right now"));
      return;
    }
    const { events: total, types: counted } = minute;
    say(find("rate"), count(total));
    const types = Object.entries(counted).sort((one, other) => other[1] - one[1]);
    const shown = types.slice(0, TYPES_SHOWN);
    const rest = types.slice(TYPES_SHOWN);
    if (rest.length) shown.push([countOf(rest.length, "more type"), rest.reduce((sum, [, events]) => sum + events, 0)]);
    find("rate-types").replaceChildren(...shown.map(([type, events]) => share(type, events, total)));
  }

  /**
   * Remember how fresh an answer was. From then on the page's own clock counts.
   * @param {{ freshness_seconds: number | null }} answer
   */
  takeFreshness({ freshness_seconds: seconds }) {
    this.#freshness = seconds === null ? null : { seconds, at: performance.now() };
    this.tick();
  }

  /** Say how fresh the numbers are now. */
  tick() {
    if (this.#freshness === null) {
      showFreshness("", "–", "nothing has been counted in this deployment yet");
      return;
    }
    const seconds = this.#freshness.seconds + (performance.now() - this.#freshness.at) / 1000;
    const figure = duration(seconds);
    if (seconds < GOOD_SECONDS) showFreshness("good", figure, "since the newest counted event was accepted");
    else if (seconds < PROMISED_SECONDS) showFreshness("slow", figure, "slower than usual");
    else showFreshness("late", figure, "the pipeline is behind, or no fleet of this deployment sends");
  }

  /** @param {Schemas["Fleet"]["events"]} events */
  #showLeftOut({ late = 0, duplicate = 0 }) {
    say(find("late"), count(late));
    say(find("duplicate"), count(duplicate));
  }

  /** @param {Schemas["Fleet"]["firmware_versions"]} versions */
  #showFirmware(versions) {
    const most = Math.max(1, ...versions.map(({ devices }) => devices));
    const rows = versions.map(({ firmware, contract, schema_version: version, devices }) => {
      const bar = make("meter", { min: "0", max: String(most), value: String(devices), "aria-hidden": "true" });
      const under = make("span", { class: "hint" }, ` ${contract} v${version}`);
      return make(
        "tr",
        {},
        make("th", { scope: "row" }, firmware ?? "not said", under),
        make("td", { class: "bar" }, bar),
        make("td", { class: "amount" }, countOf(devices, "device")),
      );
    });
    const table = make("table", { class: "firmware" }, make("tbody", {}, ...rows));
    find("firmware").replaceChildren(rows.length ? table : make("p", { class: "hint" }, "No device has reported yet."));
  }
}

/**
 * @param {string} state
 * @param {string} figure
 * @param {string} note
 */
function showFreshness(state, figure, note) {
  say(find("freshness"), figure);
  say(find("freshness-note"), note);
  find("freshness-tile").dataset.state = state;
}

/**
 * @param {string} type
 * @param {number} events
 * @param {number} total
 */
function share(type, events, total) {
  const bar = make("meter", {
    min: "0",
    max: String(Math.max(1, total)),
    value: String(events),
    "aria-hidden": "true",
  });
  return make("li", {}, make("span", { class: "type" }, type), bar, make("span", { class: "amount" }, count(events)));
}
