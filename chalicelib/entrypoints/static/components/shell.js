// The frame of every page: navigation bar, notices, and the region for screen readers.
import { ROOT } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { accountControls, loadAccount } from "./account.js";
import { pyramidIcon } from "./icons.js";
import { liveRegion, noticeArea } from "./notices.js";

const PAGES = [
  ["jobs", "Jobs", ""],
  ["slides", "Slides", "pages/collections"],
  ["submit", "Submit", "pages/submit"],
  ["api", "API", "pages/api"],
];

/** Draw the frame around `<main id="main">`. `current` is the page's name in PAGES. Returns the area of the navigation
 *  bar for the page's own status. */
export function drawShell(current) {
  const main = document.getElementById("main");
  const status = h("div", { class: "page-status" });
  const links = PAGES.map(([name, label, path]) =>
    h("li", null, h("a", { href: new URL(path, ROOT).href, "aria-current": name === current ? "page" : null }, label)),
  );
  document.body.prepend(
    h("a", { class: "skip-link", href: "#main" }, "Skip to content"),
    h("header", { class: "bar" },
      h("a", { class: "brand", href: ROOT.href }, pyramidIcon(), "Slidehook"),
      h("nav", { "aria-label": "Pages" }, h("ul", null, links)),
      h("div", { class: "bar-end" }, status, accountControls),
    ),
  );
  main.prepend(noticeArea);
  document.body.append(liveRegion);
  loadAccount();
  return status;
}

/** Return the indicator of a page's connection, and the `onState` of `poll` that updates it. */
export function connectionStatus() {
  const element = h("span", { class: "connection" }, "live");
  const update = (state, error, seconds) => {
    element.className = `connection ${state}`;
    if (state !== "offline") element.textContent = state;
    else element.textContent = error.status === 401 ? "signed out" : `offline, retrying in ${seconds} s`;
  };
  return { element, update };
}
