// What is said of a job wherever it is shown.
import { address } from "../lib/api.js";
import { h, s } from "../lib/dom.js";
import { bytes, count, fileName, line, number, seconds, sentence } from "../lib/format.js";
import { pageAddress } from "./shell.js";

export const STATES = ["queued", "planning", "tiling", "finishing", "done", "failed", "cancelled", "superseded"];
export const LIVE = new Set(STATES.slice(0, 4));
export const HOW = { passthrough: "copied as stored", "lossless-crop": "cut without loss", "re-encoded": "encoded anew", downsampled: "made from the finer level" };
const MEANING = {
  queued: "waits for a worker", planning: "its header is being read", tiling: "its tiles are being stored", finishing: "is being counted and published",
  done: "readers see it", failed: "ended with an error", cancelled: "was cancelled", superseded: "a newer job took its place",
};

export const isLive = (job) => LIVE.has(job.state);
export const nameOf = (job) => fileName(job.source.key);
export const titleOf = (job) => (job.hook === "upload" ? nameOf(job) : `${job.hook} ${nameOf(job)}`);
export const jobPage = (job) => pageAddress("job", { id: job.id });
export const viewerPage = (job) => pageAddress("viewer", { slide: job.id });

/** Return how many faults a verification has found; null for other jobs, and before its verdict. */
export function faultsOf({ verification: found }) {
  return !found || found.intact === null ? null : found.missing + found.altered + found.doubled + found.unexpected;
}

export const faultsText = (job) =>
  `${count(faultsOf(job), "fault")} found: ${["missing", "altered", "doubled", "unexpected"].filter((kind) => job.verification[kind]).map((kind) => `${number(job.verification[kind])} ${kind}`).join(", ")}`;

export const isFaulty = (job) => job.state === "done" && job.verification?.intact === false;

/** Return how a job's state is drawn: a verification that is done is not well if the slide is not. */
export const toneOf = (job) => (isFaulty(job) ? "faulty" : job.state);

export const stateOf = (job) =>
  isFaulty(job)
    ? h("span", { class: "state faulty", title: "the verification is done; the slide is not what its source says" }, "faults found")
    : h("span", { class: `state ${job.state}`, title: job.verification && job.state === "done" ? "every tile is what its source says" : MEANING[job.state] }, job.state);

/** Return how far a job is, as a bar and in figures. */
export function progressOf(job) {
  const { done, total } = job.tiles;
  const planned = total > 0;
  const bar = h("progress", {
    class: toneOf(job),
    max: planned ? total : 1,
    value: planned || !isLive(job) ? (planned ? done : 0) : null,
    "aria-label": `Tiles of ${nameOf(job)}`,
    "aria-valuetext": planned ? `${number(done)} of ${number(total)} tiles` : job.state,
  });
  return h("div", { class: "progress" }, bar, h("p", { class: "small quiet number" }, figuresOf(job)));
}

/** Return a job's progress as one line (text, or a list for `h`): what is done, how fast, and how long it will take. */
export function figuresOf(job) {
  const { done, total } = job.tiles;
  if (job.state === "queued") return job.attempt > 1 ? `waits for attempt ${job.attempt}` : "waits for a worker";
  if (job.state === "planning") return "reading its header";
  if (!total) return "not started";
  const parts = [done === total ? `${number(total)} tiles` : `${number(done)} of ${number(total)} tiles`];
  const rate = job.rate.tiles_per_second;
  if (rate && job.state === "tiling") parts.push(`${number(rate)}/s`);
  if (job.eta_seconds !== null && job.state === "tiling") parts.push(`${seconds(job.eta_seconds)} left`);
  if (job.bytes.total && !isLive(job)) parts.push(bytes(job.bytes.done));
  const took = tookOf(job);
  if (took !== null && job.state === "done") parts.push(`in ${seconds(took)}`);
  return line(parts);
}

/** Return how long the job's attempt took, or takes by now. */
export function tookOf(job) {
  if (!job.ended_at && !isLive(job)) return null;
  return Math.max(0, ((job.ended_at ? Date.parse(job.ended_at) : Date.now()) - Date.parse(job.started_at)) / 1000);
}

/** Return the thumbnail of a job: the coarsest tile, cut at the edge of the slide; a placeholder if there is none. */
export function pictureOf(job) {
  if (!job.result?.thumbnail) {
    return s("svg", { class: "picture none", viewBox: "0 0 24 24", "aria-hidden": "true" },
      s("path", { fill: "currentColor", d: "M3 15h8v6H3zM13 15h8v6h-8zM6 8h5v5H6zM13 8h5v5h-5zM9.5 3h5v3.5h-5z" }));
  }
  let [wide, high, side] = [256, 256, 256];
  if (job.slide) {
    [wide, high, side] = [job.slide.width_px, job.slide.height_px, job.slide.tile_size_px];
    while (Math.max(wide, high) > side) [wide, high] = [wide / 2, high / 2];
  }
  return s("svg", { class: "picture", viewBox: `0 0 ${wide} ${high}`, "aria-hidden": "true" },
    s("svg", { width: wide, height: high }, s("image", { href: address(job.result.thumbnail), width: side, height: side })));
}

/** Return what went wrong, as it is kept: a sentence, and what to do. */
export function troubleOf(job) {
  const trouble = job.error || job.last_transient_error;
  if (!trouble) return null;
  return h("p", { class: `trouble small anywhere ${job.error ? "bad" : "warn"}` },
    h("strong", null, job.error ? "" : "Tried again: "), `${sentence(trouble.message)} `, h("span", { class: "quiet" }, trouble.hint));
}
