// Form that selects the session of a submitted slide and the options of its ingestion.
import { get, post, toProblem } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { requireScope } from "./account.js";
import { confirmAction } from "./dialog.js";
import { announce, showProblem } from "./notices.js";

const STORAGE_KEY = "slidehook: last session";
const LONGEST_LABEL = 200;
const BAD_TILE_CHOICES = [["blank", "Show blank"], ["skip", "Omit"], ["fail", "Fail the job"]];
const NO_DESTINATION = { collection: "", session: "" };

/** Return the form. `onChange` is called when the destination changes. */
export function createDestinationForm(onChange) {
  const element = h("section", { class: "card" });
  const options = { tile_size: "", base_only: false, overwrite: false, on_bad_tile: "blank", associated: false };
  let collections = null;
  let problem = null;
  let destination = storedDestination();

  async function load() {
    try {
      collections = (await get("/collections")).collections;
      problem = null;
      const sessions = collections.flatMap((collection) =>
        collection.sessions.map((session) => ({ collection: collection.id, session: session.id })));
      if (!sessions.some(({ session }) => session === destination.session)) destination = defaultDestination(sessions);
    } catch (error) {
      problem = toProblem(error);
    }
    onChange();
  }

  function defaultDestination(sessions) {
    if (sessions.length === 1) return sessions[0];
    return { collection: collections.length === 1 ? collections[0].id : "", session: "" };
  }

  function choose(changes) {
    destination = { ...destination, ...changes };
    localStorage.setItem(STORAGE_KEY, JSON.stringify(destination));
    onChange();
  }

  async function createSession() {
    const label = h("input", { type: "text", required: true, maxlength: LONGEST_LABEL, autofocus: true });
    const name = await confirmAction({
      title: "Create session", confirm: "Create", read: () => label.value.trim(),
      body: h("label", { class: "field" }, h("span", null, "Name"), label),
    });
    if (!name) return;
    try {
      const session = await post(`/collections/${destination.collection}/sessions`, { label: name });
      destination = { ...destination, session: session.id };
      await load();
      choose({ session: session.id });
      announce(`Session ${name} is created and selected`);
    } catch (error) {
      showProblem(error, { key: "session" });
    }
  }

  function update() {
    render(element, h("h2", null, "Destination"), content());
  }

  function content() {
    if (problem) {
      return [
        h("p", { class: "text-error", role: "alert" },
          `Collections could not be loaded: ${problem.message} ${problem.hint}`),
        h("button", { type: "button", onclick: load }, "Retry"),
      ];
    }
    if (!collections) return h("p", { class: "skeleton", role: "status", "aria-label": "Loading collections" }, "\u00a0");
    if (!collections.length) return h("p", { class: "muted" }, "No collections. Create a collection in SlideAtlas.");
    const collection = collections.find((each) => each.id === destination.collection);
    return [
      h("div", { class: "row fields" },
        select("Collection", collections, destination.collection, {
          isUnset: !collection, onSelect: (id) => choose({ collection: id, session: "" }),
        }),
        select("Session", collection?.sessions || [], destination.session, {
          isUnset: !destination.session, isDisabled: !collection, onSelect: (id) => choose({ session: id }),
        }),
        collection && h("button", { type: "button", ...requireScope("submit"), onclick: createSession }, "Create session"),
      ),
      h("details", { class: "options" }, h("summary", null, "Options"), optionFields(options)),
    ];
  }

  return {
    element,
    load,
    update,
    get destination() {
      return destination;
    },
    /** Return the options as parameters of the hooks. */
    get options() {
      const { tile_size: tileSize, ...others } = options;
      return { ...others, ...(tileSize ? { tile_size: Number(tileSize) } : {}) };
    },
  };
}

function storedDestination() {
  try {
    return { ...NO_DESTINATION, ...JSON.parse(localStorage.getItem(STORAGE_KEY)) };
  } catch {
    return NO_DESTINATION;
  }
}

const option = (value, label, selected) => h("option", { value, selected }, label);

function select(label, choices, selected, { isUnset, isDisabled = false, onSelect }) {
  return h("label", { class: "field" }, h("span", null, label),
    h("select", { disabled: isDisabled, onchange: (event) => onSelect(event.target.value) },
      isUnset && option("", `Select a ${label.toLowerCase()}`, true),
      choices.map((each) => option(each.id, each.label || each.id, each.id === selected))));
}

function optionFields(options) {
  const checkbox = (name, label, hint) =>
    h("label", { class: "row option" },
      h("input", { type: "checkbox", checked: options[name], onchange: (event) => (options[name] = event.target.checked) }),
      h("span", null, label, h("span", { class: "muted small" }, hint)));
  return h("div", { class: "option-fields" },
    h("label", { class: "field" }, h("span", null, "Tile size (px)"), h("input", {
      type: "number", min: 64, max: 4096, step: 16, placeholder: "Same as the file", value: options.tile_size,
      onchange: (event) => (options.tile_size = event.target.value),
    })),
    h("label", { class: "field" }, h("span", null, "Damaged tiles"),
      h("select", { onchange: (event) => (options.on_bad_tile = event.target.value) },
        BAD_TILE_CHOICES.map(([value, label]) => option(value, label, options.on_bad_tile === value)))),
    checkbox("associated", "Publish label, macro and thumbnail", "These images may contain the patient's name."),
    checkbox("overwrite", "Replace a slide with the same file name", "Also if it comes from a different source."),
    checkbox("base_only", "Full resolution only", "Coarser levels are not published."));
}
