// Icons, drawn in the colour of the text.
import { s } from "../lib/dom.js";

const PYRAMID_PATH = "M3 15h8v6H3zM13 15h8v6h-8zM6 8h5v5H6zM13 8h5v5h-5zM9.5 3h5v3.5h-5z";

/** Return the pyramid of the logo. It is also the placeholder of a thumbnail. */
export const pyramidIcon = (attributes = {}) =>
  s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", ...attributes },
    s("path", { fill: "currentColor", d: PYRAMID_PATH }));

/** Return an icon of lines from a path in a box of 20 x 20. */
export const lineIcon = (path) =>
  s("svg", {
    viewBox: "0 0 20 20", "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": "1.7",
    "stroke-linecap": "round", "stroke-linejoin": "round",
  }, s("path", { d: path }));
