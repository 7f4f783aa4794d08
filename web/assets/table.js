// The numbers of a chart as a table, for readers who cannot see it or want to copy them.

import { find, make } from "./elements.js";
import { number } from "./format.js";

/** @typedef {{ columns: string[], rows: (string | number)[][] }} Table */

const MOST = 500;

/**
 * Write a table of the latest rows. The caption says how many are left out.
 * @param {string} caption
 * @param {Table} table
 */
export function writeTable(caption, { columns, rows }) {
  const shown = rows.slice(-MOST).reverse();
  const more = rows.length > shown.length ? `, the latest ${shown.length} of ${rows.length}` : "";
  const head = make("tr", {}, ...columns.map((name) => make("th", { scope: "col" }, name)));
  const body = shown.map((row) =>
    make(
      "tr",
      {},
      ...row.map((cell, place) => (place ? make("td", {}, text(cell)) : make("th", { scope: "row" }, text(cell)))),
    ),
  );
  return make(
    "table",
    {},
    make("caption", {}, `${caption}${more}`),
    make("thead", {}, head),
    make("tbody", {}, ...body),
  );
}

/** @param {string | number} cell */
function text(cell) {
  return typeof cell === "number" ? number(cell) : cell;
}

/**
 * Offer rows as a file.
 * @param {string} name
 * @param {Table} table
 */
export function download(name, { columns, rows }) {
  const lines = [columns, ...rows].map((row) => `${row.map(writeCell).join(",")}\r\n`);
  const url = URL.createObjectURL(new Blob(lines, { type: "text/csv" }));
  const link = make("a", { href: url, download: name, hidden: true });
  find("dashboard").append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/**
 * A cell as a spreadsheet takes it: a text that looks like a formula stays a text.
 * @param {string | number} cell
 */
export function writeCell(cell) {
  if (typeof cell === "number") return String(cell);
  const harmless = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return `"${harmless.replaceAll('"', '""')}"`;
}
