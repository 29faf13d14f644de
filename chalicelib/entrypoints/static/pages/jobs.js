// The job list. The URL contains the filters, so that a list can be shared as a link.
import { get, pageUrl } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { count, sentence } from "../lib/format.js";
import { FILTERS, filtersOfUrl, listPath, urlWithFilters } from "../lib/job-query.js";
import { poll } from "../lib/poll.js";
import { askForToken, onAccountChange, requireScope } from "../components/account.js";
import { ACTIONS, performAction, redrive } from "../components/actions.js";
import { pyramidIcon } from "../components/icons.js";
import { createFilterForm, createStateTabs, onPlainClick } from "../components/job-filters.js";
import { isActive, jobFileName } from "../components/job-parts.js";
import { jobRow, skeletonRows } from "../components/job-row.js";
import { announce } from "../components/notices.js";
import { connectionStatus, drawShell } from "../components/shell.js";

const ACTIVE_MS = 1500, IDLE_MS = 5000, COUNTS_MS = 5000;
const BULK_ACTIONS = ["retry", "cancel", "verify", "remove"];
const SKELETON_ROWS = 6;

const main = document.getElementById("main");
const connection = connectionStatus();
const pauseButton = h("button", { type: "button", "aria-pressed": "false", onclick: togglePause }, "Pause");
const stateTabs = createStateTabs(changeFilters);
const filterForm = createFilterForm(changeFilters);
const listHeader = h("div", { class: "list-header" });
const list = h("div", { class: "jobs", role: "list", "aria-label": "Jobs", "aria-busy": "true", onkeydown: onListKey });
const pagination = h("nav", { class: "pagination", "aria-label": "Pagination" });
const bulkBar = h("div", { class: "bulk-actions", role: "region", "aria-label": "Selected jobs", hidden: true });

drawShell("jobs").append(connection.element);
render(main, main.querySelector(".notices"),
  h("div", { class: "head" },
    h("h1", null, "Jobs"),
    h("div", { class: "row" },
      pauseButton, h("a", { class: "button primary", href: pageUrl("submit") }, "Submit a slide"))),
  stateTabs.element, filterForm.element, listHeader, list, pagination, bulkBar);

let filters = filtersOfUrl();
let jobs = []; // in the order in which they are shown
let nextCursor = null;
let counts = null;
let collections = [];
let isLoaded = false;
let problem = null;
let previousStates = new Map(); // job id -> state in the last response
const selected = new Set();

drawSkeleton();
drawFilters();
loadCollections();
const listPoll = poll(loadJobs, { every: 2000, onState });
const countPoll = poll(loadCounts, { every: COUNTS_MS });

onAccountChange((isSignIn) => {
  drawBulkBar();
  if (!isSignIn) return void draw();
  loadCollections();
  for (const each of [listPoll, countPoll]) each.refresh();
});

addEventListener("popstate", () => {
  filters = filtersOfUrl();
  drawFilters();
  reload();
});

// -- loading -----------------------------------------------------------------------------------------------------------

function changeFilters(changes, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", urlWithFilters(filters, changes));
  filters = filtersOfUrl();
  reload();
  drawFilters();
}

function reload() {
  selected.clear();
  isLoaded = false;
  jobs = [];
  previousStates = new Map();
  drawSkeleton();
  stateTabs.update(filters, counts);
  drawBulkBar();
  listPoll.refresh();
}

async function loadJobs({ signal }) {
  const page = await get(listPath(filters), { signal });
  const isFirst = !isLoaded;
  isLoaded = true;
  problem = null;
  nextCursor = page.next;
  jobs = stableOrder(page.jobs);
  if (!isFirst) announceEnded(page.jobs);
  previousStates = new Map(jobs.map((job) => [job.id, job.state]));
  for (const id of [...selected]) if (!previousStates.has(id)) selected.delete(id);
  draw();
  return jobs.some(isActive) ? ACTIVE_MS : IDLE_MS;
}

/** While the user points at a row, focuses one or has selected some, rows keep their order and new jobs are added at
 *  the top: a row must not move away from the pointer. */
function stableOrder(loaded) {
  const isInUse = selected.size || list.matches(":hover") || list.contains(document.activeElement);
  if (!isInUse || !jobs.length) return loaded;
  const byId = new Map(loaded.map((job) => [job.id, job]));
  const kept = jobs.filter((job) => byId.has(job.id)).map((job) => byId.get(job.id));
  return [...loaded.filter((job) => !previousStates.has(job.id)), ...kept];
}

function announceEnded(loaded) {
  const hasEnded = (job) => previousStates.has(job.id) && previousStates.get(job.id) !== job.state && !isActive(job);
  const ended = loaded.filter(hasEnded);
  if (ended.length === 1) announce(`${jobFileName(ended[0])} is ${ended[0].state}`);
  else if (ended.length) announce(`${ended.length} jobs have ended`);
}

async function loadCounts({ signal }) {
  try {
    counts = (await get("/jobs/counts", { signal })).counts;
  } catch (error) {
    if (error.status !== 404 && error.status !== 405) throw error;
    counts = null; // this service does not count jobs
    stateTabs.update(filters, counts);
    return null;
  }
  stateTabs.update(filters, counts);
}

async function loadCollections() {
  try {
    collections = (await get("/collections")).collections;
    drawFilters();
    draw();
  } catch {
    // Without labels the filters show ids.
  }
}

function onState(state, error, seconds) {
  connection.update(state, error, seconds);
  if (state !== "offline") return;
  problem = error;
  if (!isLoaded) draw();
}

function togglePause() {
  const isPaused = !listPoll.paused;
  for (const each of [listPoll, countPoll]) isPaused ? each.pause() : each.resume();
  pauseButton.textContent = isPaused ? "Resume" : "Pause";
  pauseButton.setAttribute("aria-pressed", String(isPaused));
  announce(isPaused ? "Updates are paused" : "Updates are resumed");
}

// -- drawing -----------------------------------------------------------------------------------------------------------

function drawFilters() {
  filterForm.update(filters, collections);
}

function drawSkeleton() {
  list.setAttribute("aria-busy", "true");
  listHeader.replaceChildren();
  render(pagination);
  render(list, skeletonRows(SKELETON_ROWS));
}

function draw() {
  stateTabs.update(filters, counts);
  if (!isLoaded && !problem) return;
  list.setAttribute("aria-busy", "false");
  if (!isLoaded) return render(list, problemCard());
  render(listHeader, jobs.length > 0 && listSummary());
  render(list, jobs.length ? jobs.map(row) : emptyState());
  drawPagination();
  drawBulkBar();
}

function listSummary() {
  const isPage = nextCursor || filters.cursor;
  return [
    h("label", { class: "row small muted" },
      h("input", { type: "checkbox", class: "select-all", onchange: (event) => selectAll(event.target.checked) }),
      "Select all on this page"),
    h("p", { class: "small muted number" },
      `${count(jobs.length, "job")}${isPage ? " on this page" : ""}, last updated first`),
  ];
}

function drawPagination() {
  const showFirst = () => changeFilters({});
  const showNext = () => {
    changeFilters({ cursor: nextCursor });
    main.focus();
    scrollTo(0, 0);
  };
  const link = (label, changes, action, rel = null) =>
    h("a", { class: "button", href: urlWithFilters(filters, changes), rel, onclick: onPlainClick(action) }, label);
  render(pagination,
    filters.cursor && link("\u2190 Newest", {}, showFirst),
    nextCursor && link("Older \u2192", { cursor: nextCursor }, showNext, "next"));
}

const row = (job) =>
  jobRow(job, {
    collections, isSelected: selected.has(job.id), onSelect: select, onAction: (name) => act(name, [job]),
  });

function problemCard() {
  const isSignedOut = problem.status === 401;
  const retry = async () => (!isSignedOut || (await askForToken())) && listPoll.refresh();
  return h("div", { class: "card empty-state", "data-key": "problem", role: "alert" },
    h("h2", null, isSignedOut ? "Sign in to view jobs" : "Jobs could not be loaded"),
    h("p", null, isSignedOut ? "An access token is required." : `${sentence(problem.message)} ${problem.hint}`),
    h("button", { type: "button", class: "primary", onclick: retry }, isSignedOut ? "Sign in" : "Retry"));
}

function emptyState() {
  if (FILTERS.some((name) => filters[name])) {
    return h("div", { class: "card empty-state", "data-key": "no-match" },
      h("h2", null, "No matching jobs"),
      h("p", null, "No jobs match these filters."),
      h("button", { type: "button", onclick: filterForm.clear }, "Clear filters"));
  }
  return h("div", { class: "card empty-state", "data-key": "empty" },
    pyramidIcon(),
    h("h2", null, "No jobs"),
    h("p", null, "Submit a slide, upload a file to the incoming bucket under ", h("code", null, "<collection>/<session>/"),
      ", or run ", h("code", null, "ptif_upload.py"), ". Jobs appear here automatically."),
    h("a", { class: "button primary", href: pageUrl("submit") }, "Submit a slide"));
}

// -- selection and actions ---------------------------------------------------------------------------------------------

function select(id, isSelected) {
  isSelected ? selected.add(id) : selected.delete(id);
  drawBulkBar();
}

function selectAll(isSelected) {
  for (const job of jobs) isSelected ? selected.add(job.id) : selected.delete(job.id);
  for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = isSelected;
  drawBulkBar();
}

function drawBulkBar() {
  const chosen = jobs.filter((job) => selected.has(job.id));
  const all = listHeader.querySelector(".select-all");
  if (all) {
    all.checked = chosen.length > 0 && chosen.length === jobs.length;
    all.indeterminate = chosen.length > 0 && chosen.length < jobs.length;
  }
  const offersRedrive = filters.state === "failed" && jobs.length > 0;
  bulkBar.hidden = !chosen.length && !offersRedrive;
  render(bulkBar,
    h("p", { class: "number", role: "status" }, chosen.length ? `${chosen.length} selected` : "Failed jobs on all pages"),
    chosen.length ? BULK_ACTIONS.map((name) => bulkButton(name, chosen)) : redriveButton(),
    chosen.length > 0 &&
      h("button", { type: "button", class: "plain", onclick: () => selectAll(false) }, "Clear selection"));
}

function bulkButton(name, chosen) {
  const { label, isDanger, scope, appliesTo } = ACTIONS[name];
  const applicable = chosen.filter(appliesTo).length;
  return h("button", {
    type: "button", class: isDanger ? "danger" : null, disabled: !applicable, ...requireScope(scope),
    onclick: () => act(name, chosen),
  }, label, applicable > 0 && applicable < chosen.length ? ` ${applicable}` : "");
}

function redriveButton() {
  const onclick = async () => (await redrive(jobs, filters.session)) && listPoll.refresh();
  return h("button", { type: "button", ...requireScope("admin"), onclick }, "Redrive…");
}

async function act(name, targets) {
  if (!(await performAction(name, targets))) return;
  if (targets.length > 1) selectAll(false);
  listPoll.refresh();
  countPoll.refresh();
}

/** In the list, arrow keys move between rows and x selects a row. */
function onListKey(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const current = event.target.closest(".job");
  if (!current || event.altKey || event.ctrlKey || event.metaKey) return;
  if (step) {
    const rows = [...list.querySelectorAll(".job")];
    rows[rows.indexOf(current) + step]?.querySelector(".name")?.focus();
    event.preventDefault();
  } else if (event.key === "x") current.querySelector("input[type=checkbox]").click();
}
