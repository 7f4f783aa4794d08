// The cards of all metrics that are shown, in their order.

import { find } from "./elements.js";
import { Panel } from "./panel.js";
import { onColours } from "./theme.js";

export class Panels {
  #panels = new Map();
  #onZoom;

  constructor({ onZoom }) {
    this.#onZoom = onZoom;
    onColours(() => {
      for (const panel of this.#panels.values()) panel.repaint();
    });
  }

  /** Show the metrics named by `shown` of what there is, and no others. */
  show({ source, shown, live, from, to }) {
    for (const [metric, panel] of this.#panels) {
      if (shown.includes(metric)) continue;
      panel.remove();
      this.#panels.delete(metric);
    }
    for (const [place, metric] of shown.entries()) {
      const panel = this.#panel(metric, place);
      const given = { unit: source.unit(metric), from, to };
      if (live) panel.showSamples({ ...given, series: source.series(metric) });
      else
        panel.showWindows({
          ...given,
          rows: source.rows(metric),
          width: source.width,
          states: source.states,
          stateAt: (start) => source.stateAt(start),
        });
    }
  }

  clear() {
    for (const panel of this.#panels.values()) panel.remove();
    this.#panels.clear();
  }

  #panel(metric, place) {
    if (!this.#panels.has(metric)) {
      const panel = new Panel(metric, { onZoom: this.#onZoom });
      this.#panels.set(metric, panel);
      find("charts").insertBefore(panel.element, find("charts").children[place] ?? null);
    }
    return this.#panels.get(metric);
  }
}
