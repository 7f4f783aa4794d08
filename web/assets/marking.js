// Incidents on a chart: a band while one was open, with a bar below it, and a line at each limit of its rule.

import { colour } from "./theme.js";

/**
 * @import { Limit, Mark } from "./marks.js"
 * @import { Usual } from "./usual.js"
 */

const BAR = 5;
const NARROWEST = 3;
/** @type {Record<Mark["severity"], string>} */
const COLOURS = { critical: "late", warning: "slow", info: "line-2" };

/**
 * Draw what is usual in each hour, below everything else.
 * @param {uPlot} plot
 * @param {Usual[]} usual
 */
export function paintUsual(plot, usual) {
  if (usual.length === 0) return;
  const { ctx: context } = plot;
  const { left, top, width, height } = plot.bbox;
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.fillStyle = colour("usual");
  for (const { from, to, low, high } of usual) {
    const [first, last] = [plot.valToPos(from, "x", true), plot.valToPos(to, "x", true)];
    const [upper, lower] = [plot.valToPos(high, "y", true), plot.valToPos(low, "y", true)];
    context.fillRect(first, upper, last - first, Math.max(lower - upper, devicePixelRatio));
  }
  context.restore();
}

/**
 * Draw when incidents were open, below the lines.
 * @param {uPlot} plot
 * @param {Mark[]} marks
 */
export function paintMarks(plot, marks) {
  const { ctx: context } = plot;
  const { top, height } = plot.bbox;
  const bar = BAR * devicePixelRatio;
  context.save();
  // The newest comes first; it is drawn last, above the older ones.
  for (const { severity, left, right } of placed(plot, marks).reverse()) {
    context.fillStyle = colour(COLOURS[severity]);
    context.globalAlpha = 0.1;
    context.fillRect(left, top, right - left, height);
    context.globalAlpha = 1;
    context.fillRect(left, top + height - bar, right - left, bar);
  }
  context.restore();
}

/**
 * Name the incidents above their bars, and above the grid.
 * @param {uPlot} plot
 * @param {Mark[]} marks
 */
export function nameMarks(plot, marks) {
  const { ctx: context } = plot;
  const bottom = plot.bbox.top + plot.bbox.height - BAR * devicePixelRatio;
  context.save();
  for (const { severity, state, left, right } of placed(plot, marks)) {
    context.fillStyle = colour(COLOURS[severity]);
    write(context, `${severity}, ${state}`, left + 3 * devicePixelRatio, bottom, right - left);
  }
  context.restore();
}

/**
 * Where marks lie on a chart, without those that lie beside it.
 * @param {uPlot} plot
 * @param {Mark[]} marks
 */
function placed(plot, marks) {
  const { left: first, width } = plot.bbox;
  return marks
    .map((mark) => {
      const left = Math.max(first, plot.valToPos(mark.from, "x", true));
      const end = mark.to === Infinity ? first + width : plot.valToPos(mark.to, "x", true);
      const right = Math.min(first + width, Math.max(end, left + NARROWEST * devicePixelRatio));
      return { ...mark, left, right };
    })
    .filter(({ left, right }) => left < right);
}

/**
 * Draw the limits of rules, above the lines.
 * @param {uPlot} plot
 * @param {Limit[]} limits
 */
export function paintLimits(plot, limits) {
  const { ctx: context } = plot;
  const { left, top, width, height } = plot.bbox;
  context.save();
  for (const { value, opens, text } of limits) {
    const y = plot.valToPos(value, "y", true);
    if (y < top || y > top + height) continue;
    context.strokeStyle = colour(opens ? "late" : "muted");
    context.lineWidth = (opens ? 1.5 : 1) * devicePixelRatio;
    context.setLineDash((opens ? [10, 5] : [2, 5]).map((length) => length * devicePixelRatio));
    context.beginPath();
    context.moveTo(left, y);
    context.lineTo(left + width, y);
    context.stroke();
    context.fillStyle = context.strokeStyle;
    // Above its line, or below it at the top edge.
    const room = y - top > 16 * devicePixelRatio;
    write(context, text, left + 4 * devicePixelRatio, room ? y - 1 : y + 16 * devicePixelRatio, width);
  }
  context.restore();
}

/**
 * Write a text above a height, if there is room for it.
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} x
 * @param {number} bottom
 * @param {number} room
 */
function write(context, text, x, bottom, room) {
  context.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  if (context.measureText(text).width + 6 * devicePixelRatio > room) return;
  context.textBaseline = "bottom";
  context.textAlign = "left";
  context.fillText(text, x, bottom - devicePixelRatio);
}

/**
 * The bounds of an axis that also hold other values, but for those that are far away: they would flatten the lines.
 * @param {number | null} least
 * @param {number | null} most
 * @param {number[]} values
 * @returns {[number | null, number | null]}
 */
export function reach(least, most, values) {
  if (least === null || most === null) return [least, most];
  const far = Math.max(most - least, Math.abs(most) * 0.25);
  const near = values.filter((value) => value >= least - far && value <= most + far);
  return [Math.min(least, ...near), Math.max(most, ...near)];
}
