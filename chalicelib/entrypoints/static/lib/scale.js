// Lengths, magnifications and positions in the viewer, as text.

/** Return the longest of 1, 2 and 5 times a power of ten that is not longer than `limit`. */
export function roundLength(limit) {
  const power = 10 ** Math.floor(Math.log10(limit));
  return [5, 2].map((factor) => factor * power).find((length) => length <= limit * (1 + 1e-9)) ?? power;
}

export function formatLength(micrometres) {
  const [value, unit] =
    micrometres >= 1000 ? [micrometres / 1000, "mm"] : micrometres >= 1 ? [micrometres, "µm"] : [micrometres * 1000, "nm"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/** Return the magnification of the base level: that of the file, else derived from the pixel size (10 µm at 1×). */
export const baseMagnification = (slide) => slide.magnification || (slide.mpp ? 10 / slide.mpp : null);

export const formatMagnification = (value) =>
  `${value >= 99.5 ? Math.round(value) : Number(value.toPrecision(value < 1 ? 1 : 2))}×`;

/** Return a position for the URL: the centre in pixels of the base level, screen pixels for each slide pixel, and the
 *  rotation in degrees. */
export function formatPosition({ x, y, zoom, rotation }) {
  const parts = [x.toFixed(1), y.toFixed(1), Number(zoom.toPrecision(6))].concat(rotation ? Math.round(rotation) : []);
  return parts.map((part) => String(part).replace(/\.0$/, "")).join(",");
}

/** Return the position that a text describes, null if it describes none. */
export function parsePosition(text) {
  const [x, y, zoom, rotation = 0] = String(text).split(",").map(Number);
  return [x, y, zoom, rotation].every(Number.isFinite) && zoom > 0 ? { x, y, zoom, rotation } : null;
}
