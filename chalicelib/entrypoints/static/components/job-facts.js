// Section of the job page: facts about the slide, its source and destination, and the job itself.
import { apiUrl, pageUrl } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, number, timeAgo } from "../lib/format.js";

const mono = (text) => text && h("span", { class: "mono" }, text);

const isEmpty = (value) => value === null || value === undefined || value === "" || value === false;

const fact = (name, ...values) =>
  values.every(isEmpty) ? null : h("div", null, h("dt", null, name), h("dd", { class: "break-anywhere" }, values));

const group = (title, ...facts) => [h("h2", null, title), h("dl", { class: "facts number" }, facts)];

/** Return the facts of a job. `sessionLabel` is null until it is known. */
export function factsSection(job, sessionLabel) {
  const { source, destination } = job;
  return [
    job.slide && slideGroup(job.slide),
    group("Source",
      fact("File", mono(`s3://${source.bucket}/${source.key}`)),
      fact("Size", bytes(source.size_bytes)),
      fact("Version ID", mono(source.version_id)),
      fact("ETag", mono(source.etag.replaceAll('"', ""))),
      fact("Last modified", source.last_modified_at && timeAgo(source.last_modified_at))),
    group("Destination",
      fact("Session", sessionLabel && destination.session &&
        h("a", { href: pageUrl("session", { id: destination.session }) }, sessionLabel)),
      fact("Image", job.result && mono(job.result.image)),
      fact("Replaces image", mono(destination.mongo_collection)),
      fact("Options", optionTexts(job.options).join(", ") || "Default options")),
    group("Job",
      fact("ID", mono(job.id)),
      fact("Hook", job.hook),
      fact("Submitted", timeAgo(job.submitted_at)),
      fact("Last updated", timeAgo(job.updated_at)),
      fact("JSON", h("a", { href: apiUrl(job.links.self) }, "status"), ", ",
        h("a", { href: apiUrl(`/jobs/${job.id}/map`) }, "map"))),
  ];
}

function slideGroup(slide) {
  const millimetres = (pixels, mpp) => ((pixels * mpp) / 1000).toFixed(1);
  const scanArea = slide.mpp_x &&
    `${millimetres(slide.width_px, slide.mpp_x)} × ${millimetres(slide.height_px, slide.mpp_y || slide.mpp_x)} mm`;
  return group("Slide",
    fact("Size", `${number(slide.width_px)} × ${number(slide.height_px)} px`),
    fact("Pixel size", slide.mpp_x && `${slide.mpp_x} µm`),
    fact("Scan area", scanArea),
    fact("Magnification", slide.magnification && `${slide.magnification}×`),
    fact("Scanner", slide.vendor),
    fact("Tile size", `${slide.tile_size_px} px`),
    fact("Colour profile", slide.icc_profile_bytes ? bytes(slide.icc_profile_bytes) : ""),
    fact("Associated images", slide.associated.join(", ")));
}

const optionTexts = (options) =>
  [
    options.tile_size && `tile size ${options.tile_size} px`,
    options.base_only && "full resolution only",
    options.overwrite && "overwrite",
    options.on_bad_tile !== "blank" && `damaged tiles: ${options.on_bad_tile}`,
    options.associated && "associated images",
  ].filter(Boolean);
