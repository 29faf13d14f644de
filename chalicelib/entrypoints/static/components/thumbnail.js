// A slide's picture: its coarsest tile, of which only the slide's own part is shown and not what fills the tile up.
import { address } from "../lib/api.js";
import { s } from "../lib/dom.js";
import { levelCount } from "../lib/slides.js";

/** Return the picture of a slide as `/sessions/{id}/slides` tells of it. `label` is for those who do not see it; empty
 *  where its name stands beside it. */
export function thumbnail(each, { label = "", ...attributes } = {}) {
  const known = each.slide;
  const side = known?.tile_size_px || 256;
  const steps = known ? 2 ** (levelCount(known.width_px, known.height_px, side) - 1) : 1;
  const [width, height] = known ? [known.width_px / steps, known.height_px / steps] : [side, side];
  const { class: kind = "", ...others } = attributes;
  return s("svg", { class: `${kind}${each.links.thumbnail ? "" : " none"}`, viewBox: `0 0 ${width} ${height}`, ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }), ...others },
    // A picture's room may be wider or higher than the slide: the inner one ends where the slide ends.
    each.links.thumbnail && s("svg", { width, height }, s("image", { href: address(each.links.thumbnail), width: side, height: side, onerror: (event) => event.target.ownerSVGElement.ownerSVGElement.classList.add("none") })));
}
