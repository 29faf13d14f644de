// A session: its published slides, newest first.
import { apiUrl, get, pageUrl, toProblem } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { count, dotSeparated, fileLabel, number } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { slideId } from "../lib/slides.js";
import { announce, showProblem } from "../components/notices.js";
import { connectionStatus, drawShell } from "../components/shell.js";
import { thumbnail } from "../components/thumbnail.js";

const PAGE_SIZE = 48;
const POLL_MS = 5000;
const SKELETON_CARDS = 4;
const id = new URLSearchParams(location.search).get("id") || "";
const main = document.getElementById("main");
const connection = connectionStatus();
drawShell("slides").append(connection.element);
const breadcrumb = h("nav", { "aria-label": "Breadcrumb", class: "breadcrumb small" });
const head = h("div", { class: "head" });
const grid = h("ul", { class: "slides" });
const footer = h("div", { class: "footer" });
render(main, main.querySelector(".notices"), breadcrumb, head, grid, footer);
render(grid, Array.from({ length: SKELETON_CARDS }, () =>
  h("li", { class: "card slide", "aria-hidden": "true" },
    h("span", { class: "skeleton thumbnail" }), h("p", { class: "skeleton" }, "Loading"))));

let session = null, collection = null;
let slides = []; // the pages that are loaded
let nextCursor = null, hasMorePages = false;
const selected = new Set(); // ids of slides to compare

const sessionPoll = poll(load, { every: POLL_MS, onState });

async function load({ signal }) {
  session = await get(`/sessions/${encodeURIComponent(id)}`, { signal });
  collection ??= await get(`/collections/${session.collection}`, { signal }).catch(() => null);
  const first = await get(`/sessions/${id}/slides?limit=${PAGE_SIZE}`, { signal });
  // New slides are added before the loaded ones; removed slides are omitted.
  const firstViews = new Set(first.slides.map((slide) => slide.view)), currentViews = new Set(session.views);
  const older = slides.filter((slide) => !firstViews.has(slide.view) && currentViews.has(slide.view));
  if (!hasMorePages) nextCursor = first.next;
  slides = [...first.slides, ...older];
  draw();
}

function onState(state, error, seconds) {
  connection.update(state, error, seconds);
  if (!error || session) return;
  const problem = toProblem(error);
  if (problem.status !== 404) return void showProblem(error, { key: "session" });
  sessionPoll.stop();
  render(head, h("h1", null, "Session not found"));
  render(grid);
  render(footer, h("div", { class: "card empty-state" },
    h("p", null, "The session may have been removed, or the URL is wrong."),
    h("p", null, h("a", { class: "button", href: pageUrl("collections") }, "All sessions"))));
  connection.element.hidden = true;
}

async function loadMore() {
  hasMorePages = true;
  try {
    const page = await get(`/sessions/${id}/slides?limit=${PAGE_SIZE}&cursor=${encodeURIComponent(nextCursor)}`);
    const loaded = new Set(slides.map((slide) => slide.view));
    slides.push(...page.slides.filter((slide) => !loaded.has(slide.view)));
    nextCursor = page.next;
    draw();
    announce(`${count(slides.length, "slide")} shown`);
  } catch (error) {
    if (toProblem(error).status !== 422) return showProblem(error, { key: "more" });
    // The slide of the cursor was removed: start with the first page again.
    [hasMorePages, slides] = [false, []];
    sessionPoll.refresh();
  }
}

function draw() {
  document.title = `${session.label || "Session"} · Slidehook`;
  render(breadcrumb, h("ol", null,
    h("li", null, h("a", { href: pageUrl("collections") }, "Slides")),
    collection && h("li", { class: "break-anywhere" }, collection.label)));
  const submitUrl = pageUrl("submit", { collection: session.collection, session: id });
  render(head,
    h("h1", { class: "break-anywhere" }, session.label || "Unnamed session"),
    h("span", { class: "muted" }, session.views.length ? count(session.views.length, "slide") : ""),
    h("div", { class: "row" },
      selected.size > 0 && h("button", { type: "button", class: "plain", onclick: clearSelection }, "Clear selection"),
      slides.length > 1 && compareLink(),
      h("a", { class: "button", href: submitUrl }, "Submit a slide"),
    ),
  );
  render(grid, slides.map(slideCard));
  render(footer, slides.length ? moreButton() : emptyState());
}

function compareLink() {
  const [first, second] = selected;
  if (second) {
    return h("a", { class: "button primary", href: pageUrl("viewer", { slide: first, with: second }) }, "Compare slides");
  }
  return h("span", { class: "muted small" }, first ? "Select one more slide to compare" : "Select two slides to compare");
}

function clearSelection() {
  selected.clear();
  draw();
}

const moreButton = () =>
  nextCursor && h("button", { type: "button", onclick: loadMore },
    `Load more (${number(slides.length)} of ${number(session.views.length)})`);

const emptyState = () =>
  h("div", { class: "card empty-state" },
    h("h2", null, session.views.length ? "Slides not available" : "No slides"),
    h("p", null, "Submit a slide, or upload a file to the incoming bucket under ",
      h("code", { class: "break-anywhere" }, `${session.collection}/${id}/`), ". Published slides appear here automatically."),
    h("p", null, h("a", { href: new URL(`?session=${id}`, apiUrl("/")).href }, "Jobs of this session")),
  );

function slideCard(slide) {
  const size = slide.slide, viewerId = slideId(slide);
  const isSelected = selected.has(viewerId);
  const facts = size && [
    `${number(size.width_px)} × ${number(size.height_px)} px`,
    size.mpp_x && `${Number(size.mpp_x.toPrecision(3))} µm/px`,
    size.magnification && `${Number(size.magnification.toPrecision(3))}×`,
  ];
  const onchange = (event) => {
    if (event.target.checked) selected.add(viewerId);
    else selected.delete(viewerId);
    draw();
  };
  return h("li", { class: `card slide${isSelected ? " selected" : ""}`, "data-key": slide.view },
    h("a", { class: "slide-link", href: pageUrl("viewer", { slide: viewerId }) },
      thumbnail(slide, { class: "thumbnail" }),
      h("span", { class: "name break-anywhere" }, fileLabel(slide.title || "Unnamed slide")),
    ),
    h("p", { class: "muted small number" }, facts ? dotSeparated(facts) : "Size unknown"),
    h("div", { class: "row small" },
      slide.job
        ? h("a", { href: pageUrl("job", { id: slide.job }), "aria-label": `Job of ${slide.title}` }, "Job")
        : h("span", { class: "muted" }, "Created by SlideAtlas"),
      h("label", { class: "row" },
        h("input", {
          type: "checkbox", checked: isSelected, disabled: !isSelected && selected.size === 2,
          "aria-label": `Compare ${slide.title}`, onchange,
        }), "Compare"),
    ),
  );
}
