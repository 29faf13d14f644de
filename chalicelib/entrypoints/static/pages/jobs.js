// The list of jobs. Filters and place stand in the address, so that it can be kept and handed on.
import { ACTIONS, perform, redrive } from "../components/actions.js";
import { get } from "../lib/api.js";
import { h, s, show } from "../lib/dom.js";
import { count, fileTitle, number, sentence, when } from "../lib/format.js";
import { STATES, faultsOf, isLive, jobPage, nameOf, pictureOf, progressOf, stateOf, titleOf, troubleOf, viewerPage } from "../components/job-parts.js";
import { askForToken, barred, onWho, pageAddress, say, shell } from "../components/shell.js";
import { poll } from "../lib/poll.js";

const PAGE = 50;
const HOOKS = ["upload", "verify"];
const SINCE = { "1h": ["Last hour", 3600], "24h": ["Last 24 hours", 86_400], "7d": ["Last 7 days", 604_800], "30d": ["Last 30 days", 2_592_000] };
const KEYS = ["state", "session", "collection", "hook", "text", "since", "from", "to", "cursor"];
const BULK = ["retry", "cancel", "verify", "remove"];

const main = document.getElementById("main");
const side = shell("jobs");
const live = h("span", { class: "live" }, "live");
const pause = h("button", { type: "button", "aria-pressed": "false", onclick: togglePause }, "Pause");
const states = h("nav", { class: "states", "aria-label": "States" });
const filters = h("form", { class: "filters", role: "search", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() });
const list = h("div", { class: "jobs", role: "list", "aria-label": "Jobs", "aria-busy": "true", onkeydown: walk });
const foot = h("nav", { class: "foot", "aria-label": "Pages of the list" });
const folds = matchMedia("(max-width: 44rem)");
const fold = h("details", { class: "fold", open: !folds.matches }, h("summary", null, "Filters"), filters);
folds.addEventListener("change", () => (fold.open = !folds.matches));
const bulk = h("div", { class: "bulk", role: "region", "aria-label": "Selected jobs", hidden: true });
const top = h("div", { class: "top" });

side.append(live);
show(main, main.querySelector(".notices"),
  h("div", { class: "head" }, h("h1", null, "Jobs"), h("div", { class: "row" }, pause, h("a", { class: "button main", href: pageAddress("submit") }, "Submit a slide"))),
  states, fold, top, list, foot, bulk);

let wanted = fromAddress();
let jobs = []; // as shown, in their order
let next = null;
let counts = null;
let collections = [];
let loaded = false;
let problem = null;
let before = new Map(); // id -> state at the last look
const selected = new Set();

ghosts();
drawFilters();
loadCollections();
const looking = poll(look, { every: 2000, onstate });
const counting = poll(countAll, { every: 5000 });

onWho((entered) => {
  drawBulk();
  if (!entered) return void draw();
  loadCollections();
  for (const each of [looking, counting]) each.now();
});

addEventListener("popstate", () => {
  wanted = fromAddress();
  drawFilters();
  anew();
});

// -- asking ----------------------------------------------------------------------------------------------------------

function fromAddress() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(KEYS.map((key) => [key, query.get(key) || ""]));
}

function addressOf(changes) {
  const asked = { ...wanted, cursor: "", ...changes };
  const query = new URLSearchParams(KEYS.filter((key) => asked[key]).map((key) => [key, asked[key]]));
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

function want(changes, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", addressOf(changes));
  wanted = fromAddress();
  anew();
}

function anew() {
  selected.clear();
  loaded = false;
  jobs = [];
  before = new Map();
  ghosts();
  drawStates();
  drawBulk();
  looking.now();
}

/** The path that the filters ask for. Instants are rounded, so that the same path is asked for again. */
function path() {
  const query = new URLSearchParams({ limit: PAGE });
  for (const state of wanted.state.split(" ").filter(Boolean)) query.append("state", state);
  for (const key of ["session", "collection", "hook", "text", "cursor"]) if (wanted[key]) query.set(key, wanted[key]);
  const instant = (milliseconds) => new Date(milliseconds).toISOString().replace(".000Z", "Z");
  if (SINCE[wanted.since]) query.set("submitted_after", instant(Math.floor(Date.now() / 60_000) * 60_000 - SINCE[wanted.since][1] * 1000));
  if (Date.parse(wanted.from)) query.set("submitted_after", instant(new Date(`${wanted.from}T00:00`).getTime()));
  if (Date.parse(wanted.to)) query.set("submitted_before", instant(new Date(`${wanted.to}T00:00`).getTime() + 86_400_000));
  return `/jobs?${query}`;
}

async function look({ signal }) {
  const found = await get(path(), { signal });
  const first = !loaded;
  loaded = true;
  problem = null;
  next = found.next;
  jobs = steady(found.jobs);
  if (!first) announce(found.jobs);
  before = new Map(jobs.map((job) => [job.id, job.state]));
  for (const id of [...selected]) if (!before.has(id)) selected.delete(id);
  draw();
  return jobs.some(isLive) ? 1500 : 5000;
}

/** Rows that somebody points at, or has selected, do not move away under the pointer: they keep their places, and what
 *  is new stands above them. */
function steady(found) {
  const held = selected.size || list.matches(":hover") || list.contains(document.activeElement);
  if (!held || !jobs.length) return found;
  const by = new Map(found.map((job) => [job.id, job]));
  const kept = jobs.filter((job) => by.has(job.id)).map((job) => by.get(job.id));
  return [...found.filter((job) => !before.has(job.id)), ...kept];
}

function announce(found) {
  const ended = found.filter((job) => before.has(job.id) && before.get(job.id) !== job.state && !isLive(job));
  if (ended.length === 1) say(`${nameOf(ended[0])} is ${ended[0].state}`);
  else if (ended.length) say(`${ended.length} jobs have ended`);
}

async function countAll({ signal }) {
  try {
    counts = (await get("/jobs/counts", { signal })).counts;
  } catch (error) {
    if (error.status !== 404 && error.status !== 405) throw error;
    counts = null; // this service does not count
    drawStates();
    return null;
  }
  drawStates();
}

async function loadCollections() {
  try {
    collections = (await get("/collections")).collections;
    drawFilters();
    draw();
  } catch {
    // The filters do without: ids in the address still count.
  }
}

function onstate(state, error, seconds) {
  live.className = `live ${state}`;
  if (state === "trouble") {
    problem = error;
    live.textContent = error.status === 401 ? "signed out" : `trying again in ${seconds} s`;
    if (!loaded) draw();
  } else live.textContent = state === "paused" ? "paused" : "live";
}

function togglePause() {
  const paused = !looking.paused;
  for (const each of [looking, counting]) paused ? each.pause() : each.resume();
  pause.textContent = paused ? "Resume" : "Pause";
  pause.setAttribute("aria-pressed", String(paused));
  say(paused ? "The list stands still" : "The list is live");
}

// -- drawing ---------------------------------------------------------------------------------------------------------

function ghosts() {
  list.setAttribute("aria-busy", "true");
  top.replaceChildren();
  show(foot);
  show(list, Array.from({ length: 6 }, (_, at) => h("div", { class: "job", "data-key": `ghost ${at}`, "aria-hidden": "true" },
    h("span", { class: "ghost box" }), h("span", { class: "ghost picture" }),
    h("div", { class: "what" }, h("span", { class: "ghost" }, "\u00a0"), h("span", { class: "ghost small" }, "\u00a0")),
    h("span", { class: "ghost state" }, "\u00a0"), h("span", { class: "ghost progress" }, "\u00a0"), h("span"))));
}

function draw() {
  drawStates();
  if (problem && !loaded) {
    list.setAttribute("aria-busy", "false");
    const signedOut = problem.status === 401;
    show(list, h("div", { class: "card blank", "data-key": "problem", role: "alert" },
      h("h2", null, signedOut ? "Sign in to see the jobs" : "The jobs cannot be shown"),
      h("p", null, signedOut ? "Reading needs a token of this service." : `${sentence(problem.message)} ${problem.hint}`),
      h("button", { type: "button", class: "main", onclick: async () => (!signedOut || (await askForToken())) && looking.now() }, signedOut ? "Sign in" : "Try again now")));
    return;
  }
  if (!loaded) return;
  list.setAttribute("aria-busy", "false");
  show(top, jobs.length ? h("label", { class: "row small quiet" }, h("input", { type: "checkbox", class: "all", onchange: (event) => selectAll(event.target.checked) }), "Select all on this page") : null,
    jobs.length ? h("p", { class: "small quiet number" }, shownAs()) : null);
  show(list, jobs.length ? jobs.map(row) : nothing());
  show(foot,
    wanted.cursor && h("a", { class: "button", href: addressOf({}), onclick: follow(() => want({})) }, "\u2190 Newest"),
    next && h("a", { class: "button", href: addressOf({ cursor: next }), rel: "next", onclick: follow(() => { want({ cursor: next }); main.focus(); scrollTo(0, 0); }) }, "Older \u2192"));
  drawBulk();
}

const shownAs = () => `${count(jobs.length, "job")}${next || wanted.cursor ? " on this page" : ""}, recently changed first`;

const follow = (act) => (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  act();
};

function row(job) {
  const name = titleOf(job);
  return h("div", { class: "job", role: "listitem", "data-key": job.id },
    h("input", { type: "checkbox", checked: selected.has(job.id), "aria-label": `Select ${name}`, onchange: (event) => select(job.id, event.target.checked) }),
    h("a", { class: "face", href: job.result ? viewerPage(job) : jobPage(job), tabindex: "-1", "aria-hidden": "true" }, pictureOf(job)),
    h("div", { class: "what" },
      h("a", { class: "name anywhere", href: jobPage(job) }, fileTitle(nameOf(job))),
      h("p", { class: "small quiet" }, job.hook !== "upload" && h("span", { class: "tag" }, job.hook), placeOf(job), job.attempt > 1 && ` · attempt ${job.attempt}`, job.bad_tiles.count > 0 && h("span", { class: "flaw" }, ` · ${count(job.bad_tiles.count, "damaged tile")}`), verdictOf(job)),
    ),
    h("div", { class: "how" }, stateOf(job), h("p", { class: "small quiet" }, when(job.ended_at || job.updated_at))),
    progressOf(job),
    h("div", { class: "do" }, ["cancel", "retry"].filter((each) => ACTIONS[each].takes(job)).map((each) => h("button", { type: "button", class: "plain", "aria-label": `${ACTIONS[each].label} ${name}`, ...barred(ACTIONS[each].needs), onclick: () => act(each, [job]) }, ACTIONS[each].label)),
      job.result && job.hook === "upload" && h("a", { class: "button plain", href: viewerPage(job), "aria-label": `View ${nameOf(job)}` }, "View")),
    troubleOf(job),
  );
}

function verdictOf(job) {
  const faults = faultsOf(job);
  if (faults === null) return null;
  return faults ? h("span", { class: "warned" }, ` · ${count(faults, "fault")} found`) : h("span", { class: "sound" }, " · intact");
}

function placeOf(job) {
  for (const collection of collections) {
    const session = collection.sessions.find((each) => each.id === job.destination.session);
    if (session) return `${collection.label} / ${session.label}`;
  }
  return job.destination.session ? `session ${job.destination.session.slice(-6)}` : "nowhere";
}

function nothing() {
  if (KEYS.some((key) => wanted[key])) {
    return h("div", { class: "card blank", "data-key": "none" }, h("h2", null, "No job matches"), h("p", null, "Other filters may show more."),
      h("button", { type: "button", onclick: clear }, "Clear the filters"));
  }
  return h("div", { class: "card blank", "data-key": "empty" },
    s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { fill: "currentColor", d: "M3 15h8v6H3zM13 15h8v6h-8zM6 8h5v5H6zM13 8h5v5h-5zM9.5 3h5v3.5h-5z" })),
    h("h2", null, "No slide has been submitted yet"),
    h("p", null, "Submit one here, put it into the incoming bucket under ", h("code", null, "<collection>/<session>/"), ", or run ", h("code", null, "ptif_upload.py"), ". It appears in this list at once."),
    h("a", { class: "button main", href: pageAddress("submit") }, "Submit a slide"));
}

function drawStates() {
  const asked = new Set(wanted.state.split(" ").filter(Boolean));
  const total = counts && STATES.reduce((sum, state) => sum + (counts[state]?.count || 0), 0);
  const exact = counts && STATES.every((state) => counts[state]?.is_exact !== false);
  const link = (label, state, figure, plus, current) => h("a", { href: addressOf({ state }), class: `tab ${label}`, "aria-current": current ? "true" : null, onclick: follow(() => want({ state })) },
    h("span", { class: `dot ${label}` }), h("span", null, label), counts && h("strong", { class: "number" }, `${number(figure)}${plus ? "+" : ""}`));
  show(states,
    link("all", "", total, !exact, !asked.size),
    STATES.map((state) => link(state, state, counts?.[state]?.count || 0, counts?.[state]?.is_exact === false, asked.size === 1 && asked.has(state))));
}

function drawFilters() {
  const shownSessions = collections.filter((each) => !wanted.collection || each.id === wanted.collection);
  const between = Boolean(wanted.from || wanted.to || wanted.since === "between");
  const set = ["session", "collection", "hook", "text", "since"].filter((key) => wanted[key]).length;
  fold.firstChild.textContent = set ? `Filters (${set})` : "Filters";
  const select = (key, label, options, change) => h("label", { class: "field" }, h("span", null, label),
    h("select", { name: key, onchange: (event) => change(event.target.value) }, options));
  const option = (value, label, chosen) => h("option", { value, selected: chosen }, label);
  let typing = 0;
  show(filters,
    h("label", { class: "field grow" }, h("span", null, "File name or id"), h("input", { type: "search", name: "text", value: wanted.text, placeholder: "slide.svs", autocomplete: "off", spellcheck: "false", maxlength: 200,
      oninput: (event) => {
        clearTimeout(typing);
        const text = event.target.value.trim();
        typing = setTimeout(() => text !== wanted.text && (want({ text }, { replace: true }), drawFilters()), 300);
      } })),
    collections.length > 1 && select("collection", "Collection", [option("", "Any"), collections.map((each) => option(each.id, each.label || each.id, each.id === wanted.collection))], (collection) => { want({ collection, session: "" }); drawFilters(); }),
    (collections.length || wanted.session) && select("session", "Session", [option("", "Any"),
      shownSessions.map((each) => h("optgroup", { label: each.label || each.id }, each.sessions.map((session) => option(session.id, session.label || session.id, session.id === wanted.session)))),
      wanted.session && !collections.some((each) => each.sessions.some((session) => session.id === wanted.session)) && option(wanted.session, `…${wanted.session.slice(-6)}`, true)],
      (session) => { want({ session }); drawFilters(); }),
    select("hook", "Hook", [option("", "Any"), HOOKS.map((hook) => option(hook, hook, hook === wanted.hook))], (hook) => { want({ hook }); drawFilters(); }),
    select("since", "Submitted", [option("", "Any time", !between && !wanted.since), Object.entries(SINCE).map(([key, [label]]) => option(key, label, !between && wanted.since === key)), option("between", "Between …", between)],
      (since) => { want({ since, from: "", to: "" }); drawFilters(); }),
    between && h("label", { class: "field" }, h("span", null, "From"), h("input", { type: "date", value: wanted.from, onchange: (event) => want({ since: "between", from: event.target.value }) })),
    between && h("label", { class: "field" }, h("span", null, "To, inclusive"), h("input", { type: "date", value: wanted.to, onchange: (event) => want({ since: "between", to: event.target.value }) })),
    KEYS.some((key) => key !== "state" && key !== "cursor" && wanted[key]) && h("button", { type: "button", class: "plain", onclick: clear }, "Clear"),
  );
}

function clear() {
  want(Object.fromEntries(KEYS.map((key) => [key, ""])));
  drawFilters();
  filters.querySelector("input").value = "";
}

// -- selecting and doing -----------------------------------------------------------------------------------------------

function select(id, is) {
  is ? selected.add(id) : selected.delete(id);
  drawBulk();
}

function selectAll(is) {
  for (const job of jobs) is ? selected.add(job.id) : selected.delete(job.id);
  for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = is;
  drawBulk();
}

function drawBulk() {
  const chosen = jobs.filter((job) => selected.has(job.id));
  const all = top.querySelector(".all");
  if (all) [all.checked, all.indeterminate] = [chosen.length > 0 && chosen.length === jobs.length, chosen.length > 0 && chosen.length < jobs.length];
  const failed = wanted.state === "failed" && jobs.length > 0;
  bulk.hidden = !chosen.length && !failed;
  show(bulk,
    h("p", { class: "number", role: "status" }, chosen.length ? `${chosen.length} selected` : "Failed jobs, on this page and others:"),
    chosen.length
      ? BULK.map((each) => {
          const can = chosen.filter(ACTIONS[each].takes).length;
          return h("button", { type: "button", class: ACTIONS[each].danger ? "danger" : null, disabled: !can, ...barred(ACTIONS[each].needs), onclick: () => act(each, chosen) }, ACTIONS[each].label, can > 0 && can < chosen.length ? ` ${can}` : "");
        })
      : h("button", { type: "button", ...barred("admin"), onclick: async () => (await redrive(jobs, wanted.session)) && looking.now() }, "Redrive …"),
    chosen.length > 0 && h("button", { type: "button", class: "plain", onclick: () => selectAll(false) }, "Clear"));
}

async function act(name, some) {
  if (await perform(name, some)) {
    if (some.length > 1) selectAll(false);
    looking.now();
    counting.now();
  }
}

/** Arrow keys go from row to row, x selects: while the list has the focus. */
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const here = event.target.closest(".job");
  if (!here || event.altKey || event.ctrlKey || event.metaKey) return;
  if (step) {
    const rows = [...list.querySelectorAll(".job")];
    rows[rows.indexOf(here) + step]?.querySelector(".name")?.focus();
    event.preventDefault();
  } else if (event.key === "x") here.querySelector("input[type=checkbox]").click();
}
