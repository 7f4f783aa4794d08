// The cards of all metrics that are shown, in their order.

import { find } from "./elements.js";
import { markingOf } from "./marks.js";
import { Panel } from "./panel.js";
import { Samples } from "./samples.js";
import { onColours } from "./theme.js";
import { usualIn } from "./usual.js";

/**
 * @import { OnZoom } from "./chart.js"
 * @import { Baseline } from "./usual.js"
 * @import { Incident } from "./wording.js"
 * @import { Windows } from "./windows.js"
 *
 * @typedef {object} Shown
 * @property {Samples | Windows} source
 * @property {string[]} shown the metrics, in their order
 * @property {number} from
 * @property {number} to
 * @property {Incident[]} incidents those of the device that is shown
 * @property {Baseline[]} baselines
 */

export class Panels {
  /** @type {Map<string, Panel>} */
  #panels = new Map();
  #onZoom;

  /** @param {{ onZoom: OnZoom }} listeners */
  constructor({ onZoom }) {
    this.#onZoom = onZoom;
    onColours(() => {
      for (const panel of this.#panels.values()) panel.repaint();
    });
  }

  /**
   * Show the metrics named by `shown` of what there is, and no others.
   * @param {Shown} what
   */
  show({ source, shown, from, to, incidents, baselines }) {
    for (const [metric, panel] of this.#panels) {
      if (shown.includes(metric)) continue;
      panel.remove();
      this.#panels.delete(metric);
    }
    for (const [place, metric] of shown.entries()) {
      const panel = this.#panel(metric, place);
      const unit = source.unit(metric);
      const baseline = baselines.find((one) => one.metric === metric);
      const usual = usualIn(baseline, from, to);
      const given = { unit, from, to, usual, marking: markingOf(incidents, metric, unit) };
      if (source instanceof Samples) panel.showSamples({ ...given, series: source.series(metric) });
      else if (source.width !== null) {
        panel.showWindows({
          ...given,
          rows: source.rows(metric),
          width: source.width,
          states: source.states,
          stateAt: (start) => source.stateAt(start),
        });
      }
    }
  }

  clear() {
    for (const panel of this.#panels.values()) panel.remove();
    this.#panels.clear();
  }

  /**
   * @param {string} metric
   * @param {number} place
   */
  #panel(metric, place) {
    const known = this.#panels.get(metric);
    if (known !== undefined) return known;
    const panel = new Panel(metric, { onZoom: this.#onZoom });
    this.#panels.set(metric, panel);
    find("charts").insertBefore(panel.element, find("charts").children[place] ?? null);
    return panel;
  }
}
