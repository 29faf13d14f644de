// The pyramid that fills up: each level as a grid of cells that colour in as their tiles arrive, and red marks where a
// tile is damaged.
import { h, show } from "../lib/dom.js";
import { number } from "../lib/format.js";

// Of the base, in CSS pixels: a cell has some, unless there are very many.
const NARROW = 184, WIDE = 340, CELL = 9;
const SMALLEST = 14;
const GAP_FROM = 5;
const STEPS = 9;

export function pyramid() {
  const element = h("div", { class: "map", role: "group", "aria-label": "Map of the levels" });
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  let last = null;
  scheme.addEventListener("change", () => last && update(...last));

  function update(job, filled) {
    last = [job, filled];
    const levels = filled?.levels?.length ? filled.levels : [];
    const base = levels[0] || { columns: 1, rows: 1, side: 1 };
    const longest = Math.max(base.columns, base.rows);
    const unit = Math.min(WIDE, Math.max(NARROW, (CELL * longest) / base.side)) / longest;
    show(element, levels.map((level) => figure(job, level, unit, (filled.bad_tiles || []).filter((tile) => tile.level === level.level))));
    const colours = palette();
    for (const [at, level] of levels.entries()) paint(element.children[at].querySelector("canvas"), level, colours);
  }

  function figure(job, level, unit, bad) {
    const width = Math.max(SMALLEST, level.columns * unit);
    const height = Math.max(SMALLEST, (width * level.rows) / level.columns);
    const planned = job.levels.find((each) => each.level === level.level);
    const total = planned ? planned.tiles : level.columns * level.rows;
    const share = total ? Math.floor((100 * level.tiles_done) / total) : 100;
    const label = `Level ${level.level}: ${number(level.tiles_done)} of ${number(total)} tiles, ${share} %${bad.length ? `, ${bad.length} damaged` : ""}`;
    return h("figure", { "data-key": `level ${level.level}` },
      h("div", { class: "grid", "data-width": width, "data-height": height },
        h("canvas", { role: "img", "aria-label": label, title: level.side > 1 ? `a cell is ${level.side} × ${level.side} tiles` : null }),
        bad.map((tile) => mark(tile, level))),
      h("figcaption", { class: "small quiet number" }, h("span", null, level.level), share < 100 && h("span", null, `${share} %`)));
  }

  function mark(tile, level) {
    const told = `Level ${tile.level}, column ${tile.column}, row ${tile.row}: ${tile.reason}`;
    return h("button", { type: "button", class: "mark", "data-key": `${tile.column} ${tile.row}`, "data-left": Math.floor(tile.column / level.side), "data-top": Math.floor(tile.row / level.side), "aria-label": `Damaged tile. ${told}` }, h("span", { class: "told small" }, told));
  }

  return { element, update };
}

/** Draw a level's cells, sharp on any screen, and put its marks where they belong. */
function paint(canvas, level, colours) {
  const box = canvas.parentElement;
  const [width, height] = [Number(box.dataset.width), Number(box.dataset.height)];
  box.style.width = `${width}px`;
  box.style.height = `${height}px`;
  const columns = level.cells[0]?.length || 1, rows = level.cells.length || 1;
  const ratio = Math.min(3, devicePixelRatio || 1);
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const brush = canvas.getContext("2d");
  const [across, down] = [canvas.width / columns, canvas.height / rows];
  const gap = across >= GAP_FROM * ratio && down >= GAP_FROM * ratio ? Math.max(1, Math.round(ratio)) : 0;
  for (let row = 0; row < rows; row += 1) {
    const [top, bottom] = [Math.round(row * down), Math.round((row + 1) * down) - gap];
    for (let column = 0; column < columns; column += 1) {
      const colour = colours[level.cells[row][column]];
      if (!colour) continue;
      const [left, right] = [Math.round(column * across), Math.round((column + 1) * across) - gap];
      brush.fillStyle = colour;
      brush.fillRect(left, top, right - left, bottom - top);
    }
  }
  for (const each of box.querySelectorAll(".mark")) {
    const [left, top] = [Number(each.dataset.left), Number(each.dataset.top)];
    Object.assign(each.style, { left: `${(100 * left) / columns}%`, top: `${(100 * top) / rows}%`, width: `${100 / columns}%`, height: `${100 / rows}%` });
    each.classList.toggle("right", left > columns / 2);
  }
}

/** Return the colour of each mark of a cell, from nothing to all, in the colours of the page. */
function palette() {
  const style = getComputedStyle(document.documentElement);
  const [from, to] = ["--line", "--accent"].map((name) => channels(style.getPropertyValue(name)));
  return Object.fromEntries(Array.from({ length: STEPS + 1 }, (_, step) => {
    const share = step === 0 ? 0 : step === STEPS ? 1 : 0.15 + (0.6 * step) / STEPS;
    return [String(step), `rgb(${from.map((value, at) => Math.round(value + (to[at] - value) * share)).join(" ")})`];
  }));
}

const channels = (hex) => hex.trim().match(/[0-9a-f]{2}/gi).slice(0, 3).map((pair) => parseInt(pair, 16));
