// One slide in the viewer: OpenSeadragon with a scale bar, the magnification and an overview map.
import { h } from "../lib/dom.js";
import { number } from "../lib/format.js";
import { baseMagnification, formatLength, formatMagnification, roundLength } from "../lib/scale.js";

const { OpenSeadragon } = window;
const LONGEST_SCALE_BAR_PX = 150;
const MOST_TILES_IN_VIEW = 200;
const MISSING_TILES_OF_NOTE = 3;

// OpenSeadragon adds a style element, which the Content-Security-Policy forbids, unless it finds an element with this
// attribute. viewer.css contains the rules of that style.
const styleStub = document.createElementNS("urn:slidehook", "style");
styleStub.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(styleStub);

/** Draws tiles pixel to pixel. OpenSeadragon draws each tile one pixel larger to hide seams, which stretches and blurs
 *  it. Here adjacent tiles share a rounded edge instead. */
class PixelDrawer extends OpenSeadragon.CanvasDrawer {
  _drawTile(tile, ...rest) {
    const { position, size } = tile;
    const ratio = OpenSeadragon.pixelDensityRatio;
    // The offset rounds all halves in the same direction, regardless of floating-point errors.
    const snap = (value) => Math.round(value * ratio + 1e-4) / ratio;
    const [left, top] = [snap(position.x), snap(position.y)];
    // `size` is the size of the tile plus one pixel (TiledImage._positionTile).
    tile.position = new OpenSeadragon.Point(left, top);
    tile.size = new OpenSeadragon.Point(snap(position.x + size.x - 1) - left, snap(position.y + size.y - 1) - top);
    super._drawTile(tile, ...rest);
    Object.assign(tile, { position, size });
  }
}

const OPTIONS = {
  drawer: PixelDrawer,
  prefixUrl: "",
  showNavigationControl: false,
  showNavigator: true,
  navigatorOpacity: 1,
  navigatorBackground: "transparent",
  navigatorBorderColor: "transparent",
  navigatorDisplayRegionColor: "#5a3fb0",
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
  // The page handles keys, so that they work wherever the focus is.
  keyboardNavEnabled: false,
};

function tileSource(slide) {
  return new OpenSeadragon.TileSource({
    width: slide.width,
    height: slide.height,
    tileSize: slide.tileSize,
    tileOverlap: 0,
    minLevel: slide.depth - slide.publishedLevels,
    maxLevel: slide.depth - 1,
    getTileUrl: (level, column, row) => slide.tileUrl(slide.depth - 1 - level, column, row),
  });
}

/** Return whether the whole slide would need too many tiles, because its coarser levels are not published. */
function isTooLargeForOneView(slide) {
  const tiles = Math.ceil(slide.width / slide.tileSize) * Math.ceil(slide.height / slide.tileSize);
  return slide.publishedLevels < slide.depth && tiles > MOST_TILES_IN_VIEW;
}

/** Show a slide in `element`, which must have its final size. `onMove` is called after each movement, `onActivate` when
 *  the user starts one in this pane. */
export function createPane(slide, { element, name = "", onMove = () => {}, onActivate = () => {} } = {}) {
  const canvas = h("div", { class: "canvas" });
  const map = h("div", { class: "map", "aria-hidden": "true" });
  const note = h("p", { class: "pane-note", hidden: true, role: "status" });
  const scale = createScale(slide);
  element.setAttribute("aria-label", name ? `${name}: ${slide.title}` : slide.title);
  element.append(canvas, map, scale.element, note);

  const viewer = new OpenSeadragon.Viewer({
    ...OPTIONS,
    element: canvas,
    tileSources: [tileSource(slide)],
    navigatorElement: map,
    animationTime: matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 0.5,
  });
  viewer.canvas.setAttribute("role", "application");
  viewer.canvas.setAttribute("aria-label", `Slide ${slide.title}. Arrow keys move, plus and minus zoom.`);
  viewer.canvas.setAttribute("tabindex", "0");

  const viewport = () => viewer.viewport;
  const image = () => viewer.world.getItemAt(0);
  const zoom = () => image().viewportToImageZoom(viewport().getZoom(true));

  function position() {
    const centre = image().viewportToImageCoordinates(viewport().getCenter(true));
    return { x: centre.x, y: centre.y, zoom: zoom(), rotation: ((viewport().getRotation(true) % 360) + 360) % 360 };
  }

  function moveTo({ x, y, zoom: target, rotation = 0 }, immediately = true) {
    viewport().zoomTo(image().imageToViewportZoom(target), null, immediately);
    viewport().panTo(image().imageToViewportCoordinates(new OpenSeadragon.Point(x, y)), immediately);
    if (viewport().getRotation() !== rotation) viewport().setRotation(rotation, immediately);
    if (immediately) viewer.forceRedraw();
  }

  function showNote(text) {
    note.textContent = text;
    note.hidden = !text;
  }

  const ready = new Promise((resolve) => {
    viewer.addOnceHandler("open", () => {
      if (isTooLargeForOneView(slide)) {
        map.hidden = true;
        viewport().minZoomLevel = image().imageToViewportZoom(0.5 / 2 ** (slide.publishedLevels - 1));
        viewport().applyConstraints(true);
        showNote("Only full resolution is published. The whole slide cannot be displayed.");
      }
      image().addHandler("fully-loaded-change", ({ fullyLoaded }) => (element.dataset.loaded = fullyLoaded ? "yes" : "no"));
      scale.update(zoom());
      resolve();
    });
  });

  function onViewportChange() {
    if (!image()) return;
    scale.update(zoom());
    onMove();
  }
  for (const event of ["viewport-change", "rotate", "resize"]) viewer.addHandler(event, onViewportChange);
  for (const event of ["canvas-press", "canvas-scroll", "canvas-pinch", "canvas-drag", "canvas-double-click"]) {
    viewer.addHandler(event, onActivate);
  }
  viewer.navigator?.addHandler("navigator-click", onActivate);
  map.addEventListener("pointerdown", onActivate, true);
  map.addEventListener("wheel", onActivate, { capture: true, passive: true });

  // A sparse file omits tiles; the coarser level is shown instead. Only if nothing is shown, the slide is gone.
  let missingTiles = 0;
  viewer.addHandler("tile-load-failed", () => {
    missingTiles += 1;
    if (missingTiles >= MISSING_TILES_OF_NOTE && !image()?.getTilesToDraw().length) {
      showNote("The tiles could not be loaded. The slide may have been removed or republished. Reload the page.");
    }
  });

  return {
    slide, element, ready, position, moveTo,
    zoomBy(factor) {
      viewport().zoomBy(factor);
      viewport().applyConstraints();
    },
    zoomTo(value) {
      viewport().zoomTo(image().imageToViewportZoom(value));
      viewport().applyConstraints();
    },
    pan(right, down) {
      const size = viewport().getContainerSize();
      const delta = new OpenSeadragon.Point(right * size.x, down * size.y);
      viewport().panBy(viewport().deltaPointsFromPixels(delta));
      viewport().applyConstraints();
    },
    rotate: (degrees) => viewport().setRotation(viewport().getRotation() + degrees),
    showAll(immediately = false) {
      viewport().setRotation(0, immediately);
      viewport().goHome(immediately);
      viewport().applyConstraints(immediately); // the whole slide may be below the minimum zoom
    },
    minZoom: () => image().viewportToImageZoom(viewport().getMinZoom()),
    setMinZoom: (value) => (viewport().minZoomLevel = image().imageToViewportZoom(value)),
    toggleMap() {
      map.hidden = !map.hidden;
      return !map.hidden;
    },
  };
}

/** Return the scale bar and the magnification of a slide. */
function createScale(slide) {
  const bar = h("span", { class: "scale-bar" }), length = h("span", { class: "scale-length" });
  const scale = h("div", { class: "scale", role: "img" }, length, bar);
  const magnification = h("output", { class: "magnification" });
  const base = baseMagnification(slide);

  function update(zoom) {
    const unitsPerPixel = slide.mpp || 1;
    const rounded = roundLength((LONGEST_SCALE_BAR_PX / zoom) * unitsPerPixel);
    const text = slide.mpp ? formatLength(rounded) : `${number(rounded)} px`;
    bar.style.width = `${((rounded / unitsPerPixel) * zoom).toFixed(1)}px`;
    if (length.textContent !== text) {
      length.textContent = text;
      scale.setAttribute("aria-label", `Scale bar: ${text}`);
    }
    const share = `${Number((zoom * 100).toPrecision(3))} %`;
    magnification.textContent = base ? formatMagnification(base * zoom) : share;
    magnification.title = base
      ? `Magnification from ${slide.magnification ? "the file" : "the pixel size"}; ${share} of full resolution`
      : "Share of full resolution. The file does not contain a magnification.";
  }

  return { element: h("div", { class: "corner" }, scale, magnification), update };
}
