// Submission of slides: local files are uploaded to S3, objects in S3 are inspected. An inspection shows the result
// before anything is published.
import { get, post, toProblem } from "../lib/api.js";
import { h, render, s } from "../lib/dom.js";
import { bytes } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { Transfer, abortUpload, fingerprint, unfinishedUploads, unsupportedReason } from "../lib/transfer.js";
import { hasScope, missingScopeText, onAccountChange } from "../components/account.js";
import { createDestinationForm } from "../components/destination-form.js";
import { isActive } from "../components/job-parts.js";
import { announce, showNotice, showProblem } from "../components/notices.js";
import { drawShell } from "../components/shell.js";
import { submissionCard } from "../components/submission-card.js";

const POLL_MS = 1500;
const FILE_TYPES = ".svs,.tif,.tiff,.ptif,.btf,image/tiff";
const UPLOAD_ICON = "M12 16V4m0 0 4.5 4.5M12 4 7.5 8.5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15";

let submissions = []; // newest first
let publishesAutomatically = true;
let uploading = null; // the promise of the running queue of uploads
let jobPoll = null;

const main = document.getElementById("main");
drawShell("submit");
const destinationForm = createDestinationForm(drawForms);
const sourceForm = h("section", { class: "card" });
const submissionList = h("section", { class: "submissions", "aria-label": "Submissions" });
const unfinishedList = h("section", { class: "unfinished" });
const fileInput = h("input", {
  type: "file", multiple: true, class: "visually-hidden", id: "files", tabindex: "-1", "aria-label": "Local slides",
  accept: FILE_TYPES,
  onchange: () => {
    addFiles([...fileInput.files]);
    fileInput.value = "";
  },
});
render(main, main.querySelector(".notices"),
  h("div", { class: "head" }, h("h1", null, "Submit a slide")),
  destinationForm.element, sourceForm, submissionList, unfinishedList);
drawForms();
drawUnfinished();
destinationForm.load();
onAccountChange((isSignIn) => {
  if (isSignIn) destinationForm.load();
  drawForms();
});

// -- source ------------------------------------------------------------------------------------------------------------

function canSubmit() {
  return Boolean(destinationForm.destination.session) && hasScope("submit");
}

function drawForms() {
  destinationForm.update();
  const isAllowed = hasScope("submit");
  const isReady = canSubmit();
  const onchange = (event) => (publishesAutomatically = event.target.checked);
  render(sourceForm,
    h("h2", null, "Source"),
    !isAllowed && h("p", { class: "notice warning", role: "status" }, missingScopeText("submit")),
    h("div", { class: "sources" }, dropZone(isReady, isAllowed), objectForm(isReady)),
    h("label", { class: "row automatic" },
      h("input", { type: "checkbox", checked: publishesAutomatically, onchange }),
      "Publish uploaded files automatically"));
}

function dropZone(isReady, isAllowed) {
  const hint = isReady
    ? "Pyramidal TIFF (.svs, .tif, .ptif). Files are uploaded directly to S3. Interrupted uploads can be resumed."
    : isAllowed ? "Select a session first." : "";
  const ondragleave = (event) => event.currentTarget.classList.remove("dragover");
  return h("div", { class: `drop-zone${isReady ? "" : " disabled"}`, ondragover: onDragOver, ondragleave, ondrop: onDrop },
    s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", {
      fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round",
      d: UPLOAD_ICON,
    })),
    h("p", null, h("strong", null, "Drop slides here"), isReady ? ", or" : ""),
    fileInput,
    h("button", { type: "button", class: "primary", disabled: !isReady, onclick: () => fileInput.click() }, "Choose files"),
    h("p", { class: "muted small" }, hint));
}

function objectForm(isReady) {
  return h("form", { class: "object-form", onsubmit: addObject },
    h("label", { class: "field" }, h("span", null, "S3 URI"), h("input", {
      type: "text", name: "source", required: true, placeholder: "s3://bucket/folder/slide.svs", pattern: "s3://.+/.+",
      title: "s3://bucket/key", autocomplete: "off", spellcheck: "false", inputmode: "url",
    })),
    h("button", { disabled: !isReady }, "Inspect"),
    h("p", { class: "muted small" }, "Shows the result. Nothing is published yet."));
}

function onDragOver(event) {
  if (!canSubmit() || ![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  event.currentTarget.classList.add("dragover");
}

function onDrop(event) {
  event.preventDefault();
  event.currentTarget.classList.remove("dragover");
  if (canSubmit()) addFiles([...event.dataTransfer.files]);
}

// The browser opens a file that is dropped outside the drop zone, which would leave the page.
for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());
addEventListener("beforeunload", (event) => {
  if (submissions.some(({ stage }) => stage === "waiting" || stage === "sending")) event.preventDefault();
});

// -- submissions -------------------------------------------------------------------------------------------------------

function add(properties) {
  const submission = {
    id: crypto.randomUUID?.() || String(Math.random()), destination: { ...destinationForm.destination },
    options: destinationForm.options, ...properties,
  };
  submissions = [submission, ...submissions];
  drawSubmissions();
  return submission;
}

async function addObject(event) {
  event.preventDefault();
  const source = new FormData(event.target).get("source").trim();
  const submission = add({ name: source.split("/").pop(), source, stage: "inspecting" });
  event.target.reset();
  await inspect(submission);
}

async function addFiles(files) {
  if (!destinationForm.destination.session) {
    return void showNotice("Select a session first.", { kind: "warning", key: "session", seconds: 8 });
  }
  for (const file of files) {
    if (submissions.some((each) => isSameUpload(each, file))) {
      showNotice(`${file.name} is already being submitted.`, { key: "duplicate", seconds: 5 });
      continue;
    }
    const submission = add({ name: file.name, size: file.size, file, stage: "waiting" });
    const reason = await unsupportedReason(file);
    if (reason) Object.assign(submission, { stage: "refused", refusal: { message: reason, hint: "" } });
  }
  drawSubmissions();
  startUploads();
}

const isSameUpload = ({ file: other, stage }, file) =>
  other && fingerprint(other) === fingerprint(file) && stage !== "refused" && stage !== "failed";

function startUploads() {
  uploading ??= uploadAll().finally(() => (uploading = null));
}

/** Upload one file after the other: parallel uploads would share the bandwidth. */
async function uploadAll() {
  const nextWaiting = () => submissions.findLast(({ stage }) => stage === "waiting");
  for (let next = nextWaiting(); next; next = nextWaiting()) await upload(next);
}

async function upload(submission) {
  submission.stage = "sending";
  submission.transfer = new Transfer(submission.file, { ...submission.destination, onChange: scheduleDraw });
  drawSubmissions();
  try {
    submission.source = await submission.transfer.run();
  } catch (error) {
    if (submission.transfer.cancelled) return;
    fail(submission, error);
    announce(`${submission.name} could not be uploaded`);
    return;
  } finally {
    drawUnfinished();
  }
  await inspect(submission);
}

async function inspect(submission) {
  submission.stage = "inspecting";
  drawSubmissions();
  const { tile_size, base_only, on_bad_tile } = submission.options;
  submission.publishesAutomatically = Boolean(submission.file) && publishesAutomatically;
  try {
    const parameters = { source: submission.source, base_only, on_bad_tile, ...(tile_size ? { tile_size } : {}) };
    submission.inspection = await post("/hooks/inspect", parameters);
    const { verdict, reason } = submission.inspection;
    Object.assign(submission, verdict === "refuse" ? { stage: "refused", refusal: reason } : { stage: "inspected" });
  } catch (error) {
    fail(submission, error);
  }
  announce(`${submission.name} ${submission.stage === "inspected" ? "can be published" : "cannot be published"}`);
  drawSubmissions();
  if (submission.stage === "inspected" && submission.publishesAutomatically) await publish(submission);
}

async function publish(submission) {
  submission.stage = "submitting";
  drawSubmissions();
  try {
    const { source, destination, options } = submission;
    submission.job = await post("/hooks/upload", { source, ...destination, ...options });
    submission.stage = "submitted";
    submission.wasPublished = submission.job.state === "done";
    announce(`${submission.name} is ${submission.wasPublished ? "already published" : "submitted"}`);
    followJobs();
  } catch (error) {
    fail(submission, error);
  }
  drawSubmissions();
}

function fail(submission, error) {
  Object.assign(submission, { stage: "failed", problem: toProblem(error) });
  drawSubmissions();
}

/** Poll the submitted jobs until all of them have ended. */
function followJobs() {
  if (jobPoll) return void jobPoll.refresh();
  jobPoll = poll(async ({ signal }) => {
    const active = submissions.filter(({ job, isLost }) => job && isActive(job) && !isLost);
    if (!active.length) {
      jobPoll = null;
      return null;
    }
    await Promise.all(active.map((submission) => updateJob(submission, signal)));
    drawSubmissions();
    return POLL_MS;
  });
}

async function updateJob(submission, signal) {
  try {
    submission.job = await get(submission.job.links.self, { signal });
  } catch (error) {
    if (error.status !== 404) throw error;
    submission.isLost = true; // expired, or no longer visible to this caller
  }
  const { state } = submission.job;
  if (!isActive(submission.job)) announce(`${submission.name} is ${state === "done" ? "published" : state}`);
}

let scheduledFrame = 0;
function scheduleDraw() {
  scheduledFrame ||= requestAnimationFrame(() => {
    scheduledFrame = 0;
    drawSubmissions();
  });
}

function drawSubmissions() {
  submissionList.hidden = !submissions.length;
  render(submissionList, submissions.map((submission) => submissionCard(submission, CARD_ACTIONS)));
}

const CARD_ACTIONS = { dismiss, cancel, publish, upload: retryUpload, inspect: retryInspection };

function dismiss(submission) {
  submissions = submissions.filter((each) => each !== submission);
  drawSubmissions();
}

async function cancel(submission) {
  dismiss(submission);
  try {
    await submission.transfer?.cancel();
  } catch (error) {
    showProblem(error, { key: "cancel" });
  }
  drawUnfinished();
}

function retryUpload(submission) {
  Object.assign(submission, { stage: "waiting", problem: null });
  drawSubmissions();
  startUploads();
}

function retryInspection(submission) {
  submission.problem = null;
  return inspect(submission);
}

// -- unfinished uploads ------------------------------------------------------------------------------------------------

function drawUnfinished() {
  const current = new Set(submissions.filter(({ file }) => file).map(({ file }) => fingerprint(file)));
  const uploads = unfinishedUploads().filter((each) => !current.has(each.fingerprint));
  unfinishedList.hidden = !uploads.length;
  render(unfinishedList, uploads.length > 0 && [
    h("h2", null, "Unfinished uploads"),
    h("p", { class: "muted small" }, "Choose the same file again to resume its upload."),
    h("ul", null, uploads.map(unfinishedItem)),
  ]);
}

function unfinishedItem(upload) {
  const { name, size } = upload;
  const onclick = () => abort(upload);
  return h("li", { class: "row", "data-key": upload.fingerprint },
    h("span", { class: "break-anywhere" }, name),
    h("span", { class: "muted small number" }, bytes(size)),
    h("button", { type: "button", class: "plain", "aria-label": `Delete upload of ${name}`, onclick }, "Delete"));
}

async function abort(upload) {
  try {
    await abortUpload(upload);
  } catch (error) {
    showProblem(error, { key: "abort" });
  }
  drawUnfinished();
}
