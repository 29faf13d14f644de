// Sections of the job page: progress, pyramid and verification.
import { pageUrl } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, count, dollars, number, percent, seconds } from "../lib/format.js";
import {
  durationSeconds, faultCount, faultSummary, isActive, methodLabel, progressText, stateClass, tableHead,
} from "./job-parts.js";

const UNKNOWN = "–";

/** Return the progress of a job in figures. `cost` is that of its progress map, if there is one. */
export function progressSection(job, cost) {
  const { tiles, chunks, rate } = job;
  const duration = durationSeconds(job);
  const isVerification = job.verifies || job.verification;
  return [
    h("div", { class: "head" }, h("h2", null, "Progress"), h("p", { class: "muted number" }, progressText(job))),
    h("progress", {
      class: stateClass(job), max: tiles.total || 1, value: tiles.total ? tiles.done : isActive(job) ? null : 0,
      "aria-label": "Tiles", "aria-valuetext": `${number(tiles.done)} of ${number(tiles.total)} tiles`,
    }),
    h("dl", { class: "figures number" },
      figure("Tiles", doneOfTotal(tiles, number)),
      figure(isVerification ? "Compared" : "Read", doneOfTotal(job.bytes, bytes)),
      figure("Chunks", doneOfTotal(chunks, number)),
      figure("Rate", rate.tiles_per_second ? `${number(rate.tiles_per_second)} tiles/s` : UNKNOWN,
        rate.bytes_per_second ? `${bytes(rate.bytes_per_second)}/s` : ""),
      job.state === "tiling"
        ? figure("Time left", job.eta_seconds === null ? UNKNOWN : seconds(job.eta_seconds))
        : figure("Duration", duration === null ? UNKNOWN : seconds(duration)),
      cost && figure(isActive(job) ? "Cost so far" : "Cost", dollars(cost.dollars),
        `${seconds(cost.worker_seconds)} compute time`)),
  ];
}

const doneOfTotal = ({ done, total }, format) => (done === total ? format(total) : `${format(done)} / ${format(total)}`);

const figure = (name, value, detail = "") =>
  h("div", null, h("dt", null, name), h("dd", null, value, detail && h("span", { class: "small muted" }, detail)));

/** Return the pyramid of a job: preview and map, the table of levels, and damaged tiles. */
export function pyramidSection(job, progressMap, { preview, map }) {
  if (!job.levels.length) {
    if (!isActive(job)) return null;
    return [h("h2", null, "Pyramid"), h("p", { class: "muted" }, "Available after the header is read.")];
  }
  map.update(job, progressMap);
  return [
    h("div", { class: "head" },
      h("h2", null, "Pyramid"),
      h("p", { class: "muted small" }, job.verification ? "Compared tiles by level" : "Stored tiles by level")),
    h("div", { class: "pyramid-figures" }, preview.element, map.element),
    levelTable(job, progressMap),
    job.bad_tiles.count > 0 && badTileList(job),
  ];
}

function levelTable(job, progressMap) {
  const tilesDone = new Map((progressMap?.levels || []).map((level) => [level.level, level.tiles_done]));
  const doneText = (level) => {
    if (!tilesDone.has(level.level)) return UNKNOWN;
    return `${level.tiles ? Math.min(100, percent(tilesDone.get(level.level), level.tiles)) : 0} %`;
  };
  return h("table", { class: "levels number" },
    h("caption", { class: "visually-hidden" }, "Levels, full resolution first"),
    tableHead(["Level", "Size (px)", "Tiles", "Done", "Method"]),
    h("tbody", null, job.levels.map((level) => h("tr", null,
      h("th", { scope: "row" }, level.level),
      h("td", null, `${number(level.width_px)} × ${number(level.height_px)}`),
      h("td", null, `${level.columns} × ${level.rows}`,
        level.sparse > 0 && h("span", { class: "muted small" }, ` (${number(level.sparse)} not in the file)`)),
      h("td", null, doneText(level)),
      h("td", null, methodLabel(level.method))))));
}

const position = ({ level, column, row }) => `Level ${level}, column ${column}, row ${row}`;

function badTileList({ bad_tiles: badTiles, options }) {
  const more = badTiles.count - badTiles.items.length;
  return h("details", { class: "bad-tiles" },
    h("summary", null,
      h("strong", null, count(badTiles.count, "damaged tile")),
      h("span", { class: "muted" }, options.on_bad_tile === "skip" ? ", omitted" : ", shown blank")),
    h("ul", { class: "small" },
      badTiles.items.map((tile) =>
        h("li", { class: "break-anywhere" }, `${position(tile)}, byte ${number(tile.offset)}: ${tile.reason}`)),
      more > 0 && h("li", { class: "muted" }, `and ${number(more)} more`)));
}

/** Return what a verification compares and what it found, null for other jobs. */
export function verificationSection(job) {
  const { verification } = job;
  if (!verification) return null;
  const repairs = verification.repair && faultCount(job) === null;
  return [
    h("h2", null, "Verification"),
    h("p", null, `Compares the tiles that attempt ${verification.attempt} of the `,
      h("a", { href: pageUrl("job", { id: verification.job }) }, "slide's job"), " published with the source.",
      repairs ? " The slide is republished if faults are found." : ""),
    verificationResult(job),
  ];
}

function verificationResult(job) {
  const { intact, faults } = job.verification;
  if (intact === null) {
    return h("p", { class: "muted" }, isActive(job) ? "Comparing tiles." : "The verification ended without a result.");
  }
  if (intact) return h("p", { class: "verdict text-success" }, "All tiles are present and match the source.");
  return [
    h("p", { class: "verdict text-warning" }, `${faultSummary(job)}.`),
    h("ul", { class: "small lines" }, faults.map((fault) =>
      h("li", null, `${position(fault)}: ${fault.fault} `, h("code", null, fault.name)))),
  ];
}
