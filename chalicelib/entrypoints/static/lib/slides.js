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
  if (JOB.test(text)) {
    const job = await get(`/jobs/${text}`, { signal });
    if (job.verification) return findSlide(job.verification.job, { signal });
    if (!job.result || !job.slide) throw new NotPublished(job);
    const { image_store: store, image, view } = job.result;
    const found = await get(`/slides/${store}-${image}`, { signal }).catch((error) => {
      if (error.status !== 404 || !view) throw error;
      return get(`/slides/${view}`, { signal }); // the slide was published anew since
    });
    return described(text, found, job);
  }
  if (VIEW.test(text) || IMAGE.test(text)) {
    const found = await get(`/slides/${text}`, { signal });
    const job = found.job && (await get(`/jobs/${found.job}`, { signal }).catch(() => null)); // may be forgotten, or not be ours to see
    return described(text, found, job);
  }
  throw new Problem(0, {
    code: "no_slide",
    detail: text ? `There is no slide at the address “${text}”.` : "The address names no slide.",
    hint: "Open one from its session, or by the id of its job: ?slide=<job>.",
  });
}

function described(text, found, job) {
  // These begin where the host's paths begin, with a stage if there is one.
  const here = (path) => new URL(path, location.href).href;
  const { width_px: width, height_px: height, tile_size_px: tileSize, image_store: store, image } = found;
  const anew = Boolean(job?.result) && job.result.image !== image;
  const profileBytes = anew ? 0 : job?.slide?.icc_profile_bytes;
  return {
    text, width, height, tileSize, anew,
    title: fileName(found.file_name || ""),
    mpp: found.mpp_x,
    magnification: found.magnification,
    vendor: found.vendor,
    icc: profileBytes ? { bytes: profileBytes, href: address(`/associated/${store}/${image}/icc`) } : null,
    job: found.job || job?.id || null,
    session: job?.destination.session || null,
    depth: levelCount(width, height, tileSize),
    published: found.levels.length,
    tileUrl: (level, column, row) => here(found.tiles.replace("{level}", level).replace("{column}", column).replace("{row}", row)),
  };
}
