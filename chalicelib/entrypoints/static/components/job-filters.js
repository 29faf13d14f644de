// Filters of the job list: tabs of states with their counts, and the filter form.
import { h, render } from "../lib/dom.js";
import { number } from "../lib/format.js";
import { FILTERS, PERIODS, statesOf, urlWithFilters } from "../lib/job-query.js";
import { STATES } from "./job-parts.js";

const HOOKS = ["upload", "verify"];
const TYPING_MS = 300;
const FORM_FILTERS = FILTERS.filter((name) => name !== "state" && name !== "cursor");

/** Return a click listener that replaces navigation, except to a new tab or window. */
export const onPlainClick = (action) => (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  action();
};

/** Return the tabs of all states. `update` draws them; `counts` is null if they are not known. */
export function createStateTabs(onChange) {
  const element = h("nav", { class: "states", "aria-label": "Job states" });

  function update(filters, counts) {
    const selected = new Set(statesOf(filters));
    const tab = (label, state, total, isExact, isCurrent) =>
      h("a", {
        href: urlWithFilters(filters, { state }), class: `tab ${label}`, "aria-current": isCurrent ? "true" : null,
        onclick: onPlainClick(() => onChange({ state })),
      }, h("span", { class: `dot ${label}` }), h("span", null, label),
        counts && h("strong", { class: "number" }, `${number(total)}${isExact ? "" : "+"}`));
    const countOf = (state) => counts?.[state]?.count || 0;
    const isExact = (state) => counts?.[state]?.is_exact !== false;
    render(element,
      tab("all", "", STATES.reduce((sum, state) => sum + countOf(state), 0), STATES.every(isExact), !selected.size),
      STATES.map((state) => tab(state, state, countOf(state), isExact(state), selected.size === 1 && selected.has(state))));
  }

  return { element, update };
}

/** Return the filter form. On a small screen it is collapsed. */
export function createFilterForm(onChange) {
  const onsubmit = (event) => event.preventDefault();
  const form = h("form", { class: "filters", role: "search", "aria-label": "Filters", onsubmit });
  const smallScreen = matchMedia("(max-width: 44rem)");
  const element = h("details", { class: "filter-panel", open: !smallScreen.matches }, h("summary", null, "Filters"), form);
  smallScreen.addEventListener("change", () => (element.open = !smallScreen.matches));
  let typingTimer = 0;

  function update(filters, collections) {
    const active = ["session", "collection", "hook", "text", "since"].filter((name) => filters[name]).length;
    element.firstChild.textContent = active ? `Filters (${active})` : "Filters";
    const isCustom = Boolean(filters.from || filters.to || filters.since === "between");
    render(form,
      textField(filters),
      collections.length > 1 && select("collection", "Collection", collectionOptions(filters, collections),
        (collection) => onChange({ collection, session: "" })),
      (collections.length > 0 || filters.session) && select("session", "Session", sessionOptions(filters, collections),
        (session) => onChange({ session })),
      select("hook", "Hook", [option("", "Any"), HOOKS.map((hook) => option(hook, hook, hook === filters.hook))],
        (hook) => onChange({ hook })),
      select("since", "Submitted", periodOptions(filters, isCustom), (since) => onChange({ since, from: "", to: "" })),
      isCustom && dateField("From", filters.from, (from) => onChange({ since: "between", from })),
      isCustom && dateField("To (inclusive)", filters.to, (to) => onChange({ since: "between", to })),
      FORM_FILTERS.some((name) => filters[name]) &&
        h("button", { type: "button", class: "plain", onclick: clear }, "Clear filters"),
    );
  }

  function textField(filters) {
    const oninput = (event) => {
      clearTimeout(typingTimer);
      const text = event.target.value.trim();
      typingTimer = setTimeout(() => text !== filters.text && onChange({ text }, { replace: true }), TYPING_MS);
    };
    return h("label", { class: "field grow" }, h("span", null, "File name or ID"), h("input", {
      type: "search", name: "text", value: filters.text, placeholder: "slide.svs", autocomplete: "off", spellcheck: "false",
      maxlength: 200, oninput,
    }));
  }

  function clear() {
    onChange(Object.fromEntries(FILTERS.map((name) => [name, ""])));
    // A render does not change a field that has the focus.
    form.querySelector("input").value = "";
  }

  return { element, update, clear };
}

const option = (value, label, selected) => h("option", { value, selected }, label);

const select = (name, label, options, onSelect) =>
  h("label", { class: "field" }, h("span", null, label),
    h("select", { name, onchange: (event) => onSelect(event.target.value) }, options));

const dateField = (label, value, onSelect) =>
  h("label", { class: "field" }, h("span", null, label),
    h("input", { type: "date", value, onchange: (event) => onSelect(event.target.value) }));

const labelled = (each, selected) => option(each.id, each.label || each.id, each.id === selected);

const collectionOptions = (filters, collections) =>
  [option("", "Any"), collections.map((each) => labelled(each, filters.collection))];

function sessionOptions(filters, collections) {
  const shown = collections.filter((each) => !filters.collection || each.id === filters.collection);
  const isListed = collections.some((each) => each.sessions.some((session) => session.id === filters.session));
  return [
    option("", "Any"),
    shown.map((each) =>
      h("optgroup", { label: each.label || each.id }, each.sessions.map((session) => labelled(session, filters.session)))),
    filters.session && !isListed && option(filters.session, `…${filters.session.slice(-6)}`, true),
  ];
}

const periodOptions = (filters, isCustom) => [
  option("", "Any time", !isCustom && !filters.since),
  Object.entries(PERIODS).map(([key, [label]]) => option(key, label, !isCustom && filters.since === key)),
  option("between", "Custom range", isCustom),
];
