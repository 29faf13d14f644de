// Notices above the page, and announcements for screen readers.
import { toProblem } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { sentence } from "../lib/format.js";

export const noticeArea = h("div", { class: "notices" });
export const liveRegion = h("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });

/** Announce a text to screen readers. */
export function announce(text) {
  // A repeated text is announced only if it differs.
  liveRegion.textContent = liveRegion.textContent === text ? `${text}\u00a0` : text;
}

/** Show a notice until it is dismissed, `seconds` have passed, or another notice with the same `key` replaces it.
 *  `kind` is error, success, warning or empty. Returns the notice. */
export function showNotice(text, { kind = "", title = "", key = "", seconds = 0, details = null } = {}) {
  for (const each of [...noticeArea.children]) if (key && each.dataset.key === key) each.remove();
  const notice = h("div", { class: `notice ${kind}`, role: kind === "error" ? "alert" : "status", "data-key": key || null },
    h("div", null, title && h("strong", null, `${title} `), text, details && h("div", null, details)),
    h("button", { type: "button", "aria-label": "Dismiss", onclick: () => notice.remove() }, "\u2715"),
  );
  noticeArea.append(notice);
  if (seconds) setTimeout(() => notice.remove(), seconds * 1000);
  return notice;
}

/** Show an error with its hint and the invalid fields. */
export function showProblem(error, { title = "", key = "" } = {}) {
  const problem = toProblem(error);
  const fields = problem.errors.filter((each) => each.pointer);
  const list = fields.map((each) => h("li", null, `${each.pointer.replace(/^\//, "")}: ${each.detail}`));
  return showNotice([`${sentence(problem.message)} `, problem.hint], {
    kind: "error", title, key, details: list.length ? h("ul", null, list) : null,
  });
}
