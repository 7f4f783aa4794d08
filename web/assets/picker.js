// What to show: the fleet, a group or a device; which metrics; when.

import { find, make, say } from "./elements.js";
import { writeTime } from "./format.js";
import * as views from "./view.js";

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

  /** `onView` hears of every view that is picked; `now` tells the API's time. */
  constructor({ onView, now }) {
    this.#onView = onView;
    this.#now = now;
    find("ranges").replaceChildren(...[...RANGE_NAMES].map(([range, name]) => this.#rangeButton(range, name)));
    for (const radio of scopes()) this.#listen(radio, "change", () => this.#pick({ scope: radio.value }));
    this.#listen(find("group"), "change", () => this.#pick({ scope: "group", group: find("group").value }));
    this.#listen(find("device"), "change", () => this.#pick({ scope: "device", device: find("device").value.trim() }));
    this.#listen(find("earlier"), "click", () => this.#move(views.step(this.#view, -1, this.#now())));
    this.#listen(find("later"), "click", () => this.#move(views.step(this.#view, 1, this.#now())));
    this.#listen(find("zoom-in"), "click", () => this.#move(views.zoom(this.#view, 0.5, this.#now())));
    this.#listen(find("zoom-out"), "click", () => this.#move(views.zoom(this.#view, 2, this.#now())));
    this.#listen(find("apply-times"), "click", () => this.#pickTimes());
    this.#listen(find("picker"), "submit", (event) => event.preventDefault());
  }

  /** Show a view as picked. */
  show(view) {
    this.#view = view;
    for (const radio of scopes()) radio.checked = radio.value === view.scope;
    find("group-choice").hidden = view.scope !== "group";
    find("device-choice").hidden = view.scope !== "device";
    if (document.activeElement !== find("device")) find("device").value = view.device;
    find("group").value = view.group;
    for (const button of find("ranges").children) {
      button.setAttribute("aria-pressed", String(button.dataset.range === view.range));
      if (button.dataset.range === views.LIVE) this.#allowLive(button, view.scope !== "fleet");
    }
    const { from, to } = views.span(view, this.#now());
    // A field that somebody is filling in is left alone.
    if (!find("picker").querySelector(".exact").contains(document.activeElement)) {
      find("from").value = writeTime(from).slice(0, 16);
      find("to").value = writeTime(to).slice(0, 16);
      find("resolution").value = view.resolution;
    }
    find("later").disabled = to >= this.#now() - 1;
    this.#check();
  }

  offerGroups(groups) {
    const choices = groups.map(({ group_id: id, name }) => make("option", { value: id }, name || id));
    find("group").replaceChildren(
      make("option", { value: "" }, choices.length ? "Choose a group" : "No groups"),
      ...choices,
    );
    find("group").value = this.#view.group;
    // A link may name a group that the directory does not list any more.
    if (find("group").value !== this.#view.group) {
      find("group").append(make("option", { value: this.#view.group }, this.#view.group));
      find("group").value = this.#view.group;
    }
  }

  offerDevices(devices) {
    find("devices").replaceChildren(...devices.map(({ device_id: id }) => make("option", { value: id })));
  }

  /** Offer metrics to choose from, those that are shown already checked. */
  offerMetrics(metrics, shown) {
    const key = JSON.stringify([metrics, shown]);
    if (key === this.#offered) return;
    this.#offered = key;
    const focused = document.activeElement?.dataset?.metric;
    find("metrics").replaceChildren(
      ...metrics.map((metric) => {
        const box = make("input", { type: "checkbox", "data-metric": metric, checked: shown.includes(metric) });
        box.addEventListener("change", () => this.#pickMetrics());
        return make("label", {}, box, make("span", {}, metric));
      }),
    );
    for (const box of boxes()) if (box.dataset.metric === focused) box.focus();
  }

  complain(text) {
    say(find("scope-error"), text);
  }

  /** Stop listening: another session has a picker of its own. */
  remove() {
    this.#gone.abort();
  }

  #listen(element, event, listener) {
    element.addEventListener(event, listener, { signal: this.#gone.signal });
  }

  #rangeButton(range, name) {
    const button = make("button", { type: "button", "data-range": range, "aria-pressed": "false" }, name);
    if (range === views.LIVE) button.setAttribute("aria-describedby", "live-hint");
    this.#listen(button, "click", () => {
      if (button.getAttribute("aria-disabled") !== "true")
        this.#pick({ range, from: null, to: null, resolution: "auto" });
    });
    return button;
  }

  #allowLive(button, allowed) {
    button.setAttribute("aria-disabled", String(!allowed));
    button.title = allowed ? "" : "Choose a group or a device: a fleet as a whole has no samples of its own.";
    say(find("live-hint"), allowed ? "" : "Live: pick a group or a device.");
  }

  #pickMetrics() {
    const chosen = [...boxes()].filter((box) => box.checked).map((box) => box.dataset.metric);
    this.#offered = "";
    this.#pick({ metrics: chosen });
  }

  #pickTimes() {
    const [from, to] = ["from", "to"].map((end) => Date.parse(`${find(end).value}Z`) / 1000);
    if (!(from < to)) {
      say(find("time-error"), "The first time has to lie before the second.");
      return;
    }
    say(find("time-error"), "");
    const view = views.lookAt(this.#view, from, to, this.#now());
    this.#move(views.change(view, { resolution: find("resolution").value }));
  }

  #pick(changes) {
    this.#move(views.change(this.#view, changes));
  }

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

function scopes() {
  return find("picker").elements.namedItem("scope");
}

function boxes() {
  return find("metrics").querySelectorAll("input");
}
