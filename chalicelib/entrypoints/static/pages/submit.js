// Submitting slides: from this computer, straight to S3, or from where they lie there. What would become of a slide is
// shown before anything is published.
import { get, post, problemOf } from "../lib/api.js";
import { h, s, show } from "../lib/dom.js";
import { bytes, count, dollars, fileTitle, number, seconds, sentence } from "../lib/format.js";
import { HOW, isLive, jobPage, nameOf, progressOf, stateOf, viewerPage } from "../components/job-parts.js";
import { poll } from "../lib/poll.js";
import { barred, complain, confirm, lacking, may, notice, onWho, say, shell } from "../components/shell.js";
import { Transfer, fingerprint, forget, unfinished, whyNot } from "../lib/transfer.js";

const PLACE = "slidehook: last session";
const MAX_LABEL = 200;
const main = document.getElementById("main");
shell("submit");

let collections = null;
let trouble = null;
let place = kept();
let rows = []; // what is under way, the newest first
let publishAtOnce = true;
let running = null;
let following = null;
const options = { tile_size: "", base_only: false, overwrite: false, on_bad_tile: "blank", associated: false };

const where = h("section", { class: "card where" });
const from = h("section", { class: "card from" });
const under = h("section", { class: "under", "aria-label": "Under way" });
const left = h("section", { class: "left-over" });
const input = h("input", { type: "file", multiple: true, class: "unseen", id: "files", tabindex: "-1", "aria-label": "Slides from this computer", accept: ".svs,.tif,.tiff,.ptif,.btf,image/tiff", onchange: () => { take([...input.files]); input.value = ""; } });
show(main, main.querySelector(".notices"), h("div", { class: "head" }, h("h1", null, "Submit a slide")), where, from, under, left);
drawWhere();
drawFrom();
drawLeft();
load();
onWho((entered) => {
  if (entered) load();
  drawWhere();
  drawFrom();
});

async function load() {
  try {
    collections = (await get("/collections")).collections;
    trouble = null;
    const known = collections.flatMap((each) => each.sessions.map((session) => [each.id, session.id]));
    if (!known.some(([, session]) => session === place.session)) [place.collection, place.session] = known.length === 1 ? known[0] : [collections.length === 1 ? collections[0].id : "", ""];
  } catch (error) {
    trouble = problemOf(error);
  }
  drawWhere();
  drawFrom();
}

function kept() {
  try {
    return { collection: "", session: "", ...JSON.parse(localStorage.getItem(PLACE)) };
  } catch {
    return { collection: "", session: "" };
  }
}

function choose(changes) {
  place = { ...place, ...changes };
  localStorage.setItem(PLACE, JSON.stringify(place));
  drawWhere();
  drawFrom();
}

// -- where it goes ---------------------------------------------------------------------------------------------------

function drawWhere() {
  if (trouble) return show(where, h("h2", null, "Where it goes"), h("p", { class: "flaw", role: "alert" }, `The collections cannot be listed: ${trouble.message} ${trouble.hint}`), h("button", { type: "button", onclick: load }, "Try again"));
  if (!collections) return show(where, h("h2", null, "Where it goes"), h("p", { class: "ghost", role: "status", "aria-label": "Loading the collections" }, "\u00a0"));
  if (!collections.length) return show(where, h("h2", null, "Where it goes"), h("p", { class: "quiet" }, "There is no collection yet. Collections are created in SlideAtlas."));
  const collection = collections.find((each) => each.id === place.collection);
  const option = (value, label, chosen) => h("option", { value, selected: chosen }, label);
  show(where,
    h("h2", null, "Where it goes"),
    h("div", { class: "row fields" },
      h("label", { class: "field" }, h("span", null, "Collection"), h("select", { onchange: (event) => choose({ collection: event.target.value, session: "" }) },
        !collection && option("", "Choose one", true), collections.map((each) => option(each.id, each.label || each.id, each.id === place.collection)))),
      h("label", { class: "field" }, h("span", null, "Session"), h("select", { disabled: !collection, onchange: (event) => choose({ session: event.target.value }) },
        !place.session && option("", "Choose one", true), (collection?.sessions || []).map((each) => option(each.id, each.label || each.id, each.id === place.session)))),
      collection && h("button", { type: "button", ...barred("submit"), onclick: newSession }, "New session …"),
    ),
    h("details", { class: "options" }, h("summary", null, "Options"), optionFields()));
}

async function newSession() {
  const label = h("input", { type: "text", required: true, maxlength: MAX_LABEL, autofocus: true });
  const name = await confirm({ title: "New session", yes: "Create", read: () => label.value.trim(), body: h("label", { class: "field" }, h("span", null, "Name"), label) });
  if (!name) return;
  try {
    const made = await post(`/collections/${place.collection}/sessions`, { label: name });
    place.session = made.id;
    await load();
    choose({ session: made.id });
    say(`The session ${name} is created and chosen`);
  } catch (error) {
    complain(error, { key: "session" });
  }
}

function optionFields() {
  const check = (name, label, hint) => h("label", { class: "row option" }, h("input", { type: "checkbox", checked: options[name], onchange: (event) => (options[name] = event.target.checked) }), h("span", null, label, h("span", { class: "quiet small" }, hint)));
  return h("div", { class: "option-fields" },
    h("label", { class: "field" }, h("span", null, "Tile size (px)"), h("input", { type: "number", min: 64, max: 4096, step: 16, placeholder: "as the file has them", value: options.tile_size, onchange: (event) => (options.tile_size = event.target.value) })),
    h("label", { class: "field" }, h("span", null, "A tile that cannot be read"), h("select", { onchange: (event) => (options.on_bad_tile = event.target.value) },
      [["blank", "is shown blank"], ["skip", "is left out"], ["fail", "fails the job"]].map(([value, label]) => h("option", { value, selected: options.on_bad_tile === value }, label)))),
    check("associated", "Publish label, macro and thumbnail", "They can show a patient's name."),
    check("overwrite", "Replace a slide of the same file name", "Also one that came from another source."),
    check("base_only", "Full resolution only", "No coarser levels."));
}

function chosenOptions() {
  const { tile_size, ...others } = options;
  return { ...others, ...(tile_size ? { tile_size: Number(tile_size) } : {}) };
}

// -- where it comes from -----------------------------------------------------------------------------------------------

function drawFrom() {
  const allowed = may("submit");
  const ready = Boolean(place.session) && allowed;
  show(from,
    h("h2", null, "Where it comes from"),
    !allowed && h("p", { class: "notice warn", role: "status" }, lacking("submit")),
    h("div", { class: "ways" },
      h("div", { class: `drop${ready ? "" : " shut"}`, ondragover: over, ondragleave: (event) => event.currentTarget.classList.remove("over"), ondrop: dropped },
        s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { fill: "none", stroke: "currentColor", "stroke-width": 1.5, "stroke-linecap": "round", "stroke-linejoin": "round", d: "M12 16V4m0 0 4.5 4.5M12 4 7.5 8.5M4 15v3.5A1.5 1.5 0 0 0 5.5 20h13a1.5 1.5 0 0 0 1.5-1.5V15" })),
        h("p", null, h("strong", null, "Drop slides here"), ready ? ", or" : ""),
        input,
        h("button", { type: "button", class: "main", disabled: !ready, onclick: () => input.click() }, "Choose files"),
        h("p", { class: "quiet small" }, ready ? "Pyramidal TIFF: .svs, .tif, .ptif. They go straight to S3, in parts, and resume where they stopped." : allowed ? "Choose a session first." : "")),
      h("form", { class: "address", onsubmit: byAddress },
        h("label", { class: "field" }, h("span", null, "Or a slide in S3"), h("input", { type: "text", name: "source", required: true, placeholder: "s3://bucket/folder/slide.svs", pattern: "s3://.+/.+", title: "s3://bucket/key", autocomplete: "off", spellcheck: "false", inputmode: "url" })),
        h("button", { disabled: !ready }, "Inspect"),
        h("p", { class: "quiet small" }, "Preview what will happen."))),
    h("label", { class: "row at-once" }, h("input", { type: "checkbox", checked: publishAtOnce, onchange: (event) => (publishAtOnce = event.target.checked) }), "Publish a file as soon as it has arrived, unless it would be refused"));
}

function over(event) {
  if (!place.session || !may("submit") || ![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  event.currentTarget.classList.add("over");
}

function dropped(event) {
  event.preventDefault();
  event.currentTarget.classList.remove("over");
  if (place.session && may("submit")) take([...event.dataTransfer.files]);
}

// A file that misses the zone would otherwise be opened in place of this page.
for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
addEventListener("beforeunload", (event) => {
  if (rows.some((row) => ["waiting", "sending", "paused"].includes(row.stage))) event.preventDefault();
});

async function byAddress(event) {
  event.preventDefault();
  const source = new FormData(event.target).get("source").trim();
  const row = add({ name: source.split("/").pop(), source, stage: "inspecting" });
  event.target.reset();
  await inspect(row);
}

// -- what is under way -------------------------------------------------------------------------------------------------

function add(facts) {
  const row = { id: crypto.randomUUID?.() || String(Math.random()), place: { ...place }, options: chosenOptions(), at: Date.now(), ...facts };
  rows = [row, ...rows];
  drawUnder();
  return row;
}

async function take(files) {
  if (!place.session) return void notice("Choose a session first.", { kind: "warn", key: "session", seconds: 8 });
  for (const file of files) {
    if (rows.some((row) => row.file && fingerprint(row.file) === fingerprint(file) && row.stage !== "refused" && row.stage !== "failed")) {
      notice(`${file.name} is already under way.`, { key: "twice", seconds: 5 });
      continue;
    }
    const row = add({ name: file.name, size: file.size, file, stage: "waiting" });
    const why = await whyNot(file);
    if (why) Object.assign(row, { stage: "refused", refusal: { message: why, hint: "" } });
  }
  drawUnder();
  running ??= sendAll().finally(() => (running = null));
}

/** Send one file after the other: each takes the whole line. */
async function sendAll() {
  for (let row = nextOne(); row; row = nextOne()) await send(row);
}

const nextOne = () => rows.findLast((row) => row.stage === "waiting");

async function send(row) {
  row.stage = "sending";
  row.transfer = new Transfer(row.file, { ...row.place, onchange: drawSoon });
  drawUnder();
  try {
    row.source = await row.transfer.run();
  } catch (error) {
    if (row.transfer.cancelled) return;
    Object.assign(row, { stage: "failed", problem: problemOf(error) });
    say(`${row.name} could not be sent`);
    drawUnder();
    return;
  } finally {
    drawLeft();
  }
  row.stage = "inspecting";
  drawUnder();
  await inspect(row);
}

async function inspect(row) {
  const { tile_size, base_only, on_bad_tile } = row.options;
  row.wanted = Boolean(row.file) && publishAtOnce;
  try {
    row.found = await post("/hooks/inspect", { source: row.source, base_only, on_bad_tile, ...(tile_size ? { tile_size } : {}) });
    if (row.found.verdict === "refuse") Object.assign(row, { stage: "refused", refusal: row.found.reason });
    else row.stage = "inspected";
  } catch (error) {
    Object.assign(row, { stage: "failed", problem: problemOf(error) });
  }
  say(`${row.name} ${row.stage === "inspected" ? "can be published" : "cannot be published"}`);
  drawUnder();
  if (row.stage === "inspected" && row.wanted) await publish(row);
}

async function publish(row) {
  row.stage = "submitting";
  drawUnder();
  try {
    row.job = await post("/hooks/upload", { source: row.source, ...row.place, ...row.options });
    row.stage = "submitted";
    row.already = row.job.state === "done";
    say(`${row.name} is ${row.already ? "published already" : "submitted"}`);
    follow();
  } catch (error) {
    Object.assign(row, { stage: "failed", problem: problemOf(error) });
  }
  drawUnder();
}

/** Look at the jobs of the cards until all of them have ended. */
function follow() {
  if (following) return void following.now();
  following = poll(async ({ signal }) => {
    const on = rows.filter((row) => row.job && isLive(row.job) && !row.lost);
    if (!on.length) {
      following = null;
      return null;
    }
    await Promise.all(on.map((row) => ask(row, signal)));
    drawUnder();
    return 1500;
  });
}

async function ask(row, signal) {
  try {
    row.job = await get(row.job.links.self, { signal });
  } catch (error) {
    if (error.status !== 404) throw error;
    row.lost = true; // forgotten, or out of reach by now: its page tells what there is to tell
  }
  if (!isLive(row.job)) say(`${row.name} is ${row.job.state === "done" ? "published" : row.job.state}`);
}

let drawing = 0;
function drawSoon() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    drawUnder();
  });
}

function drawUnder() {
  under.hidden = !rows.length;
  show(under, rows.map(drawRow));
}

function drawRow(row) {
  const transfer = row.transfer;
  return h("article", { class: `card item ${row.stage} ${row.job?.state || ""}`, "data-key": row.id, "aria-label": row.name },
    h("div", { class: "item-head" }, h("h3", { class: "anywhere" }, fileTitle(row.name)), row.size && h("span", { class: "quiet small number" }, bytes(row.size)), h("div", { class: "row end" }, buttons(row))),
    ["sending", "paused", "waiting"].includes(row.stage) && h("div", { class: "progress" },
      h("progress", { max: row.size, value: transfer?.upload ? transfer.sent : 0, "aria-label": `Sent of ${row.name}`, "aria-valuetext": transfer?.upload ? `${Math.floor((100 * transfer.sent) / row.size)} %` : "not begun" }),
      h("p", { class: "small quiet number" }, sending(row))),
    row.stage === "inspecting" && h("p", { class: "small quiet", role: "status" }, "Reading its header …"),
    row.stage === "submitting" && h("p", { class: "small quiet", role: "status" }, "Submitting …"),
    row.refusal && h("p", { class: "flaw anywhere", role: "alert" }, h("strong", null, row.source && !row.wanted ? "It would be refused: " : "Refused: "), `${sentence(row.refusal.message)} `, row.refusal.hint),
    row.problem && row.stage === "failed" && h("p", { class: "flaw anywhere", role: "alert" }, `${sentence(row.problem.message)} `, row.problem.hint),
    row.found?.verdict === "publish" && preview(row.found, row.stage === "inspected"),
    row.job && outcome(row));
}

/** Return how far the job of a card is, or how it ended. */
function outcome({ job, already }) {
  const problem = job.error || job.last_transient_error;
  return [
    h("div", { class: "row" },
      job.state === "done" ? h("strong", { class: "sound" }, already ? "Published already: nothing had to be done." : "Published") : stateOf(job),
      h("div", { class: "row end" }, h("a", { href: jobPage(job) }, "Open the job"), job.result && h("a", { class: "button main", href: viewerPage(job), "aria-label": `View ${nameOf(job)}` }, "View"))),
    isLive(job) && progressOf(job),
    problem && h("p", { class: `anywhere ${job.error ? "flaw" : "quiet"}`, role: job.error ? "alert" : null }, !job.error && h("strong", null, "Tried again: "), `${sentence(problem.message)} `, problem.hint),
  ];
}

function sending(row) {
  if (row.stage === "waiting") return "waits for its turn";
  if (!row.transfer?.upload) return "starting";
  const { sent, pace, state, resumed } = row.transfer;
  const parts = [`${bytes(sent)} of ${bytes(row.size)}`];
  if (state === "paused") parts.push("paused");
  else if (pace) parts.push(`${bytes(pace.rate)}/s`, `${seconds(pace.left)} left`);
  if (resumed) parts.push(`${bytes(resumed)} had arrived before`);
  return parts.join(" · ");
}

function buttons(row) {
  const button = (label, act, kind = "") => h("button", { type: "button", class: kind || null, "aria-label": `${label} ${row.name}`, onclick: act }, label);
  const dismiss = () => { rows = rows.filter((each) => each !== row); drawUnder(); };
  const giveUp = async () => {
    dismiss();
    try {
      await row.transfer?.cancel();
    } catch (error) {
      complain(error, { key: "give up" });
    }
    drawLeft();
  };
  switch (row.stage) {
    case "sending":
      return [row.transfer?.state === "paused" ? button("Resume", () => row.transfer.resume()) : button("Pause", () => row.transfer.pause()), button("Give up", giveUp, "danger")];
    case "waiting": return button("Remove from the list", dismiss);
    case "inspected": return [button("Discard", dismiss), button("Publish", () => publish(row), "main")];
    case "failed": return [row.file && !row.source ? button("Try again", () => { row.stage = "waiting"; row.problem = null; drawUnder(); running ??= sendAll().finally(() => (running = null)); }, "main") : button("Try again", () => { row.stage = "inspecting"; row.problem = null; drawUnder(); return inspect(row); }, "main"), button("Dismiss", dismiss)];
    case "refused": case "submitted": return button("Dismiss", dismiss, "plain");
    default: return null;
  }
}

/** Return what would become of a slide, as `inspect` tells it. */
function preview(found, open) {
  const { estimate, slide, levels } = found;
  return h("details", { class: "found", open },
    h("summary", null, h("strong", { class: "number" }, `${number(found.width_px)} × ${number(found.height_px)} px`), h("span", { class: "quiet number" }, ` · ${count(found.tiles, "tile")} in ${count(levels.length, "level")} · ${seconds(estimate.seconds).replace(/^(?!<)/, "about ")} · ${dollars(estimate.dollars)}`)),
    h("p", { class: "small quiet" }, [slide.vendor, slide.magnification && `${slide.magnification} ×`, slide.mpp_x && `${slide.mpp_x} µm per pixel`, `tiles of ${found.tile_size_px} px`, found.associated.length && `beside it: ${found.associated.join(", ")}`].filter(Boolean).join(" · ")),
    h("table", { class: "levels number" }, h("caption", { class: "unseen" }, "Levels, finest first"),
      h("thead", null, h("tr", null, ["Level", "Pixels", "Tiles", "Stored as", "How"].map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, levels.map((level) => h("tr", null, h("th", { scope: "row" }, level.level), h("td", null, `${number(level.width_px)} × ${number(level.height_px)}`), h("td", null, number(level.tiles)), h("td", null, level.stored ? level.stored.compression : "–"), h("td", null, HOW[level.method] || level.method, level.beyond_end > 0 && h("span", { class: "flaw" }, ` (${level.beyond_end} beyond the file's end)`)))))),
    h("p", { class: "small quiet" }, `${seconds(estimate.worker_seconds)} of worker time. The cost is that of AWS, without MongoDB.`));
}

// -- what was begun before ---------------------------------------------------------------------------------------------

function drawLeft() {
  const under = new Set(rows.filter((row) => row.file).map((row) => fingerprint(row.file)));
  const found = unfinished().filter((each) => !under.has(each.mark));
  left.hidden = !found.length;
  show(left, found.length ? [h("h2", null, "Unfinished uploads"), h("p", { class: "quiet small" }, "Choose the same file again to resume where it stopped."),
    h("ul", null, found.map((each) => h("li", { class: "row", "data-key": each.mark }, h("span", { class: "anywhere" }, each.name), h("span", { class: "quiet small number" }, bytes(each.size)),
      h("button", { type: "button", class: "plain", "aria-label": `Forget ${each.name}`, onclick: () => drop(each) }, "Forget"))))] : []);
}

async function drop(upload) {
  try {
    await forget(upload);
  } catch (error) {
    complain(error, { key: "forget" });
  }
  drawLeft();
}
