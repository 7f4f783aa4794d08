// One metric drawn: lines and bands, the marks behind them, a line of text for what the cursor is at.

import { dateAndTime, tick } from "./format.js";
import { nameMarks, paintLimits, paintMarks, paintUsual, reach } from "./marking.js";
import { shade } from "./shading.js";
import { colour } from "./theme.js";

/**
 * @import { Columns } from "./columns.js"
 * @import { Marking } from "./marks.js"
 * @import { Usual } from "./usual.js"
 * @import { Stretch } from "./windows.js"
 *
 * @typedef {object} Picture
 * @property {Columns} columns
 * @property {string[] | null} devices a line for each; null for windows
 * @property {number} from
 * @property {number} to
 * @property {Stretch[]} states
 * @property {boolean} zooms
 * @property {Marking} marking the incidents
 * @property {Usual[]} usual
 *
 * @typedef {object} Line
 * @property {string} name
 * @property {string} stroke
 * @property {number} width
 * @property {number[]} [dash]
 * @property {boolean} [points]
 *
 * @typedef {(from: number, to: number) => void} OnZoom
 * @typedef {(places: (number | null)[], line: number | null) => void} OnCursor
 */

const HEIGHT = 220;
const NEAR = 24;

/**
 * How the lines look: of one entity's windows, or one line for each device.
 * @type {Line[]}
 */
const WINDOW_LINES = [
  { name: "max", stroke: "edge", width: 1 },
  { name: "min", stroke: "edge", width: 1 },
  { name: "p95", stroke: "line-3", width: 1.5, dash: [6, 4] },
  { name: "median", stroke: "line-2", width: 1.5, dash: [2, 3] },
  { name: "average", stroke: "line-1", width: 2 },
];

/** @type {Record<string, number>} */
const STEPS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

/** @type {Picture} */
const EMPTY = {
  columns: [[]],
  devices: null,
  from: 0,
  to: 0,
  states: [],
  zooms: false,
  marking: { marks: [], limits: [], texts: [] },
  usual: [],
};

/**
 * @param {string[]} devices
 * @returns {Line[]}
 */
function deviceLines(devices) {
  // Each sample is marked where there is room for it.
  const points = devices.length === 1;
  return devices.map((name, place) => ({ name, stroke: `line-${place + 1}`, width: 1.75, points }));
}

export class Chart {
  #place;
  #onZoom;
  #onCursor;
  /** @type {uPlot | null} */
  #plot = null;
  #drawn = ""; // what the plot was made for; anything else needs a new plot
  #picture = EMPTY;

  /**
   * @param {HTMLElement} place
   * @param {{ onZoom: OnZoom, onCursor: OnCursor }} listeners
   */
  constructor(place, { onZoom, onCursor }) {
    this.#place = place;
    this.#onZoom = onZoom;
    this.#onCursor = onCursor;
    new ResizeObserver(() => this.#fit()).observe(place);
    place.addEventListener("keydown", (event) => this.#press(event));
  }

  /** @param {Picture} picture */
  draw(picture) {
    this.#picture = picture;
    const shape = JSON.stringify([picture.devices, picture.zooms, picture.columns[0].length > this.#place.clientWidth]);
    if (this.#plot === null || this.#drawn !== shape) {
      this.#drawn = shape;
      this.#make();
    } else {
      this.#plot.setData(picture.columns);
    }
  }

  /** Redraw in the current colours. */
  repaint() {
    if (this.#plot !== null) this.#make();
  }

  /** Forget the drawing and what it listens to. */
  remove() {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #make() {
    this.#plot?.destroy();
    this.#plot = new uPlot(this.#options(), this.#picture.columns, this.#place);
  }

  /** @returns {uPlot.Options} */
  #options() {
    const { devices, zooms, columns } = this.#picture;
    const dense = columns[0].length > this.#place.clientWidth;
    const lines = devices === null ? WINDOW_LINES : deviceLines(devices);
    const axis = {
      stroke: colour("muted"),
      font: "12px system-ui, sans-serif",
      ticks: { stroke: colour("grid"), size: 4 },
      grid: { stroke: colour("grid"), width: 1 },
    };
    return {
      width: Math.max(200, this.#place.clientWidth),
      height: HEIGHT,
      padding: [10, 24, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: {
        x: { time: true, range: () => [this.#picture.from, this.#picture.to] },
        y: { range: (_plot, least, most) => padded(...reach(least, most, this.#landmarks())) },
      },
      axes: [
        {
          ...axis,
          space: 64,
          size: 34,
          values: (_plot, splits, _axis, _space, step) => splits.map((seconds) => tick(seconds, step)),
        },
        { ...axis, size: 56 },
      ],
      series: [{}, ...lines.map((line) => this.#line(line, dense))],
      bands: devices === null ? [{ series: [1, 2], fill: colour("band") }] : [],
      cursor: {
        y: false,
        drag: { x: zooms, y: false, setScale: false },
        focus: { prox: devices === null ? -1 : NEAR },
        points: { size: 7 },
      },
      focus: { alpha: 0.35 },
      hooks: {
        drawClear: [
          (plot) => shade(plot, this.#picture.states),
          (plot) => paintUsual(plot, this.#picture.usual),
          (plot) => paintMarks(plot, this.#picture.marking.marks),
        ],
        draw: [
          (plot) => nameMarks(plot, this.#picture.marking.marks),
          (plot) => paintLimits(plot, this.#picture.marking.limits),
        ],
        setSelect: [(plot) => this.#select(plot)],
        setCursor: [(plot) => this.#onCursor(plot.cursor.idxs ?? [], focused(plot))],
        setSeries: [(plot) => this.#onCursor(plot.cursor.idxs ?? [], focused(plot))],
      },
    };
  }

  /**
   * @param {Line} line
   * @param {boolean} dense
   * @returns {uPlot.Series}
   */
  #line({ name, stroke, width, dash = [], points = false }, dense) {
    return {
      label: name,
      stroke: colour(stroke),
      // With more values than pixels, dashes are not visible and thick lines hide each other.
      width: dense ? 1 : width,
      dash: dense ? [] : dash,
      // By default, the library marks single values between two gaps, which make no line.
      points: points ? { show: true, size: 4 } : { size: 4 },
      spanGaps: false,
    };
  }

  /** What is drawn beside the values, and may lie beyond them. */
  #landmarks() {
    const { marking, usual } = this.#picture;
    return [...marking.limits.map(({ value }) => value), ...usual.flatMap(({ low, high }) => [low, high])];
  }

  /** @param {uPlot} plot */
  #select(plot) {
    const { left, width } = plot.select;
    if (width < 6) return;
    const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#onZoom(from, to);
  }

  #fit() {
    const width = this.#place.clientWidth;
    if (this.#plot !== null && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT });
  }

  /**
   * The arrow keys lead along the line, as the mouse does.
   * @param {KeyboardEvent} event
   */
  #press(event) {
    const step = STEPS[event.key];
    if (this.#plot === null || step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [times] = this.#picture.columns;
    const at = this.#plot.cursor.idx ?? times.length;
    const time = times[Math.min(times.length - 1, Math.max(0, at + step))];
    if (time === undefined) return;
    const left = this.#plot.valToPos(time, "x");
    this.#plot.setCursor({ left, top: this.#plot.over.clientHeight / 2 });
  }
}

/**
 * Which line is nearest to the cursor; null where there is none.
 * @param {uPlot} plot
 */
function focused(plot) {
  /** @type {(uPlot.Series & { _focus?: boolean | null })[]} */
  const lines = plot.series; // the library marks the line in focus, and its types do not say so
  const place = lines.findIndex((line, index) => index > 0 && line._focus === true);
  return place > 0 && lines.some((line, index) => index > 0 && line._focus === false) ? place : null;
}

/**
 * A little room above and below; a level line stands in the middle.
 * @param {number | null} least
 * @param {number | null} most
 * @returns {uPlot.Range.MinMax}
 */
function padded(least, most) {
  if (least === null || most === null) return [0, 1];
  if (least === most) return [least - Math.max(1, Math.abs(least) * 0.05), most + Math.max(1, Math.abs(most) * 0.05)];
  return uPlot.rangeNum(least, most, 0.1, false);
}

/**
 * The text of a range, for captions.
 * @param {number} from
 * @param {number} to
 */
export function writeRange(from, to) {
  return `${dateAndTime(from)} to ${dateAndTime(to)} UTC`;
}
