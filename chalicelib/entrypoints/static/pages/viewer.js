// The viewer: one slide, or two side by side. The URL contains the position, so that a view can be shared as a link.
import { pageUrl, toProblem } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { number, sentence } from "../lib/format.js";
import { formatPosition, parsePosition } from "../lib/scale.js";
import { NotPublished, findSlide } from "../lib/slides.js";
import { openCompareDialog } from "../components/compare-dialog.js";
import { announce, showNotice, showProblem } from "../components/notices.js";
import { createPane } from "../components/pane.js";
import { drawShell } from "../components/shell.js";
import { colourProfileNote, slideFacts } from "../components/slide-facts.js";
import { createViewSync } from "../components/view-sync.js";
import { addArrowKeys, showShortcuts, toolButton } from "../components/viewer-tools.js";

const RETRY_MS = 1000;
const ZOOM_STEP = 1.5;
const PAN_STEP = 0.12; // share of the pane for each key press
const POSITION_DELAY_MS = 250;
const main = document.getElementById("main");
const query = new URLSearchParams(location.search);
const ids = [query.get("slide") || "", query.get("with") || ""].filter((id, index) => id || index === 0);

drawShell("slides");
document.body.classList.add("viewing");
const infoBar = h("div", { class: "info-bar" });
const panes = [];
const stage = h("div", { class: "stage" });
const tools = h("div", { class: "tools", role: "toolbar", "aria-label": "View" });
const frame = h("div", { class: "frame" }, stage, tools);
main.append(infoBar, frame);
addArrowKeys(tools);

let activePane = 0;
const viewSync = createViewSync(panes);

start();

async function start() {
  render(stage, h("p", { class: "loading", role: "status" }, "Opening slide…"));
  const slides = [];
  for (const id of ids) {
    try {
      slides.push(await findSlide(id));
    } catch (error) {
      return error instanceof NotPublished ? showNotPublished(error) : showError(error);
    }
  }
  document.title = `${slides.map((slide) => slide.title).join(" and ")} · Slidehook`;
  drawInfoBar(slides);
  alignToPixels();
  const elements = slides.map(() => h("section", { class: "pane" }));
  render(stage, elements);
  stage.classList.toggle("two", slides.length === 2);
  const positions = positionsOfUrl(); // before the panes move, which writes the URL
  for (const [index, slide] of slides.entries()) {
    panes.push(createPane(slide, {
      element: elements[index],
      name: slides.length > 1 ? ["Left", "Right"][index] : "",
      onMove: () => onMove(index),
      onActivate: () => (activePane = index),
    }));
  }
  drawTools();
  await Promise.all(panes.map((pane) => pane.ready));
  panes.forEach((pane, index) => (positions[index] ? pane.moveTo(positions[index]) : pane.showAll(true)));
  if (panes.length === 2 && query.get("lock") !== "no") enableSync({ alignScale: !positions[1] });
  writePositions();
  document.documentElement.dataset.ready = "yes";
}

// Slide pixels match screen pixels only if the frame begins and ends at a screen pixel.
function alignToPixels() {
  const ratio = devicePixelRatio || 1;
  frame.style.marginBlock = "0";
  const { top, bottom } = frame.getBoundingClientRect();
  frame.style.marginBlock = `${Math.ceil(top * ratio) / ratio - top}px ${bottom - Math.floor(bottom * ratio) / ratio}px`;
}
new ResizeObserver(alignToPixels).observe(infoBar);
addEventListener("resize", alignToPixels);

function showError(error) {
  const problem = toProblem(error);
  const isMissing = problem.status === 404 || problem.code === "no_slide";
  const text = problem.status === 404
    ? "The slide may have been removed, or the URL is wrong."
    : `${sentence(problem.message)} ${problem.hint}`;
  render(stage, h("div", { class: "empty-state" },
    h("h2", null, isMissing ? "Slide not found" : "The slide could not be opened"),
    h("p", { class: "break-anywhere" }, text),
    h("p", null, h("a", { class: "button", href: pageUrl("collections") }, "All slides"))));
}

// A slide that is being ingested opens when it is published.
function showNotPublished({ message, job, isActive }) {
  const { done, total } = job.tiles;
  const hasProgress = isActive && total > 0;
  const text = hasProgress ? `${number(done)} of ${number(total)} tiles stored. The slide opens when it is published.`
    : isActive ? "The slide opens when it is published."
    : job.error ? `${sentence(job.error.message)} ${job.error.hint}` : `The job is ${job.state}.`;
  render(stage, h("div", { class: "empty-state" },
    h("h2", null, message),
    h("p", null, text),
    hasProgress && h("progress", { value: done, max: total, "aria-label": "Tiles" }),
    h("p", null, h("a", { class: "button", href: pageUrl("job", { id: job.id }) }, "View job")),
  ));
  if (isActive) setTimeout(start, RETRY_MS);
}

// -- information and tools -------------------------------------------------------------------------------------------

function drawInfoBar(slides) {
  infoBar.classList.toggle("two", slides.length === 2);
  render(infoBar, slides.map((slide, index) =>
    h("div", { class: "slide-info" },
      h("h2", { class: "break-anywhere", title: slide.title }, slide.title),
      h("p", { class: "muted small" }, slideFacts(slide).join(" · ")),
      h("div", { class: "row" },
        slide.isRepublished &&
          h("span", { class: "muted small", title: "A later attempt has replaced this slide" }, "republished"),
        colourProfileNote(slide),
        slide.job && h("a", { href: pageUrl("job", { id: slide.job }) }, "Job"),
        slide.session && h("a", { href: pageUrl("session", { id: slide.session }) }, "Session"),
        slides.length === 2 && h("button", { type: "button", class: "plain", onclick: () => closePane(index) }, "Close"),
      ),
    ),
  ));
}

function drawTools() {
  render(tools,
    toolButton("zoom-in", "Zoom in", "+", zoomIn),
    toolButton("zoom-out", "Zoom out", "-", zoomOut),
    toolButton("full-resolution", "1:1, full resolution", "1", showFullResolution, { text: "1:1" }),
    toolButton("fit", "Fit to screen", "0", showAll),
    toolButton("rotate-left", "Rotate left", "Shift+R", rotateLeft),
    toolButton("rotate-right", "Rotate right", "R", rotateRight),
    toolButton("map", "Overview map", "M", toggleMap, { isPressed: true }),
    panes.length === 2
      ? toolButton("sync", "Synchronize views", "L", toggleSync, { isPressed: viewSync.isEnabled })
      : toolButton("compare", "Compare with another slide", "C", compare),
    toolButton("copy-link", "Copy link to this view", "", copyLink),
    document.fullscreenEnabled &&
      toolButton("full-screen", "Full screen", "F", toggleFullScreen, { isPressed: Boolean(document.fullscreenElement) }),
    toolButton("shortcuts", "Keyboard shortcuts", "?", showShortcuts),
  );
}

const active = () => panes[activePane];
const zoomIn = () => active()?.zoomBy(ZOOM_STEP);
const zoomOut = () => active()?.zoomBy(1 / ZOOM_STEP);
const showFullResolution = () => active()?.zoomTo(1);
const showAll = () => active()?.showAll();
const rotateLeft = () => active()?.rotate(-90);
const rotateRight = () => active()?.rotate(90);

function toggleMap() {
  const isVisible = panes.map((pane) => pane.toggleMap()).at(-1);
  tools.querySelector("[data-tool=map]").setAttribute("aria-pressed", String(isVisible));
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else main.requestFullscreen().catch((error) => showProblem(error));
}
document.addEventListener("fullscreenchange", () => panes.length && drawTools());

async function copyLink() {
  writePositions();
  try {
    await navigator.clipboard.writeText(location.href);
    showNotice("Link copied.", { kind: "success", key: "link", seconds: 4 });
  } catch {
    showNotice(location.href, { title: "Link to this view:", key: "link" });
  }
}

// -- the position in the URL -----------------------------------------------------------------------------------------

function positionsOfUrl() {
  try {
    return decodeURIComponent(location.hash.slice(1)).split(";").map(parsePosition);
  } catch {
    return [null]; // not a valid percent encoding
  }
}

let positionTimer = 0;
let writtenHash = location.hash;

function onMove(index) {
  if (viewSync.isEnabled && index === activePane) viewSync.follow(index);
  clearTimeout(positionTimer);
  positionTimer = setTimeout(writePositions, POSITION_DELAY_MS);
}

function writePositions() {
  clearTimeout(positionTimer);
  writtenHash = `#${panes.map((pane) => formatPosition(pane.position())).join(";")}`;
  if (writtenHash !== location.hash) history.replaceState(history.state, "", writtenHash);
}

addEventListener("hashchange", () => {
  if (location.hash === writtenHash) return;
  positionsOfUrl().forEach((position, index) => position && panes[index]?.moveTo(position, false));
});

// -- comparison ------------------------------------------------------------------------------------------------------

function enableSync(options) {
  activePane = 0;
  viewSync.enable(options);
  onSyncChange();
}

function toggleSync() {
  if (!viewSync.isEnabled) return enableSync();
  viewSync.disable();
  onSyncChange();
}

function onSyncChange() {
  drawTools();
  announce(viewSync.isEnabled ? "Views are synchronized" : "Views are not synchronized");
}

function closePane(index) {
  const url = new URL(location.href);
  url.searchParams.set("slide", ids[1 - index]);
  for (const name of ["with", "lock"]) url.searchParams.delete(name);
  url.hash = formatPosition(panes[1 - index].position());
  location.assign(url);
}

function compare() {
  openCompareDialog(panes[0].slide, (id) => {
    const url = new URL(location.href);
    url.searchParams.set("with", id);
    url.hash = "";
    location.assign(url);
  });
}

// -- keyboard --------------------------------------------------------------------------------------------------------

const pan = (right, down) => () => active()?.pan(right * PAN_STEP, down * PAN_STEP);
const KEYS = {
  ArrowLeft: pan(-1, 0), ArrowRight: pan(1, 0), ArrowUp: pan(0, -1), ArrowDown: pan(0, 1),
  "+": zoomIn, "=": zoomIn, "-": zoomOut, 0: showAll, 1: showFullResolution, r: rotateRight, R: rotateLeft, m: toggleMap,
  f: toggleFullScreen, c: () => panes.length === 1 && compare(), l: () => panes.length === 2 && toggleSync(),
  "?": showShortcuts,
};

addEventListener("keydown", (event) => {
  if (!panes.length || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input, select, textarea, summary, [role=toolbar]") && /^(Arrow|Tab)/.test(event.key)) return;
  const focused = panes.findIndex((pane) => pane.element.contains(document.activeElement));
  if (focused >= 0) activePane = focused;
  const run = KEYS[event.key];
  if (!run || event.target.matches?.("input, textarea")) return;
  event.preventDefault();
  run();
});
