// One metric's card: its heading, its chart, what the cursor is at, and the same as a table.

import { Chart, writeRange } from "./chart.js";
import { ofSamples, ofWindows } from "./columns.js";
import { make, say } from "./elements.js";
import { clock, countOf, HOUR, hourAndMinute, moment, number, writeTime } from "./format.js";
import { explain } from "./reasons.js";
import { MOST_LINES, ofDevices, SLICE_SECONDS } from "./slices.js";
import { download, writeTable } from "./table.js";
import { DEVIATIONS } from "./usual.js";

/**
 * @import { Columns } from "./columns.js"
 * @import { OnCursor, OnZoom, Picture } from "./chart.js"
 * @import { Marking } from "./marks.js"
 * @import { Series } from "./samples.js"
 * @import { Slice } from "./slices.js"
 * @import { Table } from "./table.js"
 * @import { Usual } from "./usual.js"
 * @import { Row, Stretch, Windows } from "./windows.js"
 *
 * @typedef {{ unit: string, from: number, to: number, marking: Marking, usual: Usual[] }} Given
 * @typedef {Given & { series: Series[] }} GivenSamples
 * @typedef {Windows["stateAt"]} StateAt
 *
 * @typedef {object} GivenRows
 * @property {Row[]} rows
 * @property {number} width
 * @property {Stretch[]} states
 * @property {StateAt} stateAt
 * @typedef {Given & GivenRows} GivenWindows
 *
 * @typedef {object} Texts
 * @property {string} unit
 * @property {() => Table} table
 * @property {(column: number, line: number) => string} writeAt what is at a place of the columns
 * @property {string} latest
 * @typedef {Picture & Texts} Shown
 */

export class Panel {
  #metric;
  #chart;
  /** @type {Shown | null} */
  #shown = null;
  #pointed = false; // whether the cursor is at something
  #parts;
  element;

  /**
   * @param {string} metric
   * @param {{ onZoom: OnZoom }} listeners
   */
  constructor(metric, { onZoom }) {
    this.#metric = metric;
    const id = `panel-${crypto.randomUUID()}`;
    const save = make("button", { type: "button", class: "quiet" }, "Download CSV");
    const table = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${metric} as a table` });
    this.#parts = {
      unit: make("span", { class: "unit" }),
      figure: make("p", { class: "latest" }),
      drawing: make("div", { class: "drawing", tabindex: "0", role: "group" }),
      readout: make("output", { class: "readout" }),
      legend: make("ul", { class: "legend" }),
      marks: make("ul", { class: "marks" }),
      details: make("details", {}, make("summary", {}, "As a table"), save, table),
      table,
    };
    const { unit, figure, drawing, readout, legend, marks, details } = this.#parts;
    details.addEventListener("toggle", () => this.#fill());
    save.addEventListener("click", () => this.#save());
    const title = make("h3", { id }, metric, " ", unit);
    this.element = make(
      "section",
      { class: "card panel", "aria-labelledby": id },
      make("div", { class: "heading" }, title, figure),
      drawing,
      readout,
      legend,
      marks,
      details,
    );
    this.#chart = new Chart(drawing, { onZoom, onCursor: (places, line) => this.#point(places, line) });
  }

  /** @param {GivenWindows} given */
  showWindows(given) {
    const { rows, width, stateAt } = given;
    const last = rows.at(-1);
    const columns = ofWindows(rows, width);
    this.#show({
      ...given,
      columns,
      devices: null,
      zooms: true,
      table: () => windowTable(rows, stateAt),
      writeAt: (column) => writeWindow(startingAt(rows, columns, column, width), width, stateAt),
      latest: writeWindow(last, width, stateAt),
    });
    say(this.#parts.figure, last ? number(last.avg) : "");
  }

  /** @param {GivenSamples} given */
  showSamples(given) {
    if (given.series.length > MOST_LINES) this.#showMany(given);
    else this.#showEach(given);
  }

  /** @param {GivenSamples} given */
  #showMany(given) {
    const { series } = given;
    const slices = ofDevices(series);
    const columns = ofWindows(slices, SLICE_SECONDS);
    this.#show({
      ...given,
      columns,
      states: [],
      devices: null,
      zooms: false,
      table: () => sampleTable(series),
      writeAt: (column) => writeSlice(startingAt(slices, columns, column, SLICE_SECONDS)),
      latest: writeSlice(slices.at(-1)),
    });
    say(this.#parts.figure, countOf(series.length, "device"));
  }

  /** @param {GivenSamples} given */
  #showEach(given) {
    const { series, unit } = given;
    const columns = ofSamples(series);
    const devices = series.map(({ device }) => device);
    const [last] = series
      .flatMap(({ device, points }) => points.slice(-1).map(([time, value]) => ({ device, time, value })))
      .sort((one, other) => other.time - one.time);
    this.#show({
      ...given,
      columns,
      devices,
      states: [],
      zooms: false,
      table: () => sampleTable(series),
      writeAt: (column, line) => writeSample(columns[0][column], devices[line - 1], columns[line]?.[column], unit),
      latest: writeSample(last?.time, last?.device, last?.value, unit),
    });
    say(this.#parts.figure, series.length === 1 ? number(last?.value ?? null) : countOf(series.length, "device"));
  }

  repaint() {
    this.#chart.repaint();
  }

  remove() {
    this.#chart.remove();
    this.element.remove();
  }

  /** @param {Shown} shown */
  #show(shown) {
    this.#shown = shown;
    const { unit, drawing } = this.#parts;
    say(unit, shown.unit);
    drawing.setAttribute("aria-label", this.#describe(shown));
    this.#chart.draw(shown);
    if (!this.#pointed) say(this.#parts.readout, shown.latest);
    this.#explainLines(shown);
    this.#explainMarks(shown);
    this.#fill();
  }

  /** @param {Picture} picture */
  #describe({ from, to, states, columns, marking }) {
    const marks = ["gap", "provisional"].flatMap((name) => {
      const found = states.filter(({ state }) => state === name).length;
      return found ? [countOf(found, `${name} stretch`).replace("stretchs", "stretches")] : [];
    });
    if (marking.marks.length > 0) marks.push(countOf(marking.marks.length, "incident"));
    const values = countOf(columns[0].length, "moment");
    return [`Chart of ${this.#metric}, ${writeRange(from, to)}`, values, ...marks, "Arrow keys read values."].join(
      ", ",
    );
  }

  /** @param {Picture} picture */
  #explainLines({ devices, usual }) {
    const { legend } = this.#parts;
    const names = devices ?? ["average", "median", "p95", "min to max"];
    const key = JSON.stringify([names, usual.length > 0]);
    if (legend.dataset.key === key) return;
    legend.dataset.key = key;
    legend.replaceChildren(
      ...names.map((name, place) =>
        make("li", {}, make("i", { class: `key ${keyOf(devices, place)}`, "aria-hidden": "true" }), name),
      ),
    );
    if (usual.length === 0) return;
    const text = `usual at this hour (mean ± ${DEVIATIONS} deviations)`;
    legend.append(make("li", {}, make("i", { class: "key usual", "aria-hidden": "true" }), text));
  }

  /** @param {Picture} picture */
  #explainMarks({ marking: { texts } }) {
    const { marks } = this.#parts;
    const key = JSON.stringify(texts);
    if (marks.dataset.key === key) return;
    marks.dataset.key = key;
    marks.replaceChildren(...texts.map(({ text, kind }) => make("li", { class: kind }, text)));
  }

  /** @type {OnCursor} */
  #point(places, line) {
    if (this.#shown === null) return;
    const { columns, devices, writeAt } = this.#shown;
    const nearest = line ?? (devices === null || devices.length === 1 ? 1 : null);
    const column = nearest === null ? null : (places[nearest] ?? null);
    const pointed = nearest !== null && column !== null && columns[0][column] !== undefined;
    this.#pointed = pointed;
    say(this.#parts.readout, pointed ? writeAt(column, nearest) : this.#shown.latest);
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

/**
 * @param {string[] | null} devices
 * @param {number} place
 */
function keyOf(devices, place) {
  return devices === null ? ["average", "median", "p95", "range"][place] : `line-${place + 1}`;
}

/**
 * The row that is drawn at a place of the columns: in its middle.
 * @template {{ start: number }} Kind
 * @param {Kind[]} rows
 * @param {Columns} columns
 * @param {number} column
 * @param {number} width
 */
function startingAt(rows, columns, column, width) {
  return rows.find(({ start }) => start + width / 2 === columns[0][column]);
}

/**
 * @param {number | undefined} time
 * @param {string | undefined} device
 * @param {number | null | undefined} value
 * @param {string} unit
 */
function writeSample(time, device, value, unit) {
  if (time === undefined || device === undefined) return "";
  return `${clock(time)} · ${device} · ${number(value ?? null)} ${unit}`;
}

/**
 * @param {Row | undefined} row
 * @param {number} width
 * @param {StateAt} stateAt
 */
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

/** @param {Slice | undefined} slice */
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

/**
 * @param {Row[]} rows
 * @param {StateAt} stateAt
 * @returns {Table}
 */
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

/**
 * A time as tables and spreadsheets take it.
 * @param {number} seconds
 */
function timeOf(seconds) {
  return writeTime(seconds).replace(".000Z", "Z");
}

/**
 * @param {Series[]} series
 * @returns {Table}
 */
function sampleTable(series) {
  const samples = series.flatMap(({ device, points }) => points.map(([time, value]) => ({ time, device, value })));
  const rows = samples.sort((one, other) => one.time - other.time);
  return {
    columns: ["Time (UTC)", "Device", "Value"],
    rows: rows.map(({ time, device, value }) => [timeOf(time), device, value]),
  };
}
