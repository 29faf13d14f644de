// Parts of a job that several pages show: state, progress, thumbnail, errors and findings.
import { apiUrl, pageUrl } from "../lib/api.js";
import { h, s } from "../lib/dom.js";
import { bytes, count, dotSeparated, fileName, number, seconds, sentence } from "../lib/format.js";
import { pyramidIcon } from "./icons.js";

export const STATES = ["queued", "planning", "tiling", "finishing", "done", "failed", "cancelled", "superseded"];
const ACTIVE_STATES = new Set(STATES.slice(0, 4));
const STATE_HINTS = {
  queued: "Waiting for a worker", planning: "Reading the header", tiling: "Storing tiles",
  finishing: "Counting tiles and publishing", done: "Published", failed: "Ended with an error", cancelled: "Cancelled",
  superseded: "Replaced by a newer job",
};
const METHOD_LABELS = {
  passthrough: "copied", "lossless-crop": "lossless crop", "re-encoded": "re-encoded", downsampled: "downsampled",
};
const FAULT_LABELS = { missing: "missing", altered: "altered", doubled: "duplicated", unexpected: "unexpected" };

/** Return the head of a table of levels. */
export const tableHead = (names) =>
  h("thead", null, h("tr", null, names.map((name) => h("th", { scope: "col" }, name))));

export const isActive = (job) => ACTIVE_STATES.has(job.state);
export const jobFileName = (job) => fileName(job.source.key);
export const jobTitle = (job) => (job.hook === "upload" ? jobFileName(job) : `${job.hook} ${jobFileName(job)}`);
export const jobUrl = (job) => pageUrl("job", { id: job.id });
export const viewerUrl = (job) => pageUrl("viewer", { slide: job.id });
export const methodLabel = (method) => METHOD_LABELS[method] || method;

/** Return the number of faults that a verification found; null for other jobs and for running verifications. */
export function faultCount({ verification }) {
  if (!verification || verification.intact === null) return null;
  return Object.keys(FAULT_LABELS).reduce((sum, kind) => sum + verification[kind], 0);
}

export function faultSummary(job) {
  const kinds = Object.entries(FAULT_LABELS).filter(([kind]) => job.verification[kind]);
  const counts = kinds.map(([kind, label]) => `${number(job.verification[kind])} ${label}`);
  return `${count(faultCount(job), "fault")} found: ${counts.join(", ")}`;
}

export const hasFaults = (job) => job.state === "done" && job.verification?.intact === false;

/** Return the CSS class of a job's state. A verification that found faults is a state of its own. */
export const stateClass = (job) => (hasFaults(job) ? "faulty" : job.state);

export function stateBadge(job) {
  if (hasFaults(job)) {
    return h("span", { class: "state faulty", title: "The published slide differs from its source" }, "faults found");
  }
  const isVerified = job.verification && job.state === "done";
  const title = isVerified ? "All tiles match the source" : STATE_HINTS[job.state];
  return h("span", { class: `state ${job.state}`, title }, job.state);
}

/** Return a job's progress as a bar and a line of text. */
export function progressBar(job) {
  const { done, total } = job.tiles;
  const isPlanned = total > 0;
  const bar = h("progress", {
    class: stateClass(job),
    max: isPlanned ? total : 1,
    value: isPlanned ? done : isActive(job) ? null : 0,
    "aria-label": `Tiles of ${jobFileName(job)}`,
    "aria-valuetext": isPlanned ? `${number(done)} of ${number(total)} tiles` : job.state,
  });
  return h("div", { class: "progress" }, bar, h("p", { class: "small muted number" }, progressText(job)));
}

/** Return a job's progress as text or as children of an element: tiles, rate, remaining time. */
export function progressText(job) {
  const { done, total } = job.tiles;
  if (job.state === "queued") return job.attempt > 1 ? `Waiting for attempt ${job.attempt}` : "Waiting for a worker";
  if (job.state === "planning") return "Reading the header";
  if (!total) return "Not started";
  const parts = [done === total ? `${number(total)} tiles` : `${number(done)} of ${number(total)} tiles`];
  const rate = job.rate.tiles_per_second;
  if (rate && job.state === "tiling") parts.push(`${number(rate)}/s`);
  if (job.eta_seconds !== null && job.state === "tiling") parts.push(`${seconds(job.eta_seconds)} left`);
  if (job.bytes.total && !isActive(job)) parts.push(bytes(job.bytes.done));
  const duration = durationSeconds(job);
  if (duration !== null && job.state === "done") parts.push(`in ${seconds(duration)}`);
  return dotSeparated(parts);
}

/** Return the duration of the job's attempt until now or until its end; null if it never started. */
export function durationSeconds(job) {
  if (!job.ended_at && !isActive(job)) return null;
  const end = job.ended_at ? Date.parse(job.ended_at) : Date.now();
  return Math.max(0, (end - Date.parse(job.started_at)) / 1000);
}

/** Return the thumbnail of a job, which is the coarsest tile cropped to the slide; a placeholder if there is none. */
export function jobThumbnail(job) {
  if (!job.result?.thumbnail) return pyramidIcon({ class: "thumbnail none" });
  let [width, height, side] = [256, 256, 256];
  if (job.slide) {
    [width, height, side] = [job.slide.width_px, job.slide.height_px, job.slide.tile_size_px];
    while (Math.max(width, height) > side) [width, height] = [width / 2, height / 2];
  }
  return s("svg", { class: "thumbnail", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    s("svg", { width, height }, s("image", { href: apiUrl(job.result.thumbnail), width: side, height: side })));
}

/** Return the job's error, or the last error that was retried. */
export function errorMessage(job) {
  const error = job.error || job.last_transient_error;
  if (!error) return null;
  return h("p", { class: `job-error small break-anywhere ${job.error ? "error" : "warning"}` },
    h("strong", null, job.error ? "" : "Retried: "), `${sentence(error.message)} `,
    h("span", { class: "muted" }, error.hint));
}
