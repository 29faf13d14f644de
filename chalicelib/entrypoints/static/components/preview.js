// Preview of a slide during ingestion: its coarse levels, drawn from the staged tiles.
import { request } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { percent } from "../lib/format.js";

const MOST_TILES = 64; // of a level that is drawn
const MOST_LEVELS = 4;
const PARALLEL_REQUESTS = 4;
const LONGEST_SIDE_PX = 512;
// The mark of a cell whose tiles are all stored.
const COMPLETE = "9";
const QUADRANTS = "qrts";
const WITHOUT_PREVIEW = ["failed", "cancelled", "superseded"];

/** Return SlideAtlas' name of a tile: `t`, and one letter for each step down the quadtree. */
function tileName(steps, column, row) {
  let name = "t";
  for (let bit = steps - 1; bit >= 0; bit -= 1) name += QUADRANTS[((column >> bit) & 1) + 2 * ((row >> bit) & 1)];
  return `${name}.jpg`;
}

export function createPreview() {
  const canvas = h("canvas", { class: "slide", role: "img", "aria-label": "Slide preview" });
  const caption = h("figcaption", { class: "small muted" });
  const element = h("figure", { class: "preview", hidden: true }, canvas, caption);
  let bitmaps = new Map(); // level/column/row -> bitmap, null while it is requested
  let generation = 0;
  let layout = null;

  /** Discard the tiles of an earlier attempt. */
  function restart() {
    for (const bitmap of bitmaps.values()) bitmap?.close();
    bitmaps = new Map();
    generation += 1;
    layout = null;
  }

  /** Draw the staged tiles of a job. */
  async function update(job, progressMap) {
    if (!job.slide || !progressMap?.levels?.length || job.hook !== "upload" || WITHOUT_PREVIEW.includes(job.state)) {
      element.hidden = !bitmaps.size;
      return;
    }
    const levels = progressMap.levels.filter((level) => level.columns * level.rows <= MOST_TILES).slice(0, MOST_LEVELS);
    if (!levels.length) return;
    if (!layout) resize(job);
    element.hidden = false;
    await loadTiles(job, progressMap.depth, newTiles(levels));
    const loaded = [...bitmaps.values()].filter(Boolean).length;
    const total = levels.reduce((sum, level) => sum + level.columns * level.rows, 0);
    caption.textContent = job.state === "done" ? "Published slide" : loaded ? "Stored tiles" : "No tiles yet";
    canvas.setAttribute("aria-label", `Slide preview, ${percent(loaded, total)} % of the coarse levels`);
  }

  /** Return the stored tiles that are not requested yet. The coarsest level comes first: it shows the whole slide. */
  function newTiles(levels) {
    const tiles = [];
    for (const level of [...levels].reverse()) {
      level.cells.forEach((cells, row) => [...cells].forEach((mark, column) => {
        const key = `${level.level}/${column}/${row}`;
        if (mark === COMPLETE && !bitmaps.has(key)) tiles.push({ key, level: level.level, column, row });
      }));
    }
    return tiles;
  }

  async function loadTiles(job, depth, tiles) {
    const current = generation;
    const loadNext = async () => {
      for (let tile = tiles.shift(); tile && current === generation; tile = tiles.shift()) {
        bitmaps.set(tile.key, null);
        try {
          const name = tileName(depth - 1 - tile.level, tile.column, tile.row);
          const response = await request(`/jobs/${job.id}/tiles/${name}`);
          const bitmap = await createImageBitmap(await response.blob());
          if (current !== generation) return bitmap.close();
          bitmaps.set(tile.key, bitmap);
          paint();
        } catch (error) {
          // 404: the tile is not readable yet. Other errors are not retried.
          if (current === generation && error.status === 404) bitmaps.delete(tile.key);
        }
      }
    };
    await Promise.all(Array.from({ length: PARALLEL_REQUESTS }, loadNext));
  }

  function resize(job) {
    const { width_px: width, height_px: height, tile_size_px: tileSize } = job.slide;
    const scale = Math.min(1, LONGEST_SIDE_PX / Math.max(width, height));
    [canvas.width, canvas.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    layout = { scale, tileSize };
  }

  function paint() {
    const context = canvas.getContext("2d");
    const loaded = [...bitmaps].filter(([, bitmap]) => bitmap).map(([key, bitmap]) => [key.split("/").map(Number), bitmap]);
    loaded.sort(([[one]], [[other]]) => other - one);
    for (const [[level, column, row], bitmap] of loaded) {
      const side = layout.tileSize * 2 ** level * layout.scale;
      context.drawImage(bitmap, column * side, row * side, side, side);
    }
  }

  return { element, update, restart };
}
