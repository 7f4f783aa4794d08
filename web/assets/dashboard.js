// The dashboard of one session: keeps the page in step with the view, the change feed and the clock.

import { Refused } from "./api.js";
import { find, say } from "./elements.js";
import { Feed } from "./feed.js";
import { countOf, DAY, MINUTE, parseTime, writeTime } from "./format.js";
import { Incidents, lookAtIncident } from "./incidents.js";
import { Marks } from "./marks.js";
import { writeNotices } from "./notices.js";
import { Overview } from "./overview.js";
import { Panels } from "./panels.js";
import { Picker } from "./picker.js";
import { Pulse } from "./pulse.js";
import { Rejections } from "./rejections.js";
import { Samples } from "./samples.js";
import { Baselines } from "./usual.js";
import * as views from "./view.js";
import { Windows } from "./windows.js";

/**
 * @import { Schemas } from "../answers.js"
 * @import { Api, Range } from "./api.js"
 * @import { Change } from "./feed.js"
 * @import { State } from "./pulse.js"
 * @import { View } from "./view.js"
 *
 * @typedef {object} Session
 * @property {Api} api
 * @property {string} fleet
 * @property {View} view
 * @property {(view: View) => void} onView hears of every other view
 * @property {(state: State) => void} onState hears of the connection
 * @property {(refused: Refused) => void} onDefeat hears of a key that gives no access any more
 */

const STATUS_SECONDS = 4;
const LISTS_SECONDS = 60;
/** The minute that goes on, and the last whole one. */
const COUNTED_MINUTES = 2;
const METRICS_AT_FIRST = 12;
/** How often, in beats, a live view asks for all metrics: a device may begin to report another one. */
const LOOK_AROUND = 15;

export class Dashboard {
  #api;
  #fleet;
  #view;
  #onView;
  #feed;
  #pulse;
  #picker;
  #overview = new Overview();
  #panels;
  #rejections;
  #incidents;
  #marks;
  #baselines;
  #windows = new Windows();
  #samples = new Samples();
  /** @type {Schemas["Fleet"] | null} */
  #status = null;
  #stale = true; // everything that is shown has to be fetched
  /** @type {{ from: number, to: number } | null} */
  #changed = null; // the range that has to be fetched again
  /** @type {string[]} */
  #known = []; // the metrics that there are
  /** @type {Map<string, string>} */
  #names = new Map(); // the groups' names by their ids
  #ahead = 0; // how far the API's clock is ahead of this one
  #due = { status: 0, lists: 0 };
  #beats = 0;
  #loading = new AbortController();
  #ticking;

  /** @param {Session} session */
  constructor({ api, fleet, view, onView, onState, onDefeat }) {
    this.#api = api;
    this.#fleet = fleet;
    this.#view = view;
    this.#onView = onView;
    this.#feed = new Feed(api, fleet);
    this.#panels = new Panels({ onZoom: (from, to) => this.#pick(views.lookAt(this.#view, from, to, this.#now())) });
    this.#rejections = new Rejections(api);
    this.#incidents = new Incidents({
      api,
      onDevice: (device, incident) => this.#pick(lookAtIncident(this.#view, device, incident, this.#now())),
      now: () => this.#now(),
    });
    this.#marks = new Marks(api);
    this.#baselines = new Baselines(api, fleet);
    this.#picker = new Picker({ view, onView: (picked) => this.#pick(picked), now: () => this.#now() });
    this.#pulse = new Pulse({ beat: () => this.#beat(), onState, onDefeat });
    this.#ticking = setInterval(() => this.#overview.tick(), 1000);
  }

  run() {
    return this.#pulse.run();
  }

  stop() {
    this.#pulse.stop();
    this.#loading.abort();
    this.#api.stop();
    clearInterval(this.#ticking);
    this.#incidents.remove();
    this.#picker.remove();
    this.#panels.clear();
  }

  /**
   * Show another view.
   * @param {View} view
   */
  show(view) {
    const other = JSON.stringify(views.subject(view)) !== JSON.stringify(views.subject(this.#view));
    if (other || views.isLive(view) !== views.isLive(this.#view)) this.#forget(other);
    this.#view = view;
    this.#picker.show(view);
    this.#stale = true;
    this.#loading.abort();
    this.#pulse.hurry();
  }

  /** @param {View} view */
  #pick(view) {
    this.#onView(view);
    this.show(view);
  }

  /** @param {boolean} other whether it is of another subject */
  #forget(other) {
    this.#windows.clear();
    this.#samples.clear();
    if (other) this.#known = [];
  }

  async #beat() {
    // First the changes, then the numbers: the next beat reports any change in between.
    const changes = await this.#feed.read();
    if (changes === null) this.#stale = true;
    else for (const one of changes) this.#note(one);
    this.#mark();
    await this.#load();
    // Not waited for: an answer may take as long as it takes to read two days of dead letters.
    void this.#rejections.keepUp();
    void this.#incidents.keepUp();
    const now = performance.now() / 1000;
    if (now >= this.#due.lists) {
      await this.#list();
      this.#due.lists = now + LISTS_SECONDS;
    }
    if (now >= this.#due.status) {
      await this.#ask();
      this.#due.status = now + STATUS_SECONDS;
    }
    this.#beats += 1;
  }

  /** Ask for the incidents of the device that is shown, and for what is usual for it. */
  #mark() {
    const device = this.#view.scope === "device" && views.isWhole(this.#view) ? this.#view.device : null;
    void this.#marks.keepUp(device, views.span(this.#view, this.#now()), views.follows(this.#view));
    void this.#baselines.keepUp(device);
  }

  /**
   * Remember a change, if it is one of what is shown.
   * @param {Change} change
   */
  #note({ of, resolution, device, start }) {
    // A change of many devices names none; which of them are a group's the feed does not know.
    const ours = {
      fleet: of === "fleet",
      group: of !== "fleet",
      device: of === "devices" || device === this.#view.device,
    };
    if (ours[this.#view.scope] && resolution === this.#windows.resolution)
      this.#extend(start, start + views.RESOLUTIONS[resolution]);
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #extend(from, to) {
    const changed = this.#changed;
    this.#changed = changed ? { from: Math.min(changed.from, from), to: Math.max(changed.to, to) } : { from, to };
  }

  async #load() {
    if (!views.isWhole(this.#view)) {
      this.#forget(true);
      this.#draw("");
      return;
    }
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    if (this.#stale) say(find("progress"), "Loading …");
    try {
      await (views.isLive(this.#view) ? this.#loadSamples(signal) : this.#loadWindows(signal));
      if (signal.aborted) return;
      this.#stale = false;
      this.#draw(this.#whyNothing());
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Refused && error.ofQuestion)) throw error;
      // The rest of the page continues. Requests that may succeed later are retried.
      this.#stale = error.passes;
      this.#forget(true);
      this.#draw(error.message);
    }
  }

  /** What to say where nothing is drawn: an hour or a day has no row before it is over. */
  #whyNothing() {
    const { width, until } = this.#windows;
    const { to } = views.span(this.#view, this.#now());
    if (views.isLive(this.#view) || width === null || width <= MINUTE || (until !== null && to <= until))
      return "No data in this range.";
    return `No ${width >= DAY ? "day" : "hour"} in this range has ended yet. Each is shown when it ends. Try 1 h.`;
  }

  /** @param {AbortSignal} signal */
  async #loadSamples(signal) {
    const around = this.#beats % LOOK_AROUND === 0;
    const answer = await this.#api.recent(this.#fleet, views.subject(this.#view), around ? [] : this.#shown(), signal);
    if (signal.aborted) return;
    this.#setClock(answer.as_of);
    this.#overview.takeFreshness(answer);
    this.#samples.take(answer);
    this.#learn(this.#samples.metrics);
  }

  /** @param {AbortSignal} signal */
  async #loadWindows(signal) {
    const { from, to } = views.span(this.#view, this.#now());
    const { resolution } = this.#windows;
    /** @type {Range} */
    let question = { from: writeTime(from), to: writeTime(to), resolution: this.#view.resolution };
    const changed = this.#changed;
    if (!this.#stale && resolution !== null) {
      this.#windows.forget(from);
      if (changed === null || changed.to <= from || changed.from >= to) {
        this.#changed = null;
        return;
      }
      question = { from: writeTime(Math.max(from, changed.from)), to: writeTime(Math.min(to, changed.to)), resolution };
    }
    const metrics = this.#stale ? this.#shown() : [];
    const answer = await this.#api.rollups(this.#fleet, views.subject(this.#view), metrics, question, signal);
    if (signal.aborted) return;
    if (this.#stale) this.#windows.clear();
    this.#windows.lay(answer);
    this.#learn(this.#windows.metrics);
    this.#changed = null;
  }

  /** Ask how the fleet is, and how much comes in. */
  async #ask() {
    const status = await this.#api.status(this.#fleet);
    this.#status = status;
    this.#setClock(status.as_of);
    this.#overview.showStatus(status);
    this.#overview.showCounters(await this.#api.counters(this.#fleet, COUNTED_MINUTES));
    const { width } = this.#windows;
    if (views.follows(this.#view) && !views.isLive(this.#view) && width !== null) {
      // Time passes too: windows begin, and those that end become final without a change when they are empty.
      const open = this.#windows.states.find(({ state }) => state !== "complete");
      const latest = this.#now() - 2 * width;
      this.#extend(open && open.reason === "not_closed" ? Math.min(open.from, latest) : latest, this.#now() + width);
    }
    this.#notice();
  }

  /** Ask which devices and groups can be chosen. */
  async #list() {
    this.#picker.offerDevices((await this.#api.devices(this.#fleet)).items);
    try {
      const groups = (await this.#api.groups(this.#fleet)).items;
      this.#names = new Map(groups.map(({ group_id: id, name }) => [id, name]));
      this.#picker.offerGroups(groups);
    } catch (error) {
      if (!(error instanceof Refused && error.ofQuestion)) throw error;
      this.#picker.offerGroups([]);
      if (this.#view.scope === "group") this.#picker.complain(error.message);
    }
  }

  /** @param {string} nothing what to say where there is nothing to show */
  #draw(nothing) {
    const source = views.isLive(this.#view) ? this.#samples : this.#windows;
    this.#picker.show(this.#view);
    this.#picker.offerMetrics(this.#known, this.#shown());
    this.#incidents.offerMetrics(this.#known);
    const shown = this.#shown().filter((metric) => source.metrics.includes(metric));
    const { from, to } = views.span(this.#view, this.#now());
    const { incidents } = this.#marks;
    this.#panels.show({ source, shown, from, to, incidents, baselines: this.#baselines.items });
    const name = this.#names.get(this.#view.group);
    const texts = views.describe(
      this.#view,
      { fleet: this.#fleet, group: name },
      this.#windows.resolution,
      this.#now(),
    );
    say(find("showing"), texts.title);
    say(find("progress"), texts.detail);
    find("nothing").hidden = shown.length > 0 || nothing === "";
    say(find("nothing"), nothing);
    say(
      find("announcer"),
      shown.length ? `${texts.title}, ${views.rangeName(this.#view)}: ${countOf(shown.length, "chart")}` : nothing,
    );
    this.#notice();
  }

  #notice() {
    const states = views.isLive(this.#view) ? [] : this.#windows.states;
    writeNotices({ status: this.#status, states, width: this.#windows.width });
  }

  #shown() {
    const chosen = this.#view.metrics.length ? this.#view.metrics : this.#known.slice(0, METRICS_AT_FIRST);
    return this.#known.length ? chosen.filter((metric) => this.#known.includes(metric)) : chosen;
  }

  /** @param {string[]} metrics */
  #learn(metrics) {
    this.#known = [...new Set([...this.#known, ...metrics])].sort();
  }

  /** @param {string} asOf */
  #setClock(asOf) {
    this.#ahead = parseTime(asOf) - Date.now() / 1000;
  }

  #now() {
    return Date.now() / 1000 + this.#ahead;
  }
}
