// A row of the job list.
import { h } from "../lib/dom.js";
import { count, fileLabel, timeAgo } from "../lib/format.js";
import { requireScope } from "./account.js";
import { ACTIONS } from "./actions.js";
import {
  errorMessage, faultCount, jobFileName, jobThumbnail, jobTitle, jobUrl, progressBar, stateBadge, viewerUrl,
} from "./job-parts.js";

const ROW_ACTIONS = ["cancel", "retry"];

/** Return the row of a job. `onSelect` is called with the job's id and whether it is selected, `onAction` with the name
 *  of an action and the job. */
export function jobRow(job, { collections, isSelected, onSelect, onAction }) {
  const name = jobTitle(job);
  const link = { href: job.result ? viewerUrl(job) : jobUrl(job), tabindex: "-1", "aria-hidden": "true" };
  const actions = ROW_ACTIONS.filter((action) => ACTIONS[action].appliesTo(job));
  return h("div", { class: "job", role: "listitem", "data-key": job.id },
    h("input", {
      type: "checkbox", checked: isSelected, "aria-label": `Select ${name}`,
      onchange: (event) => onSelect(job.id, event.target.checked),
    }),
    h("a", { class: "thumbnail-link", ...link }, jobThumbnail(job)),
    h("div", { class: "description" },
      h("a", { class: "name break-anywhere", href: jobUrl(job) }, fileLabel(jobFileName(job))),
      h("p", { class: "small muted" }, details(job, collections))),
    h("div", { class: "status" },
      stateBadge(job), h("p", { class: "small muted" }, timeAgo(job.ended_at || job.updated_at))),
    progressBar(job),
    h("div", { class: "row-actions" },
      actions.map((action) => actionButton(action, job, name, onAction)),
      job.result && job.hook === "upload" &&
        h("a", { class: "button plain", href: viewerUrl(job), "aria-label": `View ${jobFileName(job)}` }, "View")),
    errorMessage(job),
  );
}

const details = (job, collections) => [
  job.hook !== "upload" && h("span", { class: "tag" }, job.hook),
  destinationLabel(job, collections),
  job.attempt > 1 && ` · attempt ${job.attempt}`,
  job.bad_tiles.count > 0 && h("span", { class: "text-error" }, ` · ${count(job.bad_tiles.count, "damaged tile")}`),
  verificationResult(job),
];

function actionButton(action, job, name, onAction) {
  const { label, scope } = ACTIONS[action];
  return h("button", {
    type: "button", class: "plain", "aria-label": `${label} ${name}`, ...requireScope(scope),
    onclick: () => onAction(action, job),
  }, label);
}

function verificationResult(job) {
  const faults = faultCount(job);
  if (faults === null) return null;
  return faults
    ? h("span", { class: "text-warning" }, ` · ${count(faults, "fault")} found`)
    : h("span", { class: "text-success" }, " · intact");
}

function destinationLabel(job, collections) {
  const id = job.destination.session;
  for (const collection of collections) {
    const session = collection.sessions.find((each) => each.id === id);
    if (session) return `${collection.label} / ${session.label}`;
  }
  return id ? `session ${id.slice(-6)}` : "no destination";
}

/** Return placeholders of rows that are not loaded yet. */
export const skeletonRows = (rows) => Array.from({ length: rows }, (_, index) => skeletonRow(index));

const skeletonRow = (index) =>
  h("div", { class: "job", "data-key": `skeleton ${index}`, "aria-hidden": "true" },
    h("span", { class: "skeleton box" }),
    h("span", { class: "skeleton thumbnail" }),
    h("div", { class: "description" }, skeletonLine(), skeletonLine("small")),
    skeletonLine("state"),
    skeletonLine("progress"),
    h("span"));

const skeletonLine = (kind = "") => h("span", { class: `skeleton ${kind}` }, "\u00a0");
