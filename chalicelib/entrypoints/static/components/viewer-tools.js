// Buttons of the viewer's toolbar, and its keyboard shortcuts.
import { h } from "../lib/dom.js";
import { openDialog } from "./dialog.js";
import { lineIcon } from "./icons.js";

const ICON_PATHS = {
  "zoom-in": "M10 4v12M4 10h12",
  "zoom-out": "M4 10h12",
  "fit": "M3 10l7-6 7 6M5 8.5V16h10V8.5",
  "rotate-left": "M5 8a6 6 0 1 1-.5 5M5 3v5h5",
  "rotate-right": "M15 8a6 6 0 1 0 .5 5M15 3v5h-5",
  "map": "M3 5l4-2 6 2 4-2v12l-4 2-6-2-4 2zM7 3v12M13 5v12",
  "full-screen": "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  "copy-link": "M8 12l4-4M9 6l1-1a3.5 3.5 0 0 1 5 5l-1 1M11 14l-1 1a3.5 3.5 0 0 1-5-5l1-1",
  "compare": "M3 4h14v12H3zM10 4v12",
  "sync": "M5 9h10v8H5zM7 9V6.5a3 3 0 0 1 6 0V9",
  "shortcuts": "M2 5h16v10H2zM5 8h.01M8 8h.01M11 8h.01M14 8h.01M6 12h8",
};

const SHORTCUTS = [
  ["Arrows", "Move"],
  ["+ and −", "Zoom"],
  ["1", "Full resolution (1:1)"],
  ["0", "Fit to screen"],
  ["R, Shift+R", "Rotate right, left"],
  ["M", "Overview map"],
  ["F", "Full screen"],
  ["C", "Compare with another slide"],
  ["L", "Synchronize views"],
];

/** Return a button of the toolbar. `text` replaces the icon. */
export function toolButton(name, label, key, onclick, { isPressed = null, text = "" } = {}) {
  return h("button", {
    type: "button", class: text ? "tool text" : "tool", "data-tool": name, "aria-label": label,
    title: key ? `${label} (${key})` : label, "aria-keyshortcuts": key || null,
    "aria-pressed": isPressed === null ? null : String(isPressed), onclick,
  }, text || lineIcon(ICON_PATHS[name]));
}

/** Let arrow keys move the focus between the buttons of a toolbar. */
export function addArrowKeys(toolbar) {
  toolbar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...toolbar.querySelectorAll("button")];
    buttons[(buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length]?.focus();
    event.preventDefault();
  });
}

export function showShortcuts() {
  openDialog({
    title: "Keyboard shortcuts",
    content: (heading) => h("form", { method: "dialog" },
      heading,
      h("dl", { class: "keys" },
        SHORTCUTS.map(([keys, action]) => [h("dt", null, h("kbd", null, keys)), h("dd", null, action)])),
      h("div", { class: "buttons" }, h("button", { class: "primary" }, "Close")),
    ),
  });
}
