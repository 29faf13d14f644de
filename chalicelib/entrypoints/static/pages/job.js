// One job: what it does, how far it is, and what went wrong.
import { ACTIONS, perform } from "../components/actions.js";
import { address, get, post } from "../lib/api.js";
import { h, show } from "../lib/dom.js";
import { bytes, clock, count, dollars, fileTitle, number, seconds, sentence, when } from "../lib/format.js";
import { HOW, faultsOf, faultsText, figuresOf, isFaulty, isLive, nameOf, stateOf, titleOf, toneOf, tookOf, viewerPage } from "../components/job-parts.js";
import { poll } from "../lib/poll.js";
import { preview } from "../components/preview.js";
import { pyramid } from "../components/pyramid.js";
import { askForToken, barred, complain, notice, onWho, pageAddress, say, shell } from "../components/shell.js";

const LINES = 300, EVENTS_PAGE = 500;
const HAPPENED = {
  submitted: "submitted", requeued: "queued again", planning: "a worker is reading its header", planned: "planned", chunk: "a chunk is done", transient_error: "an error, to be tried again",
  rescued: "its messages were sent again", finishing: "all chunks are done", published: "readers see it", verified: "verified", failed: "failed",
  cancelled: "cancelled", superseded: "superseded", cleaned_up: "staged tiles were discarded",
};

const main = document.getElementById("main");
const id = new URLSearchParams(location.search).get("id") || "";
const live = h("span", { class: "live" }, "live");
shell("jobs").append(live);

const head = h("div", { class: "head job-head" });
const trouble = h("div");
const map = pyramid();
const picture = preview();
const parts = Object.fromEntries(["progress", "pyramid", "verification", "attempts", "log", "deliveries", "facts"].map((name) => [name, h("section", { class: `card ${name}`, "aria-label": name, hidden: true })]));
const wide = h("div", { class: "wide" }, parts.progress, parts.pyramid, parts.verification, parts.attempts, parts.log, parts.deliveries);
show(main, main.querySelector(".notices"), head, trouble, h("div", { class: "columns" }, wide, parts.facts));
ghosts();

let job = null, filled = null, lines = [], next = null, deliveries = null, place = null, logProblem = null;
let upload = null; // of a verification: the job whose slide it looks at

const looking = poll(look, { every: 2000, onstate });
onWho((entered) => (entered && !job ? location.reload() : job && draw()));

async function look({ signal }) {
  const found = await get(`/jobs/${encodeURIComponent(id)}`, { signal });
  const was = job;
  job = found;
  if (was && was.state !== job.state) say(`${nameOf(job)} is ${job.state}`);
  if (was && was.attempt !== job.attempt) picture.restart();
  const news = !was || was.updated_at !== job.updated_at || was.state !== job.state || was.tiles.done !== job.tiles.done;
  if (!was) draw();
  // What of these does not come is done without.
  if (news || isLive(job)) filled = (await quietly(get(`/jobs/${id}/map`, { signal }))) || filled;
  if (job.links.events) await readLog(signal);
  if (job.links.deliveries) deliveries = (await quietly(get(job.links.deliveries, { signal })))?.deliveries || deliveries;
  if (!place && job.destination.session) place = (await quietly(placeOf(job.destination))) || "unknown";
  if (job.verification) upload = (await quietly(get(`/jobs/${job.verification.job}`, { signal }))) || upload;
  draw();
  picture.update(job, filled);
  return isLive(job) ? 1000 : isFaulty(job) && upload && isLive(upload) ? 2000 : 10_000;
}

async function quietly(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.name === "AbortError" || error.status === 401) throw error;
    return null;
  }
}

async function readLog(signal) {
  try {
    let page;
    do {
      page = await get(`${job.links.events}?limit=${EVENTS_PAGE}${next ? `&cursor=${encodeURIComponent(next)}` : ""}`, { signal });
      lines = [...lines, ...page.events].slice(-LINES);
      next = page.next || next;
    } while (page.events.length === EVENTS_PAGE);
    logProblem = null;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    logProblem = error;
  }
}

async function placeOf({ collection, session }) {
  const found = await get(`/collections/${collection}`);
  return `${found.label} / ${found.sessions.find((each) => each.id === session)?.label || session}`;
}

function onstate(state, error, wait) {
  live.className = `live ${state}`;
  live.textContent = state === "trouble" ? (error.status === 401 ? "signed out" : `trying again in ${wait} s`) : state;
  if (state !== "trouble" || job) return;
  const signedOut = error.status === 401;
  const missing = error.status === 404;
  show(main, main.querySelector(".notices"), h("div", { class: "card blank", role: "alert" },
    h("h1", null, missing ? "There is no such job" : signedOut ? "Sign in to see this job" : "The job cannot be shown"),
    h("p", { class: "anywhere" }, signedOut ? "Reading needs a token of this service." : missing ? "It may have been forgotten since, or the address is mistyped." : `${sentence(error.message)} ${error.hint}`),
    h("div", { class: "row" }, h("a", { class: "button", href: address("/") }, "All jobs"),
      !missing && h("button", { type: "button", class: "main", onclick: async () => (!signedOut || (await askForToken())) && location.reload() }, signedOut ? "Sign in" : "Try again now"))));
  if (missing) looking.stop();
}

function ghosts() {
  show(head, h("div", { class: "title", role: "status", "aria-label": "Loading the job" }, h("p", { class: "ghost small" }, "\u00a0"), h("p", { class: "ghost" }, "\u00a0")));
  for (const name of ["progress", "pyramid", "facts"]) {
    parts[name].hidden = false;
    show(parts[name], h("p", { class: "ghost" }, "\u00a0"), h("p", { class: "ghost" }, "\u00a0"));
  }
}

function draw() {
  const share = job.tiles.total && isLive(job) ? `${Math.floor((100 * job.tiles.done) / job.tiles.total)} % · ` : "";
  document.title = `${share}${nameOf(job)} · Slidehook`;
  drawHead();
  card("progress", drawProgress());
  card("pyramid", drawPyramid());
  card("verification", drawVerification());
  card("attempts", drawAttempts());
  card("log", drawLog());
  card("deliveries", drawDeliveries());
  card("facts", drawFacts());
}

function card(name, content) {
  parts[name].hidden = !content;
  show(parts[name], content || []);
}

function drawHead() {
  show(head,
    h("div", { class: "title" },
      h("p", { class: "small quiet crumb" }, h("a", { href: address("/") }, "Jobs"), " / ", h("span", { class: "mono" }, job.id.slice(0, 8))),
      h("div", { class: "row" }, h("h1", { class: "anywhere" }, fileTitle(titleOf(job))), stateOf(job)),
    ),
    h("div", { class: "row" },
      Object.entries(ACTIONS).filter(([, action]) => !action.apart && action.takes(job)).map(([name, action]) => h("button", { type: "button", class: action.danger ? "danger" : null, ...barred(action.needs), onclick: () => act(name) }, action.label)),
      job.result && h("a", { class: "button main", href: viewerPage(job) }, "View")),
  );
  const problem = job.error || job.last_transient_error;
  show(trouble, isFaulty(job) && drawFaulty(), problem && h("div", { class: `notice ${job.error ? (job.state === "superseded" ? "warn" : "bad") : "warn"}` },
    h("div", null, h("strong", null, job.error ? "" : "Trying again after an error: "), `${sentence(problem.message)} `, problem.hint, " ", h("code", { class: "small" }, problem.code))));
}

/** What a verification has found, and what to do about it, before anything else. */
function drawFaulty() {
  const found = job.verification;
  const anew = upload && upload.attempt > found.attempt;
  const mended = anew && upload.state === "done";
  const said = !anew ? (found.repair ? "It was asked to publish the slide anew if anything is wrong." : "Readers see the slide as it is until it is published anew.")
    : mended ? `The slide has since been published anew, by attempt ${upload.attempt} of its job.`
    : isLive(upload) ? `The slide is being published anew, by attempt ${upload.attempt} of its job. Readers see the present tiles until it is done.`
    : `The slide was to be published anew, but attempt ${upload.attempt} of its job is ${upload.state}.`;
  return h("div", { class: "notice warn faults" }, h("div", null,
    h("p", null, h("strong", null, `${faultsText(job)}. `), said),
    h("div", { class: "row" },
      (!upload || !anew) && h("button", { type: "button", class: "main", ...barred(ACTIONS.repair.needs), onclick: () => act("repair") }, ACTIONS.repair.label),
      h("a", { class: "button", href: pageAddress("job", { id: found.job }) }, "Open the slide's job"),
      h("a", { class: "button", href: pageAddress("viewer", { slide: found.job }) }, "View"))));
}

async function act(name) {
  if (await perform(name, [job])) looking.now();
}

function drawProgress() {
  const { tiles, bytes: read, chunks, rate } = job;
  const took = tookOf(job);
  const tiling = job.state === "tiling";
  return [
    h("div", { class: "head" }, h("h2", null, "Progress"), h("p", { class: "quiet number" }, figuresOf(job))),
    h("progress", { class: toneOf(job), max: tiles.total || 1, value: tiles.total ? tiles.done : isLive(job) ? null : 0, "aria-label": "Tiles", "aria-valuetext": `${number(tiles.done)} of ${number(tiles.total)} tiles` }),
    h("dl", { class: "figures number" },
      figure("Tiles", outOf(tiles, number)),
      figure(job.verifies || job.verification ? "Compared" : "Read", outOf(read, bytes)),
      figure("Chunks", outOf(chunks, number)),
      figure("Rate", rate.tiles_per_second ? `${number(rate.tiles_per_second)} tiles/s` : "–", rate.bytes_per_second ? `${bytes(rate.bytes_per_second)}/s` : ""),
      tiling ? figure("Left", job.eta_seconds === null ? "–" : seconds(job.eta_seconds)) : figure("Took", took === null ? "–" : seconds(took)),
      filled?.cost && figure(isLive(job) ? "Cost so far" : "Cost", dollars(filled.cost.dollars), `${seconds(filled.cost.worker_seconds)} of workers`)),
  ];
}

const outOf = ({ done, total }, told) => (done === total ? told(total) : `${told(done)} / ${told(total)}`);

const figure = (name, value, more = "") => h("div", null, h("dt", null, name), h("dd", null, value, more && h("span", { class: "small quiet" }, more)));

function drawPyramid() {
  if (!job.levels.length) return isLive(job) ? [h("h2", null, "Pyramid"), h("p", { class: "quiet" }, "Known once the header is read.")] : null;
  map.update(job, filled);
  const bad = job.bad_tiles;
  const done = new Map((filled?.levels || []).map((level) => [level.level, level.tiles_done]));
  return [
    h("div", { class: "head" }, h("h2", null, "Pyramid"), h("p", { class: "quiet small" }, job.verification ? "what has been compared by now" : "what is stored by now, level by level")),
    h("div", { class: "both" }, picture.element, map.element),
    h("table", { class: "levels number" },
      h("caption", { class: "unseen" }, "Levels, finest first"),
      h("thead", null, h("tr", null, ["Level", "Pixels", "Tiles", "Done", "How"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, job.levels.map((level) => {
        const share = done.has(level.level) ? done.get(level.level) / Math.max(1, level.tiles) : 0;
        return h("tr", null, h("th", { scope: "row" }, level.level), h("td", null, `${number(level.width_px)} × ${number(level.height_px)}`),
          h("td", null, `${level.columns} × ${level.rows}`, level.sparse > 0 && h("span", { class: "quiet small" }, ` (${number(level.sparse)} left out by the file)`)),
          h("td", null, done.has(level.level) ? `${share >= 1 ? 100 : Math.floor(100 * share)} %` : "–"), h("td", null, HOW[level.method] || level.method));
      }))),
    bad.count > 0 && h("details", { class: "bad-tiles" }, h("summary", null, h("strong", null, count(bad.count, "damaged tile")), h("span", { class: "quiet" }, job.options.on_bad_tile === "skip" ? " left out" : " shown blank")),
      h("ul", { class: "small" }, bad.items.map((tile) => h("li", { class: "anywhere" }, `level ${tile.level}, column ${tile.column}, row ${tile.row}, byte ${number(tile.offset)}: ${tile.reason}`)), bad.count > bad.items.length && h("li", { class: "quiet" }, `and ${number(bad.count - bad.items.length)} more`))),
  ];
}

function drawVerification() {
  const found = job.verification;
  if (!found) return null;
  return [
    h("h2", null, "Verification"),
    h("p", null, "Of what attempt ", found.attempt, " of ", h("a", { href: pageAddress("job", { id: found.job }) }, "the slide's job"), " has published. ", found.repair && faultsOf(job) === null ? "If anything is wrong, it is published anew." : ""),
    found.intact === null ? h("p", { class: "quiet" }, isLive(job) ? "Its tiles are being read back and compared with the source." : "It ended without a verdict.")
      : found.intact ? h("p", { class: "verdict sound" }, "Every tile is there, once, and is what its source says.")
      : [h("p", { class: "verdict warned" }, `${faultsText(job)}.`),
        h("ul", { class: "small lines" }, found.faults.map((fault) => h("li", null, `level ${fault.level}, column ${fault.column}, row ${fault.row}: ${fault.fault} `, h("code", null, fault.name))))],
  ];
}

function drawAttempts() {
  const past = [...job.attempts].reverse();
  const now = isLive(job) && { attempt: job.attempt, started_at: job.started_at, ended_at: null, outcome: job.state, error: job.last_transient_error };
  return [
    h("h2", null, job.attempts.length + (now ? 1 : 0) > 1 ? "Attempts" : "Attempt"),
    h("ol", { class: "timeline" }, [now, ...past].filter(Boolean).map((each) => h("li", { class: each.outcome === "done" && isFaulty(job) && each.attempt === job.attempt ? "done faulty" : each.outcome, "data-key": `attempt ${each.attempt}` },
      h("div", { class: "row" }, h("strong", null, `Attempt ${each.attempt}`), each.outcome === "done" && each.attempt === job.attempt ? stateOf(job) : h("span", { class: `state ${each.outcome}` }, each.outcome),
        h("span", { class: "quiet small number" }, clock(each.started_at), each.ended_at ? [" to ", clock(each.ended_at), ` · ${seconds((Date.parse(each.ended_at) - Date.parse(each.started_at)) / 1000)}`] : [" · ", when(each.started_at)])),
      each.error && h("p", { class: "small anywhere" }, `${sentence(each.error.message)} `, h("span", { class: "quiet" }, each.error.hint), " ", h("code", null, each.error.code))))),
  ];
}

function drawLog() {
  if (!job.links.events) return null;
  const box = parts.log.querySelector(".lines");
  const atEnd = !box || box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  if (atEnd) requestAnimationFrame(() => parts.log.querySelector(".lines")?.scrollTo(0, 1e9));
  return [
    h("div", { class: "head" }, h("h2", null, "Log"), h("a", { class: "small", href: address(job.links.events) }, "as JSON")),
    logProblem && h("p", { class: "small flaw" }, `The log cannot be read just now: ${logProblem.message}`),
    lines.length
      ? h("ul", { class: "lines small", "aria-label": "Log", tabindex: "0" }, lines.map((line, at) => h("li", { class: ["failed", "transient_error"].includes(line.event) ? "flaw" : null, "data-key": `${line.at} ${line.event} ${line.chunk ?? ""} ${at}` },
          clock(line.at), h("span", { class: "anywhere" }, told(line)))))
      : !logProblem && h("p", { class: "quiet small" }, "No log is kept of this job."),
  ];
}

function told(line) {
  // Of a chunk's line, `chunks` are those that are done by then.
  const of = line.event === "chunk" && (lines.find((each) => each.event === "planned" && each.attempt === line.attempt)?.chunks ?? (line.attempt === job.attempt && job.chunks.total));
  const figures = [
    line.chunk !== undefined && !of && `chunk ${line.chunk}`,
    line.chunks !== undefined && (of ? `${number(line.chunks)} of ${count(of, "chunk")}` : count(line.chunks, "chunk")),
    line.tiles !== undefined && count(line.tiles, "tile"),
    line.tiles_bad > 0 && `${line.tiles_bad} damaged`,
    line.source_bytes !== undefined && bytes(line.source_bytes),
    line.seconds !== undefined && seconds(line.seconds),
  ].filter(Boolean).join(", ");
  return [HAPPENED[line.event] || line.event, figures && h("span", { class: "quiet" }, ` · ${figures}`), line.message && `: ${line.message}`, line.hint && h("span", { class: "quiet" }, ` ${line.hint}`), line.worker && h("span", { class: "quiet mono" }, ` ${line.worker}`)];
}

function drawDeliveries() {
  if (!deliveries?.length) return null;
  return [
    h("h2", null, "Callbacks"),
    h("ul", { class: "deliveries" }, deliveries.map((each) => h("li", { "data-key": each.id },
      h("div", { class: "row" }, h("strong", { class: "anywhere" }, each.receiver), h("span", { class: "tag" }, each.type), h("span", { class: "quiet" }, each.state),
        each.links?.replay && h("button", { type: "button", class: "plain", "aria-label": `Send ${each.type} to ${each.receiver} again`, ...barred("submit"), onclick: () => replay(each) }, "Send again")),
      h("ul", { class: "small quiet" }, each.tries.map((made) => h("li", { class: "anywhere" }, clock(made.at), ` · ${made.status || "no answer"}${made.error ? ` · ${made.error}` : ""} · ${made.milliseconds} ms`))),
      each.next_at && h("p", { class: "small quiet" }, "next try ", clock(each.next_at))))),
  ];
}

async function replay(delivery) {
  try {
    await post(delivery.links.replay);
    notice(`Sending it to ${delivery.receiver} again.`, { kind: "ok", key: "replay", seconds: 6 });
    looking.now();
  } catch (error) {
    complain(error, { key: "replay" });
  }
}

function drawFacts() {
  const { slide, source, destination, options } = job;
  const fact = (name, ...value) => (value.some((each) => each !== null && each !== undefined && each !== "" && each !== false) ? h("div", null, h("dt", null, name), h("dd", { class: "anywhere" }, value)) : null);
  const chosen = [options.tile_size && `tiles of ${options.tile_size} px`, options.base_only && "base level only", options.overwrite && "overwrites the same name", options.on_bad_tile !== "blank" && `damaged tiles: ${options.on_bad_tile}`, options.associated && "with label, macro and thumbnail"].filter(Boolean);
  const spacing = slide?.mpp_x && `${slide.mpp_x} µm per pixel`;
  return [
    slide && [h("h2", null, "Slide"), h("dl", { class: "facts number" },
      fact("Size", `${number(slide.width_px)} × ${number(slide.height_px)} px`), fact("Scale", spacing), fact("Glass", spacing && `${((slide.width_px * slide.mpp_x) / 1000).toFixed(1)} × ${((slide.height_px * (slide.mpp_y || slide.mpp_x)) / 1000).toFixed(1)} mm`), fact("Magnification", slide.magnification && `${slide.magnification} ×`),
      fact("Scanner", slide.vendor), fact("Tile size", `${slide.tile_size_px} px`), fact("Colour profile", slide.icc_profile_bytes ? bytes(slide.icc_profile_bytes) : ""), fact("Associated images", slide.associated.join(", ")))],
    h("h2", null, "Source"), h("dl", { class: "facts number" },
      fact("File", h("span", { class: "mono" }, `s3://${source.bucket}/${source.key}`)), fact("Size", bytes(source.size_bytes)), fact("Version", source.version_id && h("span", { class: "mono" }, source.version_id)), fact("ETag", h("span", { class: "mono" }, source.etag.replaceAll('"', ""))), fact("Last modified", source.last_modified_at && when(source.last_modified_at))),
    h("h2", null, "Destination"), h("dl", { class: "facts" },
      fact("Session", place && destination.session && h("a", { href: pageAddress("session", { id: destination.session }) }, place)), fact("Image", job.result && h("span", { class: "mono" }, job.result.image)), fact("Replaces image", destination.mongo_collection && h("span", { class: "mono" }, destination.mongo_collection)), fact("Options", chosen.join(", ") || "Default options")),
    h("h2", null, "Job"), h("dl", { class: "facts" },
      fact("Id", h("span", { class: "mono" }, job.id)), fact("Hook", job.hook), fact("Submitted", when(job.submitted_at)), fact("Last change", when(job.updated_at)),
      fact("As JSON", h("a", { href: address(job.links.self) }, "status"), ", ", h("a", { href: address(`/jobs/${job.id}/map`) }, "map"))),
  ];
}
