// Thumbnail of a published slide: its coarsest tile, cropped to the slide because tiles are padded at the edge.
import { apiUrl } from "../lib/api.js";
import { s } from "../lib/dom.js";
import { levelCount } from "../lib/slides.js";

/** Return the thumbnail of a slide of `GET /sessions/{id}/slides`. Omit `label` where the slide's name is visible. */
export function thumbnail(slide, { label = "", class: className = "", ...attributes } = {}) {
  const size = slide.slide;
  const side = size?.tile_size_px || 256;
  const scale = size ? 2 ** (levelCount(size.width_px, size.height_px, side) - 1) : 1;
  const [width, height] = size ? [size.width_px / scale, size.height_px / scale] : [side, side];
  const accessible = label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" };
  const frameClass = slide.links.thumbnail ? className : `${className} none`;
  const markMissing = (event) => event.target.ownerSVGElement.ownerSVGElement.classList.add("none");
  return s("svg", { class: frameClass, viewBox: `0 0 ${width} ${height}`, ...accessible, ...attributes },
    // The inner SVG crops the tile. The outer one may be wider or higher than the slide.
    slide.links.thumbnail && s("svg", { width, height },
      s("image", { href: apiUrl(slide.links.thumbnail), width: side, height: side, onerror: markMissing })));
}
