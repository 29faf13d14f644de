// All collections with their sessions, and thumbnails of the newest slides of each session.
import { get, pageUrl } from "../lib/api.js";
import { h, render, s } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { slideId } from "../lib/slides.js";
import { showProblem } from "../components/notices.js";
import { connectionStatus, drawShell } from "../components/shell.js";
import { thumbnail } from "../components/thumbnail.js";

const THUMBNAILS = 5;
const POLL_MS = 10_000;
const PRELOAD_MARGIN = "200px";
const SLIDE_PATH =
  "M6 14h36a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V16a2 2 0 0 1 2-2zm2 4v12h7V18zm24 1a5 5 0 0 0 0 10 5 5 0 0 0 0-10z";
const main = document.getElementById("main");
const connection = connectionStatus();
drawShell("slides").append(connection.element);
const list = h("div", { class: "collections" });
const search = h("input", {
  type: "search", placeholder: "Find sessions", "aria-label": "Find sessions", oninput: draw,
  value: new URLSearchParams(location.search).get("find") || "",
});
render(main, main.querySelector(".notices"), h("div", { class: "head" }, h("h1", null, "Slides"), search), list);
render(list, [1, 2].map(() => h("section", { class: "card", "aria-hidden": "true" },
  h("p", { class: "skeleton" }, "Loading"),
  h("div", { class: "thumbnails" }, [1, 2, 3].map(() => h("span", { class: "skeleton thumbnail" }))))));

let collections = null;
const thumbnails = new Map(); // session id -> links to its newest slides

// Thumbnails are loaded when their session is scrolled into view.
const observer = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) loadThumbnails(target);
}, { rootMargin: PRELOAD_MARGIN });

poll(async ({ signal }) => {
  collections = (await get("/collections", { signal })).collections;
  draw();
}, {
  every: POLL_MS,
  onState(state, error, seconds) {
    connection.update(state, error, seconds);
    if (error && !collections) {
      showProblem(error, { key: "collections" });
      render(list);
    }
  },
});

function draw() {
  if (!collections) return;
  const text = search.value.trim();
  writeUrl(text);
  const shown = text ? matching(text.toLowerCase()) : collections;
  render(list, shown.length ? shown.map(collectionCard) : emptyState(text));
  for (const each of list.querySelectorAll("[data-session]")) observer.observe(each);
}

function writeUrl(text) {
  const url = new URL(location.href);
  if (text) url.searchParams.set("find", text);
  else url.searchParams.delete("find");
  if (url.href !== location.href) history.replaceState(null, "", url);
}

/** Return the collections with those sessions whose label, or the collection's label, contains a text. */
function matching(text) {
  const isMatch = (collection, session) => `${collection.label} ${session.label}`.toLowerCase().includes(text);
  const filtered = collections.map((collection) =>
    ({ ...collection, sessions: collection.sessions.filter((session) => isMatch(collection, session)) }));
  return filtered.filter((collection) => collection.sessions.length);
}

function emptyState(text) {
  const clear = () => {
    search.value = "";
    draw();
    search.focus();
  };
  if (text) {
    return h("div", { class: "card empty-state" },
      h("p", null, `No sessions match “${text}”.`),
      h("p", null, h("button", { type: "button", onclick: clear }, "Clear search")));
  }
  return h("div", { class: "card empty-state" },
    s("svg", { viewBox: "0 0 48 48", "aria-hidden": "true" }, s("path", { fill: "currentColor", d: SLIDE_PATH })),
    h("h2", null, "No collections"),
    h("p", null, "Create collections and sessions in SlideAtlas. ", h("code", null, "make run"),
      " creates one of each on this machine."));
}

const collectionCard = (collection) =>
  h("section", { class: "card", "data-key": collection.id, "aria-labelledby": `c-${collection.id}` },
    h("div", { class: "head" },
      h("h2", { id: `c-${collection.id}`, class: "break-anywhere" }, collection.label || "Unnamed collection"),
      h("span", { class: "muted small" }, collection.sessions.length ? count(collection.sessions.length, "session") : ""),
    ),
    collection.sessions.length
      ? h("ul", { class: "sessions" }, collection.sessions.map(sessionItem))
      : h("p", { class: "muted" }, "No sessions. The command line creates a session for each uploaded folder."),
  );

const sessionItem = (session) =>
  h("li", { "data-key": session.id },
    h("a", { href: pageUrl("session", { id: session.id }) },
      h("span", { class: "name break-anywhere" }, session.label || "Unnamed session"),
      h("span", { class: "muted small" }, session.views ? count(session.views, "slide") : "No slides"),
    ),
    h("div", { class: "thumbnails", "data-session": session.views ? session.id : null, "data-views": session.views },
      thumbnails.get(session.id) || []),
  );

async function loadThumbnails(element) {
  const { session, views } = element.dataset;
  if (element.dataset.loadedViews === views) return;
  element.dataset.loadedViews = views;
  try {
    const { slides } = await get(`/sessions/${session}/slides?limit=${THUMBNAILS}`);
    thumbnails.set(session, slides.map((slide) =>
      h("a", { href: pageUrl("viewer", { slide: slideId(slide) }), title: slide.title, "data-key": slide.view },
        thumbnail(slide, { class: "thumbnail", label: `Open ${slide.title}` }))));
    render(element, thumbnails.get(session));
  } catch {
    delete element.dataset.loadedViews; // the number of slides is visible without thumbnails
  }
}
