// All collections with their sessions, and a glance at the newest slides of each.
import { get } from "../lib/api.js";
import { h, s, show } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { complain, pageAddress, shell } from "../components/shell.js";
import { thumbnail } from "../components/thumbnail.js";

const GLANCE = 5;
const main = document.getElementById("main");
const live = h("span", { class: "live" }, "live");
shell("slides").append(live);
const list = h("div", { class: "collections" });
const find = h("input", { type: "search", placeholder: "Find a session", "aria-label": "Find a session", value: new URLSearchParams(location.search).get("find") || "", oninput: draw });
show(main, main.querySelector(".notices"), h("div", { class: "head" }, h("h1", null, "Slides"), find), list);
show(list, [1, 2].map(() => h("section", { class: "card", "aria-hidden": "true" }, h("p", { class: "ghost" }, "Loading"), h("div", { class: "glance" }, [1, 2, 3].map(() => h("span", { class: "ghost thumb" }))))));

let collections = null;

poll(async ({ signal }) => {
  collections = (await get("/collections", { signal })).collections;
  draw();
}, {
  every: 10_000,
  onstate(state, error) {
    live.className = `live ${state}`;
    live.textContent = state === "trouble" ? "not reached" : "live";
    if (error && !collections) {
      complain(error, { key: "collections" });
      show(list);
    }
  },
});

function draw() {
  if (!collections) return;
  const wanted = find.value.trim().toLowerCase();
  const here = new URL(location.href);
  if (wanted) here.searchParams.set("find", find.value.trim());
  else here.searchParams.delete("find");
  if (here.href !== location.href) history.replaceState(null, "", here);
  const shown = collections
    .map((each) => ({ ...each, sessions: each.sessions.filter((session) => !wanted || `${each.label} ${session.label}`.toLowerCase().includes(wanted)) }))
    .filter((each) => !wanted || each.sessions.length);
  show(list, shown.length ? shown.map(collection) : nothing(wanted));
  for (const each of list.querySelectorAll("[data-session]")) watcher.observe(each);
}

function nothing(wanted) {
  if (wanted) return h("div", { class: "card blank" }, h("p", null, `No session is called “${find.value.trim()}”.`), h("p", null, h("button", { type: "button", onclick: () => { find.value = ""; draw(); find.focus(); } }, "Show all")));
  return h("div", { class: "card blank" }, plate(), h("h2", null, "No collection yet"), h("p", null, "Collections and sessions are created in SlideAtlas. ", h("code", null, "make run"), " creates one of each on this machine."));
}

const collection = (each) =>
  h("section", { class: "card", "data-key": each.id, "aria-labelledby": `c-${each.id}` },
    h("div", { class: "head" },
      h("h2", { id: `c-${each.id}`, class: "anywhere" }, each.label || "A collection without a name"),
      h("span", { class: "quiet small" }, each.sessions.length ? count(each.sessions.length, "session") : ""),
    ),
    each.sessions.length
      ? h("ul", { class: "sessions" }, each.sessions.map(session))
      : h("p", { class: "quiet" }, "No session yet. The command line creates one for each folder that it uploads."),
  );

const session = (each) =>
  h("li", { "data-key": each.id },
    h("a", { href: pageAddress("session", { id: each.id }) },
      h("span", { class: "name anywhere" }, each.label || "A session without a name"),
      h("span", { class: "quiet small" }, each.views ? count(each.views, "slide") : "No slide yet"),
    ),
    h("div", { class: "glance", "data-session": each.views ? each.id : null, "data-views": each.views }, glances.get(each.id) || []),
  );

// What nobody scrolls to is not asked for.
const glances = new Map();
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) look(target);
}, { rootMargin: "200px" });

async function look(place) {
  const { session: id, views } = place.dataset;
  if (place.dataset.looked === views) return;
  place.dataset.looked = views;
  try {
    const { slides } = await get(`/sessions/${id}/slides?limit=${GLANCE}`);
    glances.set(id, slides.map((each) =>
      h("a", { href: pageAddress("viewer", { slide: each.job || `${each.image_store}-${each.image}` }), title: each.title, "data-key": each.view },
        thumbnail(each, { class: "thumb", label: `Open ${each.title}` }))));
    show(place, glances.get(id));
  } catch {
    delete place.dataset.looked; // its number of slides stands there anyway
  }
}

const plate = () => s("svg", { viewBox: "0 0 48 48", "aria-hidden": "true" }, s("path", { fill: "currentColor", d: "M6 14h36a2 2 0 0 1 2 2v16a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V16a2 2 0 0 1 2-2zm2 4v12h7V18zm24 1a5 5 0 0 0 0 10 5 5 0 0 0 0-10z" }));
