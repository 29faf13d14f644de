// The slide while it is being ingested: its coarse levels, drawn as their tiles are staged.
import { call } from "../lib/api.js";
import { h } from "../lib/dom.js";

const MOST_TILES = 64; // of the finest level that is drawn
const AT_ONCE = 4;
const LONGEST = 512;

const NAMES = "qrts";

/** SlideAtlas' name of a tile: `t` and one letter a step down the quadtree. */
function tileName(steps, column, row) {
  let name = "t";
  for (let bit = steps - 1; bit >= 0; bit -= 1) name += NAMES[((column >> bit) & 1) + 2 * ((row >> bit) & 1)];
  return `${name}.jpg`;
}

export function preview() {
  const canvas = h("canvas", { class: "slide", role: "img", "aria-label": "Preview of the slide" });
  const note = h("figcaption", { class: "small quiet" });
  const element = h("figure", { class: "preview", hidden: true }, canvas, note);
  let known = new Map(); // level/column/row -> bitmap, or null while it is asked for
  let run = 0;
  let shape = null;

  function restart() {
    for (const bitmap of known.values()) bitmap?.close();
    known = new Map();
    run += 1;
    shape = null;
  }

  /** Draw what is staged of a job by now. */
  async function update(job, filled) {
    if (!job.slide || !filled?.levels?.length || job.hook !== "upload" || ["failed", "cancelled", "superseded"].includes(job.state)) {
      element.hidden = !known.size;
      return;
    }
    const levels = filled.levels.filter((level) => level.columns * level.rows <= MOST_TILES).slice(0, 4);
    if (!levels.length) return;
    if (!shape) size(job);
    element.hidden = false;
    const wanted = [];
    // The coarsest first: it shows the whole slide.
    for (const level of [...levels].reverse()) {
      level.cells.forEach((row, down) => [...row].forEach((mark, across) => {
        const key = `${level.level}/${across}/${down}`;
        if (mark === "9" && !known.has(key)) wanted.push([key, level.level, across, down]);
      }));
    }
    const total = levels.reduce((sum, level) => sum + level.columns * level.rows, 0);
    const mine = run;
    const fetchOne = async () => {
      for (let next = wanted.shift(); next && mine === run; next = wanted.shift()) {
        const [key, level, column, row] = next;
        known.set(key, null);
        try {
          const answer = await call(`/jobs/${job.id}/tiles/${tileName(filled.depth - 1 - level, column, row)}`);
          const bitmap = await createImageBitmap(await answer.blob());
          if (mine !== run) return bitmap.close();
          known.set(key, bitmap);
          paint();
        } catch (error) {
          if (mine === run) error.status === 404 ? known.delete(key) : known.set(key, null);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, fetchOne));
    const got = [...known.values()].filter(Boolean).length;
    const percent = Math.floor((100 * got) / Math.max(1, total));
    note.textContent = job.state === "done" ? "as readers see it" : got ? "as far as it is stored" : "nothing to see yet";
    canvas.setAttribute("aria-label", `Preview of the slide, ${percent} % of its coarse levels`);
  }

  function size(job) {
    const { width_px: width, height_px: height, tile_size_px: side } = job.slide;
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    [canvas.width, canvas.height] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    shape = { scale, side };
  }

  function paint() {
    const brush = canvas.getContext("2d");
    const drawn = [...known].filter(([, bitmap]) => bitmap).map(([key, bitmap]) => [key.split("/").map(Number), bitmap]);
    drawn.sort(([[one]], [[other]]) => other - one);
    for (const [[level, column, row], bitmap] of drawn) {
      const length = shape.side * 2 ** level * shape.scale;
      brush.drawImage(bitmap, column * length, row * length, length, length);
    }
  }

  return { element, update, restart };
}
