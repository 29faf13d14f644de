// Published slides: lookup by id, and the URLs of their tiles.
import { Problem, apiUrl, get } from "./api.js";
import { fileName } from "./format.js";

const JOB = /^[0-9a-f]{32}$/, IMAGE = /^([0-9a-f]{24})-([0-9a-f]{24})/, VIEW = /^[0-9a-f]{24}$/;
const ACTIVE_STATES = new Set(["queued", "planning", "tiling", "finishing"]);

/** Return the number of levels of a complete pyramid: the coarsest level is a single tile. */
export function levelCount(width, height, tileSize) {
  let levels = 1;
  for (let side = tileSize; side < Math.max(width, height); side *= 2) levels += 1;
  return levels;
}

/** Return the id that the viewer accepts for a slide of `GET /sessions/{id}/slides`. */
export const slideId = (slide) => slide.job || `${slide.image_store}-${slide.image}`;

/** A job without a published slide. `isActive`: the slide may still be published. */
export class NotPublished extends Error {
  constructor(job) {
    const isActive = ACTIVE_STATES.has(job.state);
    super(isActive ? "This slide is not published yet." : "This job has not published a slide.");
    Object.assign(this, { job, isActive });
  }
}

/** Return a slide by the id of its job or view, or by `<image store>-<image>`. Throws NotPublished and Problem. */
export async function findSlide(id, { signal } = {}) {
  if (JOB.test(id)) {
    const job = await get(`/jobs/${id}`, { signal });
    if (job.verification) return findSlide(job.verification.job, { signal });
    if (!job.result || !job.slide) throw new NotPublished(job);
    const { image_store: store, image, view } = job.result;
    const slide = await get(`/slides/${store}-${image}`, { signal }).catch((error) => {
      if (error.status !== 404 || !view) throw error;
      return get(`/slides/${view}`, { signal }); // a later attempt has replaced the image
    });
    return describe(id, slide, job);
  }
  if (VIEW.test(id) || IMAGE.test(id)) {
    const slide = await get(`/slides/${id}`, { signal });
    // The job may have expired, or may be hidden from this caller.
    const job = slide.job && (await get(`/jobs/${slide.job}`, { signal }).catch(() => null));
    return describe(id, slide, job);
  }
  throw new Problem(0, {
    code: "no_slide",
    detail: id ? `“${id}” is not the id of a slide.` : "The URL does not contain the id of a slide.",
    hint: "Open a slide from its session, or by the id of its job: ?slide=<job>.",
  });
}

function describe(id, slide, job) {
  // These URLs are relative to the host and contain the stage, if there is one.
  const resolve = (path) => new URL(path, location.href).href;
  const { width_px: width, height_px: height, tile_size_px: tileSize, image_store: store, image } = slide;
  const isRepublished = Boolean(job?.result) && job.result.image !== image;
  const profileBytes = isRepublished ? 0 : job?.slide?.icc_profile_bytes;
  return {
    id, width, height, tileSize, isRepublished,
    title: fileName(slide.file_name || ""),
    mpp: slide.mpp_x,
    magnification: slide.magnification,
    vendor: slide.vendor,
    icc: profileBytes ? { bytes: profileBytes, href: apiUrl(`/associated/${store}/${image}/icc`) } : null,
    job: slide.job || job?.id || null,
    session: job?.destination.session || null,
    depth: levelCount(width, height, tileSize),
    publishedLevels: slide.levels.length,
    tileUrl: (level, column, row) =>
      resolve(slide.tiles.replace("{level}", level).replace("{column}", column).replace("{row}", row)),
  };
}
