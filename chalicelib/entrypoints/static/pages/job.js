// One job: its progress, result, errors and history.
import { apiUrl, get, pageUrl, post } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { fileLabel, percent, sentence } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { askForToken, onAccountChange, requireScope } from "../components/account.js";
import { ACTIONS, performAction } from "../components/actions.js";
import { factsSection } from "../components/job-facts.js";
import { attemptsSection, callbacksSection, createLog } from "../components/job-history.js";
import {
  faultSummary, hasFaults, isActive, jobFileName, jobTitle, stateBadge, viewerUrl,
} from "../components/job-parts.js";
import { progressSection, pyramidSection, verificationSection } from "../components/job-progress.js";
import { announce, showNotice, showProblem } from "../components/notices.js";
import { createPreview } from "../components/preview.js";
import { createPyramid } from "../components/pyramid.js";
import { connectionStatus, drawShell } from "../components/shell.js";

const ACTIVE_MS = 1000, REPAIR_MS = 2000, IDLE_MS = 10_000;
const SECTIONS = ["progress", "pyramid", "verification", "attempts", "log", "callbacks", "facts"];
const SKELETON_SECTIONS = ["progress", "pyramid", "facts"];

const main = document.getElementById("main");
const id = new URLSearchParams(location.search).get("id") || "";
const connection = connectionStatus();
drawShell("jobs").append(connection.element);

const head = h("div", { class: "head job-head" });
const alerts = h("div");
const map = createPyramid();
const preview = createPreview();
const sections = Object.fromEntries(
  SECTIONS.map((name) => [name, h("section", { class: `card ${name}`, "aria-label": name, hidden: true })]));
const { facts, ...mainSections } = sections;
const log = createLog(sections.log);
render(main, main.querySelector(".notices"), head, alerts,
  h("div", { class: "columns" }, h("div", { class: "main-column" }, Object.values(mainSections)), facts));
drawSkeleton();

let job = null, progressMap = null, deliveries = null, sessionLabel = null;
let slideJob = null; // the job whose slide a verification compares

const jobPoll = poll(load, { every: 2000, onState });
onAccountChange((isSignIn) => (isSignIn && !job ? location.reload() : job && draw()));

// -- loading -----------------------------------------------------------------------------------------------------------

async function load({ signal }) {
  const previous = job;
  job = await get(`/jobs/${encodeURIComponent(id)}`, { signal });
  if (previous && previous.state !== job.state) announce(`${jobFileName(job)} is ${job.state}`);
  if (previous && previous.attempt !== job.attempt) preview.restart();
  if (!previous) draw();
  // The page works without the following documents.
  const tryGet = (path) => optional(get(path, { signal }));
  if (hasChanged(previous) || isActive(job)) progressMap = (await tryGet(`/jobs/${id}/map`)) || progressMap;
  if (job.links.events) await log.load(job.links.events, signal);
  if (job.links.deliveries) deliveries = (await tryGet(job.links.deliveries))?.deliveries || deliveries;
  if (!sessionLabel && job.destination.session) {
    sessionLabel = (await optional(loadSessionLabel(job.destination))) || "unknown";
  }
  if (job.verification) slideJob = (await tryGet(`/jobs/${job.verification.job}`)) || slideJob;
  draw();
  preview.update(job, progressMap);
  if (isActive(job)) return ACTIVE_MS;
  return hasFaults(job) && slideJob && isActive(slideJob) ? REPAIR_MS : IDLE_MS;
}

const hasChanged = (previous) =>
  !previous || previous.updated_at !== job.updated_at || previous.state !== job.state
  || previous.tiles.done !== job.tiles.done;

/** Return the result of a promise, null if it fails. */
async function optional(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name === "AbortError" || error.status === 401) throw error;
    return null;
  }
}

async function loadSessionLabel({ collection, session }) {
  const { label, sessions } = await get(`/collections/${collection}`);
  return `${label} / ${sessions.find((each) => each.id === session)?.label || session}`;
}

function onState(state, error, seconds) {
  connection.update(state, error, seconds);
  if (state !== "offline" || job) return;
  drawError(error);
  if (error.status === 404) jobPoll.stop();
}

// -- drawing -----------------------------------------------------------------------------------------------------------

function drawError(error) {
  const isSignedOut = error.status === 401, isMissing = error.status === 404;
  const title = isMissing ? "Job not found" : isSignedOut ? "Sign in to view this job" : "The job could not be loaded";
  const text = isSignedOut ? "An access token is required."
    : isMissing ? "The job may have expired, or the URL is wrong."
    : `${sentence(error.message)} ${error.hint}`;
  const retry = async () => (!isSignedOut || (await askForToken())) && location.reload();
  render(main, main.querySelector(".notices"), h("div", { class: "card empty-state", role: "alert" },
    h("h1", null, title),
    h("p", { class: "break-anywhere" }, text),
    h("div", { class: "row" },
      h("a", { class: "button", href: apiUrl("/") }, "All jobs"),
      !isMissing && h("button", { type: "button", class: "primary", onclick: retry }, isSignedOut ? "Sign in" : "Retry"))));
}

function drawSkeleton() {
  render(head, h("div", { class: "title", role: "status", "aria-label": "Loading job" },
    h("p", { class: "skeleton small" }, "\u00a0"), h("p", { class: "skeleton" }, "\u00a0")));
  for (const name of SKELETON_SECTIONS) {
    sections[name].hidden = false;
    render(sections[name], h("p", { class: "skeleton" }, "\u00a0"), h("p", { class: "skeleton" }, "\u00a0"));
  }
}

function draw() {
  const share = job.tiles.total && isActive(job) ? `${percent(job.tiles.done, job.tiles.total)} % · ` : "";
  document.title = `${share}${jobFileName(job)} · Slidehook`;
  drawHead();
  drawAlerts();
  drawSection("progress", progressSection(job, progressMap?.cost));
  drawSection("pyramid", pyramidSection(job, progressMap, { preview, map }));
  drawSection("verification", verificationSection(job));
  drawSection("attempts", attemptsSection(job));
  drawSection("log", log.section(job));
  drawSection("callbacks", callbacksSection(deliveries, replay));
  drawSection("facts", factsSection(job, sessionLabel));
}

function drawSection(name, content) {
  sections[name].hidden = !content;
  render(sections[name], content || []);
}

function drawHead() {
  const actions = Object.keys(ACTIONS).filter((name) => !ACTIONS[name].isSeparate && ACTIONS[name].appliesTo(job));
  render(head,
    h("div", { class: "title" },
      h("p", { class: "small muted breadcrumb" },
        h("a", { href: apiUrl("/") }, "Jobs"), " / ", h("span", { class: "mono" }, job.id.slice(0, 8))),
      h("div", { class: "row" }, h("h1", { class: "break-anywhere" }, fileLabel(jobTitle(job))), stateBadge(job)),
    ),
    h("div", { class: "row" },
      actions.map((name) => actionButton(name, { className: ACTIONS[name].isDanger ? "danger" : null })),
      job.result && h("a", { class: "button primary", href: viewerUrl(job) }, "View slide")),
  );
}

function actionButton(name, { className }) {
  const { label, scope } = ACTIONS[name];
  return h("button", { type: "button", class: className, ...requireScope(scope), onclick: () => act(name) }, label);
}

function drawAlerts() {
  const problem = job.error || job.last_transient_error;
  const kind = job.error && job.state !== "superseded" ? "error" : "warning";
  render(alerts,
    hasFaults(job) && faultsNotice(),
    problem && h("div", { class: `notice ${kind}` },
      h("div", null,
        h("strong", null, job.error ? "" : "Retrying after an error: "), `${sentence(problem.message)} `, problem.hint, " ",
        h("code", { class: "small" }, problem.code))));
}

/** Return the findings of a verification with the actions that repair the slide. */
function faultsNotice() {
  const { verification } = job;
  const isRepaired = slideJob && slideJob.attempt > verification.attempt;
  return h("div", { class: "notice warning faults" }, h("div", null,
    h("p", null, h("strong", null, `${faultSummary(job)}. `), repairText(isRepaired)),
    h("div", { class: "row" },
      !isRepaired && actionButton("repair", { className: "primary" }),
      h("a", { class: "button", href: pageUrl("job", { id: verification.job }) }, "View upload job"),
      h("a", { class: "button", href: pageUrl("viewer", { slide: verification.job }) }, "View slide"))));
}

function repairText(isRepaired) {
  if (!isRepaired && job.verification.repair) return "The slide will be republished.";
  if (!isRepaired) return "The published slide does not change until it is republished.";
  const attempt = `attempt ${slideJob.attempt} of its job`;
  if (slideJob.state === "done") return `The slide was republished by ${attempt}.`;
  if (isActive(slideJob)) return `The slide is being republished by ${attempt}. The current tiles stay published until then.`;
  return `The slide was not republished: ${attempt} is ${slideJob.state}.`;
}

// -- actions -----------------------------------------------------------------------------------------------------------

async function act(name) {
  if (await performAction(name, [job])) jobPoll.refresh();
}

async function replay(delivery) {
  try {
    await post(delivery.links.replay);
    showNotice(`The callback to ${delivery.receiver} is queued.`, { kind: "success", key: "replay", seconds: 6 });
    jobPoll.refresh();
  } catch (error) {
    showProblem(error, { key: "replay" });
  }
}
