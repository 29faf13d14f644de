// Facts of a slide in the viewer: size, pixel size, magnification, and its colour profile.
import { h } from "../lib/dom.js";
import { bytes, number } from "../lib/format.js";
import { formatLength } from "../lib/scale.js";

/** Return the facts of a slide as short texts. */
export function slideFacts(slide) {
  return [
    `${number(slide.width)} × ${number(slide.height)} px`,
    slide.mpp ? `${formatLength(slide.width * slide.mpp)} wide` : null,
    slide.mpp ? `${Number(slide.mpp.toPrecision(4))} µm per pixel` : "pixel size unknown",
    slide.magnification ? `${Number(slide.magnification.toPrecision(3))}×` : null,
    slide.vendor,
  ].filter(Boolean);
}

/** Return a note on the colour profile of a slide, null if it has none. */
export const colourProfileNote = ({ icc }) =>
  icc && h("details", { class: "note" },
    h("summary", null, "Colour profile"),
    h("div", { class: "card" },
      h("p", null, "This slide contains a colour profile of its scanner. The viewer does not apply it: colours are shown ",
        "as stored and may differ from those in the scanner's own viewer."),
      h("p", null, h("a", { href: icc.href, download: "profile.icc" }, `Download profile (${bytes(icc.bytes)})`)),
    ),
  );
