// Synchronized views: two panes of the viewer that move, zoom and rotate together.

export function createViewSync(panes) {
  let start = null; // positions and ratio of both panes at the moment of synchronization

  /** Synchronize the views. `alignScale` shows both slides at the same scale, else both stay as they are. */
  function enable({ alignScale = false } = {}) {
    const [first, second] = panes.map((pane) => pane.position());
    const ratio = alignScale ? equalScaleRatio() : second.zoom / first.zoom;
    start = { first, second, ratio, rotation: second.rotation - first.rotation };
    // The minimum zoom of one slide must not stop the other.
    const minZoom = Math.min(panes[0].minZoom(), panes[1].minZoom() / ratio);
    panes[0].setMinZoom(minZoom);
    panes[1].setMinZoom(minZoom * ratio);
    if (alignScale) follow(0);
  }

  /** Return the ratio of zooms at which a millimetre has the same length in both panes, or a pixel if sizes are unknown. */
  function equalScaleRatio() {
    const [mpp, otherMpp] = panes.map((pane) => pane.slide.mpp);
    return mpp && otherMpp ? otherMpp / mpp : 1;
  }

  /** Move the other pane as far on the screen, and in the same direction, as pane `leader` has moved. */
  function follow(leader) {
    const current = panes[leader].position();
    const { first, second, ratio, rotation } = start;
    const [from, to, scale, angle] =
      leader === 0 ? [first, second, 1 / ratio, -rotation] : [second, first, ratio, rotation];
    const [x, y] = [(current.x - from.x) * scale, (current.y - from.y) * scale];
    const radians = (angle * Math.PI) / 180;
    const [cosine, sine] = [Math.cos(radians), Math.sin(radians)];
    panes[1 - leader].moveTo({
      x: to.x + x * cosine - y * sine,
      y: to.y + x * sine + y * cosine,
      zoom: current.zoom / scale,
      rotation: current.rotation - angle,
    });
  }

  return {
    enable,
    follow,
    disable: () => (start = null),
    get isEnabled() {
      return start !== null;
    },
  };
}
