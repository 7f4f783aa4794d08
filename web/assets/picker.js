// What to show: the fleet, a group or a device; which metrics; when.

import { find, make, say } from "./elements.js";
import { writeTime } from "./format.js";
import * as views from "./view.js";

/**
 * @import { Answers } from "../answers.js"
 * @import { Change, Range, Scope, View } from "./view.js"
 */

/** @type {Map<Range, string>} */
const RANGE_NAMES = new Map([
  [views.LIVE, "Live 5 min"],
  ["1h", "1 h"],
  ["6h", "6 h"],
  ["24h", "24 h"],
  ["7d", "7 days"],
  ["30d", "30 days"],
  ["1y", "1 year"],
]);

export class Picker {
  #view;
  #onView;
  #now;
  #gone = new AbortController();
  #offered = "";

  /**
   * `onView` hears of every view that is picked; `now` tells the API's time.
   * @param {{ view: View, onView: (view: View) => void, now: () => number }} session
   */
  constructor({ view, onView, now }) {
    this.#view = view;
    this.#onView = onView;
    this.#now = now;
    const [group, device] = [find("group", HTMLSelectElement), find("device", HTMLInputElement)];
    find("ranges").replaceChildren(...[...RANGE_NAMES].map(([range, name]) => this.#rangeButton(range, name)));
    for (const [scope, radio] of scopes()) this.#listen(radio, "change", () => this.#pick({ scope }));
    this.#listen(group, "change", () => this.#pick({ scope: "group", group: group.value }));
    this.#listen(device, "change", () => this.#pick({ scope: "device", device: device.value.trim() }));
    this.#listen(find("earlier"), "click", () => this.#move(views.step(this.#view, -1, this.#now())));
    this.#listen(find("later"), "click", () => this.#move(views.step(this.#view, 1, this.#now())));
    this.#listen(find("zoom-in"), "click", () => this.#move(views.zoom(this.#view, 0.5, this.#now())));
    this.#listen(find("zoom-out"), "click", () => this.#move(views.zoom(this.#view, 2, this.#now())));
    this.#listen(find("apply-times"), "click", () => this.#pickTimes());
    this.#listen(find("picker"), "submit", (event) => event.preventDefault());
    this.show(view);
  }

  /**
   * Show a view as picked.
   * @param {View} view
   */
  show(view) {
    this.#view = view;
    for (const [scope, radio] of scopes()) radio.checked = scope === view.scope;
    find("group-choice").hidden = view.scope !== "group";
    find("device-choice").hidden = view.scope !== "device";
    const device = find("device", HTMLInputElement);
    if (document.activeElement !== device) device.value = view.device;
    find("group", HTMLSelectElement).value = view.group;
    for (const button of find("ranges").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.range === view.range));
      if (button.dataset.range === views.LIVE) this.#allowLive(button, view.scope !== "fleet");
    }
    const { from, to } = views.span(view, this.#now());
    // A field that the reader is filling in is not changed.
    if (!find("exact").contains(document.activeElement)) {
      find("from", HTMLInputElement).value = writeTime(from).slice(0, 16);
      find("to", HTMLInputElement).value = writeTime(to).slice(0, 16);
      find("resolution", HTMLSelectElement).value = view.resolution;
    }
    find("later", HTMLButtonElement).disabled = to >= this.#now() - 1;
    this.#check();
  }

  /** @param {Answers["listGroups"]["items"]} groups */
  offerGroups(groups) {
    const field = find("group", HTMLSelectElement);
    const choices = groups.map(({ group_id: id, name }) => make("option", { value: id }, name || id));
    field.replaceChildren(make("option", { value: "" }, choices.length ? "Choose a group" : "No groups"), ...choices);
    field.value = this.#view.group;
    // A link may name a group that the directory does not list any more.
    if (field.value !== this.#view.group) {
      field.append(make("option", { value: this.#view.group }, this.#view.group));
      field.value = this.#view.group;
    }
  }

  /** @param {Answers["listDevices"]["items"]} devices */
  offerDevices(devices) {
    find("devices").replaceChildren(...devices.map(({ device_id: id }) => make("option", { value: id })));
  }

  /**
   * Offer metrics to choose from, those that are shown already checked.
   * @param {string[]} metrics
   * @param {string[]} shown
   */
  offerMetrics(metrics, shown) {
    const key = JSON.stringify([metrics, shown]);
    if (key === this.#offered) return;
    this.#offered = key;
    const focused = boxes().find((box) => box === document.activeElement)?.value;
    find("metrics").replaceChildren(
      ...metrics.map((metric) => {
        const box = make("input", { type: "checkbox", value: metric, checked: shown.includes(metric) });
        box.addEventListener("change", () => this.#pickMetrics());
        return make("label", {}, box, make("span", {}, metric));
      }),
    );
    for (const box of boxes()) if (box.value === focused) box.focus();
  }

  /** @param {string} text */
  complain(text) {
    say(find("scope-error"), text);
  }

  /** Stop listening: another session has a picker of its own. */
  remove() {
    this.#gone.abort();
  }

  /**
   * @param {HTMLElement} element
   * @param {string} event
   * @param {(event: Event) => void} listener
   */
  #listen(element, event, listener) {
    element.addEventListener(event, listener, { signal: this.#gone.signal });
  }

  /**
   * @param {Range} range
   * @param {string} name
   */
  #rangeButton(range, name) {
    const button = make("button", { type: "button", "data-range": range, "aria-pressed": "false" }, name);
    if (range === views.LIVE) button.setAttribute("aria-describedby", "live-hint");
    this.#listen(button, "click", () => {
      if (button.getAttribute("aria-disabled") !== "true")
        this.#pick({ range, from: null, to: null, resolution: "auto" });
    });
    return button;
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {boolean} allowed
   */
  #allowLive(button, allowed) {
    button.setAttribute("aria-disabled", String(!allowed));
    button.title = allowed ? "" : "Choose a group or a device: a fleet as a whole has no samples of its own.";
    say(find("live-hint"), allowed ? "" : "Live: pick a group or a device.");
  }

  #pickMetrics() {
    const chosen = boxes().flatMap((box) => (box.checked ? [box.value] : []));
    this.#offered = "";
    this.#pick({ metrics: chosen });
  }

  #pickTimes() {
    const [from, to] = [readTime("from"), readTime("to")];
    if (!(from < to)) {
      say(find("time-error"), "The first time must be before the second.");
      return;
    }
    say(find("time-error"), "");
    const view = views.lookAt(this.#view, from, to, this.#now());
    const resolution = views.readResolution(find("resolution", HTMLSelectElement).value);
    this.#move(views.change(view, { resolution }));
  }

  /** @param {Change} changes */
  #pick(changes) {
    this.#move(views.change(this.#view, changes));
  }

  /** @param {View} view */
  #move(view) {
    this.complain("");
    this.show(view);
    this.#onView(view);
  }

  #check() {
    if (views.isWhole(this.#view)) return;
    this.complain(this.#view.scope === "group" ? "Choose a group." : "Name a device.");
  }
}

/** @returns {[Scope, HTMLInputElement][]} */
function scopes() {
  return [
    ["fleet", find("scope-fleet", HTMLInputElement)],
    ["group", find("scope-group", HTMLInputElement)],
    ["device", find("scope-device", HTMLInputElement)],
  ];
}

function boxes() {
  return [...find("metrics").querySelectorAll("input")];
}

/**
 * A time as its field has it; not a number where the field is empty.
 * @param {string} id
 */
function readTime(id) {
  return Date.parse(`${find(id, HTMLInputElement).value}Z`) / 1000;
}
