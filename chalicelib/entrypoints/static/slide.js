// Slides, as a viewer needs them: found by address, and where their tiles are.
import { Problem, address, get } from "./api.js";
import { fileName } from "./format.js";

const JOB = /^[0-9a-f]{32}$/, IMAGE = /^([0-9a-f]{24})-([0-9a-f]{24})/, VIEW = /^[0-9a-f]{24}$/;
const LIVE = new Set(["queued", "planning", "tiling", "finishing"]);

/** How many levels a complete pyramid has: halvings until one tile holds the whole slide. */
export function levelCount(width, height, tileSize) {
  let levels = 1;
  for (let side = tileSize; side < Math.max(width, height); side *= 2) levels += 1;
  return levels;
}

/** SlideAtlas' name of a tile: `t` and one letter a step down the quadtree. `depth` 0 is its root, the coarsest level. */
export function tileName(depth, column, row) {
  let name = "t";
  for (let bit = depth - 1; bit >= 0; bit -= 1) name += "qrts"[((column >> bit) & 1) + 2 * ((row >> bit) & 1)];
  return `${name}.jpg`;
}

/** A job that has not published anything (yet): `job` tells why. */
export class NotPublished extends Error {
  constructor(job) {
    super(LIVE.has(job.state) ? "This slide is not published yet." : "This job has published no slide.");
    this.job = job;
    this.live = LIVE.has(job.state);
  }
}

/** Return the slide at an address: a job's id, `<image store>-<image>`, or a view's id. */
export async function findSlide(text, { signal } = {}) {
  if (JOB.test(text)) return ofJob(text, await get(`/jobs/${text}`, { signal }), signal);
  if (VIEW.test(text) || IMAGE.test(text)) return ofDescription(text, await get(`/slides/${text}`, { signal }));
  throw new Problem(0, {
    code: "no_slide",
    detail: text ? `${text} is no address of a slide.` : "No slide is named.",
    hint: "Open one from its session, or by a job's id: ?slide=<job>.",
  });
}

async function ofJob(text, job, signal) {
  if (job.hook === "verify" && job.verification) return findSlide(job.verification.job, { signal });
  if (!job.result || !job.slide) throw new NotPublished(job);
  const { image_store: store, image, view } = job.result;
  const about = {
    title: fileName(job.source.key),
    vendor: job.slide.vendor,
    icc: job.slide.icc_profile_bytes ? { bytes: job.slide.icc_profile_bytes, href: address(`/beside/${store}/${image}/icc`) } : null,
    job: job.id,
    session: job.destination.session,
  };
  // Under their exact address tiles are kept by the browser; a service without that route has the quadtree's.
  const found = (await described(`${store}-${image}`, signal)) || (view && (await described(view, signal)));
  if (found) return { ...ofDescription(text, found), ...about, anew: found.image !== image };
  const { width_px: width, height_px: height, tile_size_px: tileSize, mpp_x: mpp, magnification } = job.slide;
  const depth = levelCount(width, height, tileSize);
  return {
    ...about, text, width, height, tileSize, depth, mpp, magnification,
    published: new Set(job.levels.map((level) => level.level)).size,
    thumbnail: address(job.result.thumbnail),
    tileUrl: (level, column, row) => address(`/tile/${store}/${image}/${tileName(depth - 1 - level, column, row)}`),
    anew: false,
  };
}

async function described(text, signal) {
  try {
    return await get(`/slides/${text}`, { signal });
  } catch (error) {
    if (error.status === 404 || error.status === 403) return null;
    throw error;
  }
}

function ofDescription(text, found) {
  const { width_px: width, height_px: height, tile_size_px: tileSize } = found;
  // These begin where the host's paths begin, with a stage if there is one.
  const here = (path) => new URL(path, location.href).href;
  return {
    text, width, height, tileSize,
    title: found.title || fileName(found.file_name || ""),
    mpp: found.mpp_x,
    magnification: found.magnification,
    vendor: found.vendor,
    icc: found.icc_profile_bytes ? { bytes: found.icc_profile_bytes, href: address(`/beside/${found.image_store}/${found.image}/icc`) } : null,
    job: found.job || null,
    session: found.session || null,
    depth: levelCount(width, height, tileSize),
    published: found.levels.length,
    thumbnail: found.links.thumbnail ? here(found.links.thumbnail) : null,
    tileUrl: (level, column, row) => here(found.tiles.replace("{level}", level).replace("{column}", column).replace("{row}", row)),
    anew: false,
  };
}
