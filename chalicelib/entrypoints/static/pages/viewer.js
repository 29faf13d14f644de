// The viewer: one slide, or two side by side. Where one looks stands in the address, so that it can be handed on.
import { get, problemOf } from "../lib/api.js";
import { h, show } from "../lib/dom.js";
import { count, sentence } from "../lib/format.js";
import { colourNote, facts, icon, pane, placeOf, placeText } from "../components/pane.js";
import { complain, notice, pageAddress, say, shell } from "../components/shell.js";
import { NotPublished, findSlide } from "../lib/slides.js";
import { thumbnail } from "../components/thumbnail.js";

const LOOK_AGAIN_MS = 1000;
const STEP = 0.12; // of the pane, a key
const main = document.getElementById("main");
const query = new URLSearchParams(location.search);
const names = [query.get("slide") || "", query.get("with") || ""].filter((text, at) => text || at === 0);

shell("slides");
document.body.classList.add("viewing");
const strip = h("div", { class: "strip" });
const panes = [];
const stage = h("div", { class: "stage" });
const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "View" });
const frame = h("div", { class: "frame" }, stage, tools);
main.append(strip, frame);

let leader = 0;
let locked = null; // how the second pane lies to the first, while they move together

start();

async function start() {
  show(stage, h("p", { class: "waiting", role: "status" }, "Opening the slide …"));
  const slides = [];
  for (const name of names) {
    try {
      slides.push(await findSlide(name));
    } catch (error) {
      if (error instanceof NotPublished) return wait(error);
      return refuse(error);
    }
  }
  document.title = `${slides.map((slide) => slide.title).join(" and ")} · Slidehook`;
  drawStrip(slides);
  snap();
  const rooms = slides.map(() => h("section", { class: "pane" }));
  show(stage, rooms);
  stage.classList.toggle("two", slides.length === 2);
  const places = wantedPlaces();
  for (const [at, slide] of slides.entries()) {
    panes.push(pane(slide, {
      element: rooms[at],
      name: slides.length > 1 ? ["Left", "Right"][at] : "",
      onmove: () => moved(at),
      onlead: () => (leader = at),
    }));
  }
  drawTools();
  await Promise.all(panes.map((each) => each.ready));
  panes.forEach((each, at) => (places[at] ? each.go(places[at]) : each.home(true)));
  if (panes.length === 2 && query.get("lock") !== "no") lock(!places[1]);
  remember();
  document.documentElement.dataset.ready = "yes";
}

// Only where the room begins and ends with a pixel of the screen do pixels of the slide fall on those of the screen.
function snap() {
  const dots = devicePixelRatio || 1;
  frame.style.marginBlock = "0";
  const { top, bottom } = frame.getBoundingClientRect();
  frame.style.marginBlock = `${Math.ceil(top * dots) / dots - top}px ${bottom - Math.floor(bottom * dots) / dots}px`;
}
new ResizeObserver(snap).observe(strip);
addEventListener("resize", snap);

function refuse(error) {
  const problem = problemOf(error);
  show(stage, h("div", { class: "blank" }, h("h2", null, problem.status === 404 || problem.code === "no_slide" ? "There is no such slide" : "The slide cannot be shown"),
    h("p", { class: "anywhere" }, problem.status === 404 ? "It may have been removed, or its address is mistyped." : `${sentence(problem.message)} ${problem.hint}`), h("p", null, h("a", { class: "button", href: pageAddress("collections") }, "All slides"))));
}

// A slide that is on its way is shown as soon as it is there.
function wait({ message, job, live }) {
  const { done, total } = job.tiles;
  show(stage, h("div", { class: "blank" },
    h("h2", null, message),
    h("p", null, live ? (total ? `${count(done, "tile")} of ${total} are done. The slide opens here by itself.` : "The slide opens here by itself when its tiles are complete.") : job.error ? `${sentence(job.error.message)} ${job.error.hint}` : `It is ${job.state}.`),
    total && live ? h("progress", { value: done, max: total, "aria-label": "Tiles" }) : null,
    h("p", null, h("a", { class: "button", href: pageAddress("job", { id: job.id }) }, "Open the job")),
  ));
  if (live) setTimeout(start, LOOK_AGAIN_MS);
}

// -- what stands around the slide ------------------------------------------------------------------------------------

function drawStrip(slides) {
  strip.classList.toggle("two", slides.length === 2);
  show(strip, slides.map((slide, at) =>
    h("div", { class: "about" },
      h("h2", { class: "anywhere", title: slide.title }, slide.title),
      h("p", { class: "quiet small" }, facts(slide).join(" · ")),
      h("div", { class: "row" },
        slide.anew ? h("span", { class: "quiet small" }, "published anew since") : null,
        colourNote(slide),
        slide.job && h("a", { href: pageAddress("job", { id: slide.job }) }, "Job"),
        slide.session && h("a", { href: pageAddress("session", { id: slide.session }) }, "Session"),
        slides.length === 2 && h("button", { type: "button", class: "plain", onclick: () => leave(at) }, "Close"),
      ),
    ),
  ));
}

const ICONS = {
  in: "M10 4v12M4 10h12",
  out: "M4 10h12",
  home: "M3 10l7-6 7 6M5 8.5V16h10V8.5",
  left: "M5 8a6 6 0 1 1-.5 5M5 3v5h5",
  right: "M15 8a6 6 0 1 0 .5 5M15 3v5h-5",
  map: "M3 5l4-2 6 2 4-2v12l-4 2-6-2-4 2zM7 3v12M13 5v12",
  full: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  link: "M8 12l4-4M9 6l1-1a3.5 3.5 0 0 1 5 5l-1 1M11 14l-1 1a3.5 3.5 0 0 1-5-5l1-1",
  two: "M3 4h14v12H3zM10 4v12",
  lock: "M5 9h10v8H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  keys: "M2 5h16v10H2zM5 8h.01M8 8h.01M11 8h.01M14 8h.01M6 12h8",
};

function tool(name, label, key, act, extra = {}) {
  return h("button", { type: "button", class: "tool", "data-tool": name, "aria-label": label, title: key ? `${label} (${key})` : label, "aria-keyshortcuts": key || null, onclick: act, ...extra }, icon(ICONS[name]));
}

function drawTools() {
  const one = h("button", { type: "button", class: "tool text", "data-tool": "one", "aria-label": "1:1, full resolution", title: "Full resolution, 1:1 (1)", "aria-keyshortcuts": "1", onclick: () => act((each) => each.to(1)) }, "1:1");
  show(tools,
    tool("in", "Zoom in", "+", () => act((each) => each.by(1.5))),
    tool("out", "Zoom out", "-", () => act((each) => each.by(1 / 1.5))),
    one,
    tool("home", "Whole slide", "0", () => act((each) => each.home())),
    tool("left", "Turn left", "Shift+R", () => act((each) => each.turn(-90))),
    tool("right", "Turn right", "R", () => act((each) => each.turn(90))),
    tool("map", "Map", "M", toggleMap, { "aria-pressed": "true" }),
    panes.length === 2
      ? tool("lock", "Move both together", "L", () => lock(), { "aria-pressed": String(Boolean(locked)) })
      : tool("two", "Compare with another slide", "C", compare),
    tool("link", "Copy a link to this view", "", copyLink),
    document.fullscreenEnabled ? tool("full", "Full screen", "F", fullScreen, { "aria-pressed": String(Boolean(document.fullscreenElement)) }) : null,
    tool("keys", "Keys", "?", showKeys),
  );
}

const act = (what, at = leader) => panes[at] && what(panes[at]);

function toggleMap() {
  const shown = panes.map((each) => each.toggleMap()).at(-1);
  tools.querySelector("[data-tool=map]").setAttribute("aria-pressed", String(shown));
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else main.requestFullscreen().catch((error) => complain(error));
}
document.addEventListener("fullscreenchange", () => panes.length && drawTools());

async function copyLink() {
  remember();
  try {
    await navigator.clipboard.writeText(location.href);
    notice("Link copied. It shows this very view.", { kind: "ok", key: "link", seconds: 4 });
  } catch {
    notice(location.href, { title: "The link to this view:", key: "link" });
  }
}

// -- where one looks, in the address ---------------------------------------------------------------------------------

function wantedPlaces() {
  try {
    return decodeURIComponent(location.hash.slice(1)).split(";").map(placeOf);
  } catch {
    return [null]; // a % that stands for nothing: no place at all
  }
}

let remembering = 0;
let written = location.hash;

function moved(at) {
  if (locked && at === leader) follow();
  clearTimeout(remembering);
  remembering = setTimeout(remember, 250);
}

function remember() {
  clearTimeout(remembering);
  written = `#${panes.map((each) => placeText(each.where())).join(";")}`;
  if (written !== location.hash) history.replaceState(history.state, "", written);
}

addEventListener("hashchange", () => {
  if (location.hash === written) return;
  wantedPlaces().forEach((place, at) => place && act((each) => each.go(place, false), at));
});

// -- two slides ------------------------------------------------------------------------------------------------------

/** Let both panes move together from now on, or each by itself. `align`: begin at the same scale, each where it is. */
function lock(align = false) {
  if (locked && align !== true) locked = null;
  else {
    const [first, second] = panes.map((each) => each.where());
    const [mpp, otherMpp] = panes.map((each) => each.slide.mpp);
    // At the same scale a millimetre is as long in both; where it is not known, a pixel is.
    const ratio = align !== true ? second.zoom / first.zoom : mpp && otherMpp ? otherMpp / mpp : 1;
    locked = { first, second, ratio, turn: second.turn - first.turn };
    leader = 0;
    // Neither holds the other back.
    const least = Math.min(panes[0].least(), panes[1].least() / ratio);
    panes[0].allow(least);
    panes[1].allow(least * ratio);
    if (align === true) follow();
  }
  drawTools();
  say(locked ? "Both slides move together." : "Each slide moves by itself.");
}

/** Bring the other pane to where the leading one's way leads it: as far on the screen, in the same direction. */
function follow() {
  const now = panes[leader].where();
  const { first, second, ratio, turn } = locked;
  const [from, to, times, angle] = leader === 0 ? [first, second, 1 / ratio, -turn] : [second, first, ratio, turn];
  const [x, y] = [(now.x - from.x) * times, (now.y - from.y) * times];
  const [cosine, sine] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  panes[1 - leader].go({ x: to.x + x * cosine - y * sine, y: to.y + x * sine + y * cosine, zoom: now.zoom / times, turn: now.turn - angle });
}

function leave(at) {
  const kept = new URL(location.href);
  kept.searchParams.set("slide", names[1 - at]);
  for (const gone of ["with", "lock"]) kept.searchParams.delete(gone);
  kept.hash = placeText(panes[1 - at].where());
  location.assign(kept);
}

async function compare() {
  const { slide } = panes[0];
  const list = h("ul", { class: "choices" });
  const other = h("input", { name: "with", placeholder: "Job, or image store-image", "aria-label": "Address of a slide" });
  const go = (name) => {
    const next = new URL(location.href);
    next.searchParams.set("with", name);
    next.hash = "";
    location.assign(next);
  };
  const asked = h("dialog", { class: "choose", "aria-labelledby": "compare-title", onclose: () => asked.remove() },
    h("form", { onsubmit: (event) => { event.preventDefault(); if (other.value.trim()) go(other.value.trim()); } },
      h("h2", { id: "compare-title" }, "Compare with"),
      list,
      h("div", { class: "row" }, other, h("button", { class: "main" }, "Open")),
      h("div", { class: "end" }, h("button", { type: "button", onclick: () => asked.close() }, "Back")),
    ));
  document.body.append(asked);
  asked.showModal();
  if (!slide.session) return;
  try {
    const { slides } = await get(`/sessions/${slide.session}/slides`);
    show(list, slides.filter((each) => each.slide && each.job !== slide.job).map((each) =>
      h("li", null, h("button", { type: "button", class: "plain", onclick: () => go(each.job || `${each.image_store}-${each.image}`) },
        thumbnail(each, { class: "thumb" }), h("span", { class: "anywhere" }, each.title)))));
    if (!list.children.length) show(list, h("li", { class: "quiet" }, "There is no other slide in its session."));
  } catch (error) {
    show(list, h("li", { class: "quiet" }, sentence(problemOf(error).message)));
  }
}

// -- keys ------------------------------------------------------------------------------------------------------------

const KEYS = {
  ArrowLeft: () => act((each) => each.pan(-STEP, 0)), ArrowRight: () => act((each) => each.pan(STEP, 0)),
  ArrowUp: () => act((each) => each.pan(0, -STEP)), ArrowDown: () => act((each) => each.pan(0, STEP)),
  "+": () => act((each) => each.by(1.5)), "=": () => act((each) => each.by(1.5)), "-": () => act((each) => each.by(1 / 1.5)),
  0: () => act((each) => each.home()), 1: () => act((each) => each.to(1)),
  r: () => act((each) => each.turn(90)), R: () => act((each) => each.turn(-90)),
  m: toggleMap, f: fullScreen, c: () => panes.length === 1 && compare(), l: () => panes.length === 2 && lock(),
  "?": showKeys,
};

addEventListener("keydown", (event) => {
  if (!panes.length || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input, select, textarea, summary, [role=toolbar]") && /^(Arrow|Tab)/.test(event.key)) return;
  const at = panes.findIndex((each) => each.element.contains(document.activeElement));
  if (at >= 0) leader = at;
  const does = KEYS[event.key];
  if (!does || event.target.matches?.("input, textarea")) return;
  event.preventDefault();
  does();
});

// In a toolbar arrows go from one button to the next.
tools.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const all = [...tools.querySelectorAll("button")];
  all[(all.indexOf(document.activeElement) + step + all.length) % all.length]?.focus();
  event.preventDefault();
});

function showKeys() {
  const rows = [["Arrows", "move"], ["+ and −", "zoom"], ["1", "full resolution, 1 to 1"], ["0", "the whole slide"], ["R, Shift+R", "turn right, left"], ["M", "the map"], ["F", "full screen"], ["C", "compare with another slide"], ["L", "move both together, or each by itself"]];
  const asked = h("dialog", { "aria-labelledby": "keys-title", onclose: () => asked.remove() },
    h("form", { method: "dialog" },
      h("h2", { id: "keys-title" }, "Keys"),
      h("dl", { class: "keys" }, rows.map(([keys, what]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, what)])),
      h("div", { class: "end" }, h("button", { class: "main" }, "Close")),
    ));
  document.body.append(asked);
  asked.showModal();
}
