// Marks on a chart where its numbers are provisional or missing, so that readers do not take them for final.

import { explain } from "./reasons.js";
import { colour } from "./theme.js";

/** @import { Stretch } from "./windows.js" */

const STRIPE = 8;
const NARROWEST = 3;

/**
 * Draw the stretches that are not complete, below the lines.
 * @param {uPlot} plot
 * @param {Stretch[]} states
 */
export function shade(plot, states) {
  const { ctx: context, bbox } = plot;
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  for (const { from, to, state, reason } of states) {
    if (state === "complete") continue;
    const left = Math.max(bbox.left, plot.valToPos(from, "x", true));
    // Minutes in a month are narrower than a pixel, and must still be visible.
    const right = Math.min(
      bbox.left + bbox.width,
      Math.max(plot.valToPos(to, "x", true), left + NARROWEST * devicePixelRatio),
    );
    if (right > left) paint(context, bbox, left, right, state, explain(reason));
  }
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{ top: number, height: number }} box
 * @param {number} left
 * @param {number} right
 * @param {"provisional" | "gap"} state
 * @param {string} text
 */
function paint(context, { top, height }, left, right, state, text) {
  context.fillStyle = colour(`${state}-wash`);
  context.fillRect(left, top, right - left, height);
  // Stripes too: not every reader can distinguish the colours.
  context.save();
  context.beginPath();
  context.rect(left, top, right - left, height);
  context.clip();
  context.strokeStyle = colour(`${state}-stripe`);
  context.lineWidth = devicePixelRatio;
  const gap = STRIPE * devicePixelRatio * (state === "gap" ? 1 : 2);
  const lean = state === "gap" ? -height : height;
  context.beginPath();
  for (let x = left - height; x < right + height; x += gap) {
    context.moveTo(x, top + height);
    context.lineTo(x + lean, top);
  }
  context.stroke();
  context.restore();
  context.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
  const label = [`${state}: ${text}`, state].find(
    (one) => context.measureText(one).width + 12 * devicePixelRatio < right - left,
  );
  if (label === undefined) return;
  context.fillStyle = colour("surface");
  context.fillRect(left + 2, top + 2, context.measureText(label).width + 8 * devicePixelRatio, 16 * devicePixelRatio);
  context.fillStyle = colour(`${state}-text`);
  context.textBaseline = "top";
  context.textAlign = "left";
  context.fillText(label, left + 2 + 4 * devicePixelRatio, top + 2 + 3 * devicePixelRatio);
}
