// One slide on the screen: OpenSeadragon over our tiles, with scale bar, magnification and a map of where one is.
import { h, s } from "../lib/dom.js";
import { bytes, number } from "../lib/format.js";

const { OpenSeadragon } = window;
const LONGEST_BAR_PX = 150;
const MOST_TILES_AT_ONCE = 200;

// OpenSeadragon adds a sheet of its own, which the page's policy does not allow, unless it finds an element of this
// kind. What that sheet says stands in viewer.css.
const stub = document.createElementNS("urn:slidehook", "style");
stub.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(stub);

/** Draws each tile from pixel to pixel of the screen. OpenSeadragon's own makes tiles one pixel larger, so that no seam
 *  shows between them, and thereby stretches and blurs them; here neighbours share their rounded edge. */
class PixelDrawer extends OpenSeadragon.CanvasDrawer {
  _drawTile(tile, ...how) {
    const { position, size } = tile;
    const dots = OpenSeadragon.pixelDensityRatio;
    // Halves go one way for all, whatever the last digits of a position are.
    const edge = (at) => Math.round(at * dots + 1e-4) / dots;
    const [left, top] = [edge(position.x), edge(position.y)];
    // `size` is that of the tile and one pixel (TiledImage._positionTile).
    tile.position = new OpenSeadragon.Point(left, top);
    tile.size = new OpenSeadragon.Point(edge(position.x + size.x - 1) - left, edge(position.y + size.y - 1) - top);
    super._drawTile(tile, ...how);
    Object.assign(tile, { position, size });
  }
}

/** The longest of 1, 2 and 5 times a power of ten that is not longer than `most`. */
export function niceLength(most) {
  const ten = 10 ** Math.floor(Math.log10(most));
  return [5, 2].map((times) => times * ten).find((length) => length <= most * (1 + 1e-9)) ?? ten;
}

export function lengthText(micrometres) {
  const [value, unit] = micrometres >= 1000 ? [micrometres / 1000, "mm"] : micrometres >= 1 ? [micrometres, "µm"] : [micrometres * 1000, "nm"];
  return `${Number(value.toPrecision(3))} ${unit}`;
}

/** The magnification of the base level: what the file says, else what its pixels' size amounts to (10 µm at 1 x). */
export const baseMagnification = (slide) => slide.magnification || (slide.mpp ? 10 / slide.mpp : null);

export function magnificationText(value) {
  return `${value >= 99.5 ? Math.round(value) : Number(value.toPrecision(value < 1 ? 1 : 2))}×`;
}

/** Where one looks: the pixel of the base level in the middle, screen pixels a slide pixel, degrees. */
export const placeText = ({ x, y, zoom, turn }) =>
  [x.toFixed(1), y.toFixed(1), Number(zoom.toPrecision(6))].concat(turn ? Math.round(turn) : []).map(String).map((part) => part.replace(/\.0$/, "")).join(",");

export function placeOf(text) {
  const [x, y, zoom, turn = 0] = String(text).split(",").map(Number);
  return [x, y, zoom, turn].every(Number.isFinite) && zoom > 0 ? { x, y, zoom, turn } : null;
}

/** Return a pane with a slide in it, drawn into `element`, which has its size already. `onmove` is told of each movement, `onlead` when a person takes hold of it. */
export function pane(slide, { element, name = "", onmove = () => {}, onlead = () => {} } = {}) {
  const canvas = h("div", { class: "canvas" });
  const map = h("div", { class: "map", "aria-hidden": "true" });
  const bar = h("span", { class: "bar-line" }), length = h("span", { class: "length" });
  const scale = h("div", { class: "scale", role: "img" }, length, bar);
  const power = h("output", { class: "power" });
  const trouble = h("p", { class: "trouble", hidden: true, role: "status" });
  element.setAttribute("aria-label", name ? `${name}: ${slide.title}` : slide.title);
  element.append(canvas, map, h("div", { class: "corner" }, scale, power), trouble);

  const coarsest = slide.depth - slide.published;
  const source = new OpenSeadragon.TileSource({
    width: slide.width,
    height: slide.height,
    tileSize: slide.tileSize,
    tileOverlap: 0,
    minLevel: coarsest,
    maxLevel: slide.depth - 1,
    getTileUrl: (level, column, row) => slide.tileUrl(slide.depth - 1 - level, column, row),
  });

  const viewer = new OpenSeadragon.Viewer({
    element: canvas,
    tileSources: [source],
    drawer: PixelDrawer,
    prefixUrl: "",
    showNavigationControl: false,
    showNavigator: true,
    navigatorElement: map,
    navigatorOpacity: 1,
    navigatorBackground: "transparent",
    navigatorBorderColor: "transparent",
    navigatorDisplayRegionColor: "#5a3fb0",
    animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.5,
    springStiffness: 9,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { dblClickToZoom: true, pinchRotate: false },
    maxZoomPixelRatio: 8,
    minZoomImageRatio: 0.3,
    visibilityRatio: 0.2,
    preserveImageSizeOnResize: true,
    imageLoaderLimit: 8,
    maxImageCacheCount: 600,
    tileRetryMax: 0,
    // Keys are the page's own (viewer.js), so that they work wherever the focus is.
    keyboardNavEnabled: false,
  });
  // A person who tabs through the page comes by here, and learns what it is.
  viewer.canvas.setAttribute("role", "application");
  viewer.canvas.setAttribute("aria-label", `Slide ${slide.title}. Arrow keys move, plus and minus zoom.`);
  viewer.canvas.setAttribute("tabindex", "0");

  const view = () => viewer.viewport;
  const image = () => viewer.world.getItemAt(0);
  const zoom = () => image().viewportToImageZoom(view().getZoom(true));

  function where() {
    const middle = image().viewportToImageCoordinates(view().getCenter(true));
    return { x: middle.x, y: middle.y, zoom: zoom(), turn: ((view().getRotation(true) % 360) + 360) % 360 };
  }

  function go({ x, y, zoom: to, turn = 0 }, atOnce = true) {
    view().zoomTo(image().imageToViewportZoom(to), null, atOnce);
    view().panTo(image().imageToViewportCoordinates(new OpenSeadragon.Point(x, y)), atOnce);
    if (view().getRotation() !== turn) view().setRotation(turn, atOnce);
    if (atOnce) viewer.forceRedraw();
  }

  function redraw() {
    if (!image()) return;
    const now = zoom();
    const per = slide.mpp || 1;
    const nice = niceLength((LONGEST_BAR_PX / now) * per);
    const shown = slide.mpp ? lengthText(nice) : `${number(nice)} px`;
    bar.style.width = `${((nice / per) * now).toFixed(1)}px`;
    if (length.textContent !== shown) {
      length.textContent = shown;
      scale.setAttribute("aria-label", `Scale: the bar is ${shown} long`);
    }
    const base = baseMagnification(slide);
    power.textContent = base ? magnificationText(base * now) : `${Number((now * 100).toPrecision(3))} %`;
    power.title = base ? `Magnification, from ${slide.magnification ? "the file" : "the size of its pixels"}; ${Number((now * 100).toPrecision(3))} % of full resolution` : "Of full resolution; the file does not state its magnification";
  }

  const ready = new Promise((resolve) => {
    viewer.addOnceHandler("open", () => {
      // A slide without coarser levels is not shown whole: that would ask for all of its tiles.
      const tiles = Math.ceil(slide.width / slide.tileSize) * Math.ceil(slide.height / slide.tileSize);
      if (slide.published < slide.depth && tiles > MOST_TILES_AT_ONCE) {
        map.hidden = true;
        view().minZoomLevel = image().imageToViewportZoom(0.5 / 2 ** (slide.published - 1));
        view().applyConstraints(true);
        tell("Only full resolution was published of this slide: it cannot be shown as a whole.");
      }
      image().addHandler("fully-loaded-change", ({ fullyLoaded }) => (element.dataset.loaded = fullyLoaded ? "yes" : "no"));
      redraw();
      resolve();
    });
  });
  const moved = () => {
    redraw();
    if (image()) onmove();
  };
  for (const event of ["viewport-change", "rotate", "resize"]) viewer.addHandler(event, moved);
  for (const event of ["canvas-press", "canvas-scroll", "canvas-pinch", "canvas-drag", "canvas-double-click"]) viewer.addHandler(event, onlead);
  viewer.navigator?.addHandler("navigator-click", onlead);
  map.addEventListener("pointerdown", onlead, true);
  map.addEventListener("wheel", onlead, { capture: true, passive: true });

  // A tile that the file leaves out is not there; what lies below it is shown larger in its place.
  let missing = 0;
  viewer.addHandler("tile-load-failed", () => {
    missing += 1;
    if (missing >= 3 && !image()?.getTilesToDraw().length) tell("The tiles of this slide cannot be loaded. It may have been removed, or published anew: load the page again.");
  });
  function tell(text) {
    trouble.textContent = text;
    trouble.hidden = !text;
  }

  return {
    slide, element, viewer, ready, where, go,
    by(factor) {
      view().zoomBy(factor);
      view().applyConstraints();
    },
    to(value) {
      view().zoomTo(image().imageToViewportZoom(value));
      view().applyConstraints();
    },
    pan(right, down) {
      const size = view().getContainerSize();
      view().panBy(view().deltaPointsFromPixels(new OpenSeadragon.Point(right * size.x, down * size.y)));
      view().applyConstraints();
    },
    turn: (degrees) => view().setRotation(view().getRotation() + degrees),
    home(atOnce = false) {
      view().setRotation(0, atOnce);
      view().goHome(atOnce);
      view().applyConstraints(atOnce); // the whole may be smaller than what is allowed
    },
    /** The least zoom that there is, and another one. */
    least: () => image().viewportToImageZoom(view().getMinZoom()),
    allow: (zoom) => (view().minZoomLevel = image().imageToViewportZoom(zoom)),
    toggleMap() {
      map.hidden = !map.hidden;
      return !map.hidden;
    },
  };
}

/** What is known of a slide, as short texts. */
export function facts(slide) {
  const base = slide.magnification ? `${Number(slide.magnification.toPrecision(3))}×` : null;
  return [
    `${number(slide.width)} × ${number(slide.height)} px`,
    slide.mpp ? `${lengthText(slide.width * slide.mpp)} wide` : null,
    slide.mpp ? `${Number(slide.mpp.toPrecision(4))} µm per pixel` : "scale unknown",
    base,
    slide.vendor,
  ].filter(Boolean);
}

export const colourNote = (slide) =>
  slide.icc && h("details", { class: "note" },
    h("summary", null, "Colour profile"),
    h("div", { class: "card" },
      h("p", null, "This slide has a colour profile of its scanner. It is not applied: colours are shown as the file stores them, and may differ from those that the scanner's own viewer shows."),
      h("p", null, h("a", { href: slide.icc.href, download: "profile.icc" }, `Download the profile (${bytes(slide.icc.bytes)})`)),
    ),
  );

/** An icon of 20 x 20, drawn in the text's colour. */
export const icon = (path) =>
  s("svg", { viewBox: "0 0 20 20", "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": "1.7", "stroke-linecap": "round", "stroke-linejoin": "round" }, s("path", { d: path }));
