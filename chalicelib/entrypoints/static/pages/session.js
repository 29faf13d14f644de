// A session: its slides as readers see them, the newest first.
import { address, get, problemOf } from "../lib/api.js";
import { h, show } from "../lib/dom.js";
import { count, fileTitle, line, number } from "../lib/format.js";
import { poll } from "../lib/poll.js";
import { complain, pageAddress, say, shell } from "../components/shell.js";
import { thumbnail } from "../components/thumbnail.js";

const id = new URLSearchParams(location.search).get("id") || "";
const PAGE = 48;
const main = document.getElementById("main");
const live = h("span", { class: "live" }, "live");
shell("slides").append(live);
const trail = h("nav", { "aria-label": "Where this is", class: "trail small" });
const head = h("div", { class: "head" });
const grid = h("ul", { class: "slides" });
const foot = h("div", { class: "foot" });
show(main, main.querySelector(".notices"), trail, head, grid, foot);
show(grid, Array.from({ length: 4 }, () => h("li", { class: "card slide", "aria-hidden": "true" }, h("span", { class: "ghost picture" }), h("p", { class: "ghost" }, "Loading"))));

let session = null, collection = null;
let slides = []; // as far as they were asked for
let next = null, asked = false;
const chosen = new Map();

const looking = poll(async ({ signal }) => {
  session = await get(`/sessions/${encodeURIComponent(id)}`, { signal });
  collection ??= await get(`/collections/${session.collection}`, { signal }).catch(() => null);
  const first = await get(`/sessions/${id}/slides?limit=${PAGE}`, { signal });
  // Those that came since stand before the ones that are here already; what was taken away is no longer listed.
  const fresh = new Set(first.slides.map((each) => each.view)), listed = new Set(session.views);
  const older = slides.filter((each) => !fresh.has(each.view) && listed.has(each.view));
  if (!asked) next = first.next;
  slides = [...first.slides, ...older];
  draw();
}, {
  every: 5000,
  onstate(state, error) {
    live.className = `live ${state}`;
    live.textContent = state === "trouble" ? "not reached" : "live";
    if (!error || session) return;
    const problem = problemOf(error);
    if (problem.status === 404) {
      looking.stop();
      show(head, h("h1", null, "There is no such session"));
      show(grid);
      show(foot, h("div", { class: "card blank" }, h("p", null, "It may have been removed, or the address is mistyped."), h("p", null, h("a", { class: "button", href: pageAddress("collections") }, "All sessions"))));
      live.hidden = true;
    } else complain(error, { key: "session" });
  },
});

async function more() {
  asked = true;
  try {
    const page = await get(`/sessions/${id}/slides?limit=${PAGE}&cursor=${encodeURIComponent(next)}`);
    const known = new Set(slides.map((each) => each.view));
    slides.push(...page.slides.filter((each) => !known.has(each.view)));
    next = page.next;
    draw();
    say(`${count(slides.length, "slide")} shown`);
  } catch (error) {
    if (problemOf(error).status !== 422) return complain(error, { key: "more" });
    // The slide behind which it was to go on is gone: begin again.
    [asked, slides] = [false, []];
    looking.now();
  }
}

function draw() {
  document.title = `${session.label || "Session"} · Slidehook`;
  show(trail, h("ol", null, h("li", null, h("a", { href: pageAddress("collections") }, "Slides")), collection && h("li", { class: "anywhere" }, collection.label)));
  const pair = [...chosen.keys()];
  show(head,
    h("h1", { class: "anywhere" }, session.label || "A session without a name"),
    h("span", { class: "quiet" }, session.views.length ? count(session.views.length, "slide") : ""),
    h("div", { class: "row" },
      pair.length ? h("button", { type: "button", class: "plain", onclick: () => { chosen.clear(); draw(); } }, "Clear the choice") : null,
      slides.length > 1
        ? pair.length === 2
          ? h("a", { class: "button main", href: pageAddress("viewer", { slide: pair[0], with: pair[1] }) }, "Compare the two")
          : h("span", { class: "quiet small" }, pair.length ? "Choose one more to compare" : "Choose two to compare")
        : null,
      h("a", { class: "button", href: pageAddress("submit", { collection: session.collection, session: id }) }, "Submit a slide"),
    ),
  );
  show(grid, slides.map(card));
  show(foot,
    slides.length
      ? next && h("button", { type: "button", onclick: more }, `Show more of ${number(session.views.length)}`)
      : h("div", { class: "card blank" },
          h("h2", null, session.views.length ? "The slides are gone" : "No slide yet"),
          h("p", null, "Submit one, or put a file into the incoming bucket under ", h("code", { class: "anywhere" }, `${session.collection}/${id}/`), ". It appears here by itself when it is published."),
          h("p", null, h("a", { href: new URL(`?session=${id}`, address("/")).href }, "Jobs of this session")),
        ),
  );
}

const addressOf = (each) => each.job || `${each.image_store}-${each.image}`;

function card(each) {
  const facts = each.slide, name = addressOf(each);
  const mpp = facts?.mpp_x ? `${Number(facts.mpp_x.toPrecision(3))} µm/px` : null;
  const power = facts?.magnification ? `${Number(facts.magnification.toPrecision(3))}×` : null;
  const isChosen = chosen.has(name);
  return h("li", { class: `card slide${isChosen ? " chosen" : ""}`, "data-key": each.view },
    h("a", { class: "open", href: pageAddress("viewer", { slide: name }) },
      thumbnail(each, { class: "picture" }),
      h("span", { class: "name anywhere" }, fileTitle(each.title || "A slide without a name")),
    ),
    h("p", { class: "quiet small number" }, facts ? line([`${number(facts.width_px)} × ${number(facts.height_px)} px`, mpp, power]) : "Size unknown"),
    h("div", { class: "row small" },
      each.job ? h("a", { href: pageAddress("job", { id: each.job }), "aria-label": `Job of ${each.title}` }, "Job") : h("span", { class: "quiet" }, "Made by SlideAtlas"),
      h("label", { class: "row" },
        h("input", { type: "checkbox", checked: isChosen, disabled: !isChosen && chosen.size === 2, "aria-label": `Compare ${each.title}`, onchange: (event) => {
          if (event.target.checked) chosen.set(name, each);
          else chosen.delete(name);
          draw();
        } }), "Compare"),
    ),
  );
}
