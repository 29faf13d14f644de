// Card of a submitted slide: upload, inspection, and its job.
import { h } from "../lib/dom.js";
import { bytes, count, dollars, fileLabel, number, percent, seconds, sentence } from "../lib/format.js";
import {
  isActive, jobFileName, jobUrl, methodLabel, progressBar, stateBadge, tableHead, viewerUrl,
} from "./job-parts.js";

const UPLOAD_STAGES = ["waiting", "sending"];

/** Return the card. `actions` are called with the submission: dismiss, cancel, publish, upload, inspect.
 *
 *  `submission.stage` is waiting, sending, inspecting, inspected, submitting, submitted, refused or failed. */
export function submissionCard(submission, actions) {
  const { stage, name, size, job, inspection, problem, refusal } = submission;
  const className = `card submission ${stage} ${job?.state || ""}`;
  return h("article", { class: className, "data-key": submission.id, "aria-label": name },
    h("div", { class: "submission-head" },
      h("h3", { class: "break-anywhere" }, fileLabel(name)),
      size && h("span", { class: "muted small number" }, bytes(size)),
      h("div", { class: "row end" }, buttons(submission, actions))),
    UPLOAD_STAGES.includes(stage) && uploadProgress(submission),
    stage === "inspecting" && h("p", { class: "small muted", role: "status" }, "Reading the header…"),
    stage === "submitting" && h("p", { class: "small muted", role: "status" }, "Submitting…"),
    refusal && h("p", { class: "text-error break-anywhere", role: "alert" },
      h("strong", null, submission.source && !submission.publishesAutomatically ? "Cannot be published: " : "Rejected: "),
      `${sentence(refusal.message)} `, refusal.hint),
    problem && stage === "failed" &&
      h("p", { class: "text-error break-anywhere", role: "alert" }, `${sentence(problem.message)} `, problem.hint),
    inspection?.verdict === "publish" && inspectionDetails(inspection, stage === "inspected"),
    job && jobOutcome(submission));
}

function uploadProgress({ name, size, stage, transfer }) {
  const hasStarted = Boolean(transfer?.upload);
  const text = stage === "waiting" ? "Waiting" : hasStarted ? uploadText(transfer, size) : "Starting";
  return h("div", { class: "progress" },
    h("progress", {
      max: size, value: hasStarted ? transfer.sent : 0, "aria-label": `Upload of ${name}`,
      "aria-valuetext": hasStarted ? `${percent(transfer.sent, size)} %` : "not started",
    }),
    h("p", { class: "small muted number" }, text));
}

function uploadText({ sent, speed, state, resumedBytes }, size) {
  const parts = [`${bytes(sent)} of ${bytes(size)}`];
  if (state === "paused") parts.push("paused");
  else if (speed) parts.push(`${bytes(speed.bytesPerSecond)}/s`, `${seconds(speed.remainingSeconds)} left`);
  if (resumedBytes) parts.push(`${bytes(resumedBytes)} uploaded earlier`);
  return parts.join(" · ");
}

function buttons(submission, actions) {
  const button = (label, onclick, className = null) =>
    h("button", { type: "button", class: className, "aria-label": `${label} ${submission.name}`, onclick }, label);
  const dismiss = () => actions.dismiss(submission);
  const { transfer } = submission;
  switch (submission.stage) {
    case "sending":
      return [
        transfer?.state === "paused" ? button("Resume", () => transfer.resume()) : button("Pause", () => transfer.pause()),
        button("Cancel", () => actions.cancel(submission), "danger"),
      ];
    case "waiting":
      return button("Remove", dismiss);
    case "inspected":
      return [button("Discard", dismiss), button("Publish", () => actions.publish(submission), "primary")];
    case "failed": {
      const retry = submission.file && !submission.source ? actions.upload : actions.inspect;
      return [button("Retry", () => retry(submission), "primary"), button("Dismiss", dismiss)];
    }
    case "refused":
    case "submitted":
      return button("Dismiss", dismiss, "plain");
    default:
      return null;
  }
}

function jobOutcome({ job, wasPublished }) {
  const problem = job.error || job.last_transient_error;
  const label = wasPublished ? "Already published" : "Published";
  return [
    h("div", { class: "row" },
      job.state === "done" ? h("strong", { class: "text-success" }, label) : stateBadge(job),
      h("div", { class: "row end" },
        h("a", { href: jobUrl(job) }, "View job"),
        job.result &&
          h("a", { class: "button primary", href: viewerUrl(job), "aria-label": `View ${jobFileName(job)}` }, "View"))),
    isActive(job) && progressBar(job),
    problem && h("p", { class: `break-anywhere ${job.error ? "text-error" : "muted"}`, role: job.error ? "alert" : null },
      !job.error && h("strong", null, "Retried: "), `${sentence(problem.message)} `, problem.hint),
  ];
}

/** Return the result of `POST /hooks/inspect`: levels, time and cost. */
function inspectionDetails(inspection, isOpen) {
  const { estimate, slide, levels } = inspection;
  const duration = seconds(estimate.seconds).replace(/^(?!<)/, "~ ");
  const size = `${count(inspection.tiles, "tile")} in ${count(levels.length, "level")}`;
  const facts = [
    slide.vendor,
    slide.magnification && `${slide.magnification}×`,
    slide.mpp_x && `${slide.mpp_x} µm per pixel`,
    `tile size ${inspection.tile_size_px} px`,
    inspection.associated.length && `associated images: ${inspection.associated.join(", ")}`,
  ];
  return h("details", { class: "inspection", open: isOpen },
    h("summary", null,
      h("strong", { class: "number" }, `${number(inspection.width_px)} × ${number(inspection.height_px)} px`),
      h("span", { class: "muted number" }, ` · ${[size, duration, dollars(estimate.dollars)].join(" · ")}`)),
    h("p", { class: "small muted" }, facts.filter(Boolean).join(" · ")),
    h("table", { class: "levels number" },
      h("caption", { class: "visually-hidden" }, "Levels, full resolution first"),
      tableHead(["Level", "Size (px)", "Tiles", "Compression", "Method"]),
      h("tbody", null, levels.map(levelRow))),
    h("p", { class: "small muted" }, `${seconds(estimate.worker_seconds)} compute time. The cost covers AWS, not MongoDB.`));
}

const levelRow = (level) =>
  h("tr", null,
    h("th", { scope: "row" }, level.level),
    h("td", null, `${number(level.width_px)} × ${number(level.height_px)}`),
    h("td", null, number(level.tiles)),
    h("td", null, level.stored ? level.stored.compression : "–"),
    h("td", null, methodLabel(level.method),
      level.beyond_end > 0 && h("span", { class: "text-error" }, ` (${level.beyond_end} beyond the end of the file)`)));
