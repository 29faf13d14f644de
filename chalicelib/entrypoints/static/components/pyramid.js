// Progress map of a job: each level as a grid of cells, coloured by the share of stored tiles, with marks for damaged
// tiles.
import { h, render } from "../lib/dom.js";
import { number, percent } from "../lib/format.js";

// Width of the base level, in CSS pixels. It grows with the number of cells.
const NARROWEST_PX = 184, WIDEST_PX = 340, CELL_PX = 9;
const SMALLEST_LEVEL_PX = 14;
// Smaller cells have no gap between them.
const SMALLEST_CELL_WITH_GAP_PX = 5;
const STEPS = 9;

export function createPyramid() {
  const element = h("div", { class: "map", role: "group", "aria-label": "Progress map by level" });
  let last = null;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => last && update(...last));

  function update(job, progressMap) {
    last = [job, progressMap];
    const levels = progressMap?.levels?.length ? progressMap.levels : [];
    const base = levels[0] || { columns: 1, rows: 1, side: 1 };
    const longest = Math.max(base.columns, base.rows);
    const tilePx = Math.min(WIDEST_PX, Math.max(NARROWEST_PX, (CELL_PX * longest) / base.side)) / longest;
    const badTiles = progressMap?.bad_tiles || [];
    render(element, levels.map((level) =>
      levelFigure(job, level, tilePx, badTiles.filter((tile) => tile.level === level.level))));
    const colours = cellColours();
    for (const [index, level] of levels.entries()) paint(element.children[index].querySelector("canvas"), level, colours);
  }

  return { element, update };
}

function levelFigure(job, level, tilePx, badTiles) {
  const width = Math.max(SMALLEST_LEVEL_PX, level.columns * tilePx);
  const height = Math.max(SMALLEST_LEVEL_PX, (width * level.rows) / level.columns);
  const planned = job.levels.find((each) => each.level === level.level);
  const total = planned ? planned.tiles : level.columns * level.rows;
  const share = total ? percent(level.tiles_done, total) : 100;
  const damaged = badTiles.length ? `, ${badTiles.length} damaged` : "";
  const cellSize = level.side > 1 ? `One cell: ${level.side} × ${level.side} tiles` : null;
  const label = `Level ${level.level}: ${number(level.tiles_done)} of ${number(total)} tiles, ${share} %${damaged}`;
  return h("figure", { "data-key": `level ${level.level}` },
    h("div", { class: "grid", "data-width": width, "data-height": height },
      h("canvas", { role: "img", "aria-label": label, title: cellSize }),
      badTiles.map((tile) => badTileMark(tile, level))),
    h("figcaption", { class: "small muted number" },
      h("span", null, level.level), share < 100 && h("span", null, `${share} %`)));
}

function badTileMark(tile, level) {
  const text = `Level ${tile.level}, column ${tile.column}, row ${tile.row}: ${tile.reason}`;
  return h("button", {
    type: "button", class: "mark", "data-key": `${tile.column} ${tile.row}`, "aria-label": `Damaged tile. ${text}`,
    "data-left": Math.floor(tile.column / level.side), "data-top": Math.floor(tile.row / level.side),
  }, h("span", { class: "tooltip small" }, text));
}

/** Draw the cells of a level in device pixels, and position its marks. */
function paint(canvas, level, colours) {
  const grid = canvas.parentElement;
  const [width, height] = [Number(grid.dataset.width), Number(grid.dataset.height)];
  grid.style.width = `${width}px`;
  grid.style.height = `${height}px`;
  const columns = level.cells[0]?.length || 1, rows = level.cells.length || 1;
  const ratio = Math.min(3, devicePixelRatio || 1);
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = canvas.getContext("2d");
  const [cellWidth, cellHeight] = [canvas.width / columns, canvas.height / rows];
  const hasGap = Math.min(cellWidth, cellHeight) >= SMALLEST_CELL_WITH_GAP_PX * ratio;
  const gap = hasGap ? Math.max(1, Math.round(ratio)) : 0;
  for (let row = 0; row < rows; row += 1) {
    const [top, bottom] = [Math.round(row * cellHeight), Math.round((row + 1) * cellHeight) - gap];
    for (let column = 0; column < columns; column += 1) {
      const colour = colours[level.cells[row][column]];
      if (!colour) continue;
      const [left, right] = [Math.round(column * cellWidth), Math.round((column + 1) * cellWidth) - gap];
      context.fillStyle = colour;
      context.fillRect(left, top, right - left, bottom - top);
    }
  }
  for (const mark of grid.querySelectorAll(".mark")) {
    const [left, top] = [Number(mark.dataset.left), Number(mark.dataset.top)];
    const [widthShare, heightShare] = [100 / columns, 100 / rows];
    Object.assign(mark.style, {
      left: `${left * widthShare}%`, top: `${top * heightShare}%`, width: `${widthShare}%`, height: `${heightShare}%`,
    });
    mark.classList.toggle("right", left > columns / 2);
  }
}

/** Return the colour of each mark of a cell, from no tiles (0) to all tiles (9), between two colours of the page. */
function cellColours() {
  const style = getComputedStyle(document.documentElement);
  const [from, to] = ["--line", "--accent"].map((name) => colourChannels(style.getPropertyValue(name)));
  return Object.fromEntries(Array.from({ length: STEPS + 1 }, (_, step) => {
    const share = step === 0 ? 0 : step === STEPS ? 1 : 0.15 + (0.6 * step) / STEPS;
    const channels = from.map((value, index) => Math.round(value + (to[index] - value) * share));
    return [String(step), `rgb(${channels.join(" ")})`];
  }));
}

const colourChannels = (hex) => hex.trim().match(/[0-9a-f]{2}/gi).slice(0, 3).map((pair) => parseInt(pair, 16));
