// One metric's card: its heading, its chart, what the cursor is at, and the same as a table.

import { Chart, writeRange } from "./chart.js";
import { ofSamples, ofWindows } from "./columns.js";
import { make, say } from "./elements.js";
import { clock, countOf, HOUR, hourAndMinute, moment, number, writeTime } from "./format.js";
import { explain } from "./reasons.js";
import { MOST_LINES, ofDevices, SLICE_SECONDS } from "./slices.js";
import { download, writeTable } from "./table.js";

export class Panel {
  #metric;
  #chart;
  #shown = null;
  #pointed = false; // whether the cursor is at something
  #parts;
  element;

  constructor(metric, { onZoom }) {
    this.#metric = metric;
    const id = `panel-${crypto.randomUUID()}`;
    this.#parts = {
      title: make("h3", { id }, metric),
      unit: make("span", { class: "unit" }),
      figure: make("p", { class: "latest" }),
      drawing: make("div", { class: "drawing", tabindex: "0", role: "group" }),
      readout: make("output", { class: "readout" }),
      legend: make("ul", { class: "legend" }),
      table: make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${metric} as a table` }),
    };
    const { title, unit, figure, drawing, readout, legend, table } = this.#parts;
    const details = make(
      "details",
      { on: { toggle: () => this.#fill() } },
      make("summary", {}, "As a table"),
      make("button", { type: "button", class: "quiet", on: { click: () => this.#save() } }, "Download CSV"),
      table,
    );
    this.#parts.details = details;
    title.append(" ", unit);
    this.element = make(
      "section",
      { class: "card panel", "aria-labelledby": id },
      make("div", { class: "heading" }, title, figure),
      drawing,
      readout,
      legend,
      details,
    );
    this.#chart = new Chart(drawing, { onZoom, onCursor: (places, line) => this.#point(places, line) });
  }

  /** Show windows: {rows, unit, width, from, to, states, stateAt}. */
  showWindows(given) {
    const { rows, width, stateAt } = given;
    const last = rows.at(-1);
    this.#show({
      ...given,
      devices: null,
      zooms: true,
      columns: ofWindows(rows, width),
      table: () => windowTable(rows, stateAt),
      writeAt: (column) =>
        writeWindow(
          rows.find(({ start }) => start === this.#time(column) - width / 2),
          width,
          stateAt,
        ),
      latest: last ? writeWindow(last, width, stateAt) : "",
    });
    say(this.#parts.figure, last ? `${number(last.avg)}` : "");
  }

  /** Show samples: {series, unit, from, to}. */
  showSamples(given) {
    if (given.series.length > MOST_LINES) this.#showMany(given);
    else this.#showEach(given);
  }

  #showMany(given) {
    const { series } = given;
    const slices = ofDevices(series);
    this.#show({
      ...given,
      states: [],
      devices: null,
      zooms: false,
      columns: ofWindows(slices, SLICE_SECONDS),
      table: () => sampleTable(series),
      writeAt: (column) => writeSlice(slices.find(({ start }) => start === this.#time(column) - SLICE_SECONDS / 2)),
      latest: writeSlice(slices.at(-1)),
    });
    say(this.#parts.figure, countOf(series.length, "device"));
  }

  #showEach(given) {
    const { series, unit } = given;
    const last = series
      .map(({ device, points }) => ({ device, point: points.at(-1) }))
      .sort((one, other) => other.point[0] - one.point[0])[0];
    const write = (device, [time, value]) => `${clock(time)} · ${device} · ${number(value)} ${unit}`;
    this.#show({
      ...given,
      states: [],
      devices: series.map(({ device }) => device),
      zooms: false,
      columns: ofSamples(series),
      table: () => sampleTable(series),
      writeAt: (column, line) =>
        write(series[line - 1].device, [this.#time(column), this.#shown.columns[line][column]]),
      latest: write(last.device, last.point),
    });
    say(this.#parts.figure, series.length === 1 ? number(last.point[1]) : countOf(series.length, "device"));
  }

  repaint() {
    this.#chart.repaint();
  }

  remove() {
    this.#chart.remove();
    this.element.remove();
  }

  #show(shown) {
    this.#shown = shown;
    const { unit, drawing } = this.#parts;
    say(unit, shown.unit);
    drawing.setAttribute("aria-label", this.#describe(shown));
    this.#chart.draw(shown);
    if (!this.#pointed) say(this.#parts.readout, shown.latest);
    this.#explainLines(shown);
    this.#fill();
  }

  #describe({ from, to, states, columns }) {
    const marks = ["gap", "provisional"].flatMap((name) => {
      const found = states.filter(({ state }) => state === name).length;
      return found ? [countOf(found, `${name} stretch`).replace("stretchs", "stretches")] : [];
    });
    const values = countOf(columns[0].length, "moment");
    return [`Chart of ${this.#metric}, ${writeRange(from, to)}`, values, ...marks, "Arrow keys read values."].join(
      ", ",
    );
  }

  #explainLines({ devices }) {
    const { legend } = this.#parts;
    const names = devices ?? ["average", "median", "p95", "min to max"];
    const key = JSON.stringify(names);
    if (legend.dataset.key === key) return;
    legend.dataset.key = key;
    legend.replaceChildren(
      ...names.map((name, place) =>
        make("li", {}, make("i", { class: `key ${keyOf(devices, place)}`, "aria-hidden": "true" }), name),
      ),
    );
  }

  #point(places, line) {
    const { columns, devices, writeAt } = this.#shown;
    const nearest = line ?? (devices === null || devices.length === 1 ? 1 : null);
    const column = nearest === null ? null : places[nearest];
    const known = column !== null && column !== undefined && columns[0][column] !== undefined;
    this.#pointed = known;
    say(this.#parts.readout, known ? writeAt(column, nearest) : this.#shown.latest);
  }

  #time(column) {
    return this.#shown.columns[0][column];
  }

  #fill() {
    const { details, table } = this.#parts;
    if (!details.open || this.#shown === null) return;
    table.replaceChildren(
      writeTable(`${this.#metric}, ${writeRange(this.#shown.from, this.#shown.to)}`, this.#shown.table()),
    );
  }

  #save() {
    if (this.#shown !== null) download(`${this.#metric}.csv`, this.#shown.table());
  }
}

function keyOf(devices, place) {
  return devices === null ? ["average", "median", "p95", "range"][place] : `line-${place + 1}`;
}

function writeWindow(row, width, stateAt) {
  // Between two stretches there is a moment without a window.
  if (row === undefined) return "";
  const state = stateAt(row.start);
  const doubt = state && state.state !== "complete" ? [`${state.state}, ${explain(state.reason)}`] : [];
  return [
    width < HOUR ? hourAndMinute(row.start) : moment(row.start, width),
    `average ${number(row.avg)}`,
    `median ${number(row.p50)}`,
    `p95 ${number(row.p95)}`,
    `${number(row.min)} to ${number(row.max)}`,
    countOf(row.count, "sample"),
    ...doubt,
  ].join(" · ");
}

function writeSlice(slice) {
  if (slice === undefined) return "";
  return [
    clock(slice.start),
    `average ${number(slice.avg)}`,
    `median ${number(slice.p50)}`,
    `p95 ${number(slice.p95)}`,
    `least ${number(slice.min)} (${slice.lowest})`,
    `most ${number(slice.max)} (${slice.highest})`,
  ].join(" · ");
}

function windowTable(rows, stateAt) {
  return {
    columns: ["From (UTC)", "Samples", "Min", "Average", "Median", "p95", "Max", "State"],
    rows: rows.map((row) => {
      const state = stateAt(row.start);
      const said = state ? [state.state, explain(state.reason)].filter(Boolean).join(": ") : "";
      return [timeOf(row.start), row.count, row.min, row.avg, row.p50, row.p95, row.max, said];
    }),
  };
}

/** A time as tables and spreadsheets take it. */
function timeOf(seconds) {
  return writeTime(seconds).replace(".000Z", "Z");
}

function sampleTable(series) {
  const rows = series.flatMap(({ device, points }) => points.map(([time, value]) => [timeOf(time), device, value]));
  return { columns: ["Time (UTC)", "Device", "Value"], rows: rows.sort((one, other) => (one[0] < other[0] ? -1 : 1)) };
}
