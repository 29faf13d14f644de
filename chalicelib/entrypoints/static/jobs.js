// The list of jobs, looked at again each second while something moves, and seldom in a hidden tab.
import { askToSignIn, signedIn } from "./sign-in.js";

const LIVE = new Set(["queued", "planning", "tiling", "finishing"]);
const rows = document.getElementById("jobs");
const summary = document.getElementById("summary");
const empty = document.getElementById("empty");

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text; // as text: names and errors may hold anything
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

const HOW = { passthrough: "passed through", "lossless-crop": "cut without loss", "re-encoded": "encoded anew", made: "made" };

function levels(job) {
  const made = element("details", "", { "data-key": `levels ${job.id}` });
  const known = [
    job.slide.mpp_x ? `${job.slide.mpp_x} µm per pixel` : "",
    job.slide.magnification ? `${job.slide.magnification} x` : "",
    job.slide.vendor || "",
  ].filter(Boolean);
  made.append(element("summary", `${job.levels.length} levels, ${[`${job.slide.width_px} x ${job.slide.height_px} px`, ...known].join(", ")}`));
  const list = element("ul");
  for (const level of job.levels) {
    const sparse = level.sparse ? `, ${level.sparse} left out by the file` : "";
    list.append(element("li", `level ${level.level}: ${level.columns} x ${level.rows}, ${HOW[level.made]}${sparse}`));
  }
  made.append(list);
  return made;
}

function badTiles(job) {
  const { count, listed } = job.bad_tiles;
  const made = element("details", "", { class: "bad", "data-key": `bad ${job.id}` });
  made.append(element("summary", count === 1 ? "1 damaged tile" : `${count} damaged tiles`));
  const list = element("ul");
  for (const tile of listed) {
    list.append(element("li", `level ${tile.level}, column ${tile.column}, row ${tile.row}, byte ${tile.offset}: ${tile.reason}`));
  }
  if (count > listed.length) list.append(element("li", `and ${count - listed.length} more`));
  made.append(list);
  return made;
}

function row(job) {
  const name = job.source.key.split("/").pop();
  const slide = element("td");
  if (job.result) slide.append(element("img", "", { src: job.result.thumbnail.slice(1), alt: "" }));
  slide.append(element("a", name, { href: job.links.self.slice(1) }));
  const progress = element("td");
  progress.append(
    element("progress", "", { value: job.tiles.done, max: Math.max(1, job.tiles.total), "aria-label": `tiles of ${name}` }),
    element("div", `${job.tiles.done} / ${job.tiles.total} tiles`),
  );
  const wait = job.eta_seconds ? `about ${Math.ceil(job.eta_seconds)} s left` : "";
  const trouble = job.error || job.trouble;
  const details = trouble ? `${trouble.message} (${trouble.code}). ${trouble.hint}` : wait;
  const told = element("td", details);
  if (job.slide) told.append(levels(job));
  if (job.bad_tiles.count) told.append(badTiles(job));
  const line = element("tr");
  line.append(slide, element("td", job.state, { class: job.state }), progress, told);
  return line;
}

async function look() {
  let pause = 5000;
  try {
    const answer = await fetch("jobs");
    const body = await answer.json();
    if (answer.status === 401) {
      rows.replaceChildren();
      summary.textContent = "Sign in to see the jobs";
      await askToSignIn();
      return look();
    }
    if (!answer.ok) throw new Error(`${body.detail} ${body.hint}`);
    const open = new Set([...rows.querySelectorAll("details[open]")].map((each) => each.dataset.key));
    rows.replaceChildren(...body.jobs.map(row));
    for (const each of rows.querySelectorAll("details")) each.open = open.has(each.dataset.key);
    empty.hidden = body.jobs.length > 0;
    const live = body.jobs.filter((job) => LIVE.has(job.state)).length;
    summary.textContent = `${live} at work, ${body.jobs.length - live} ended${body.next ? ", older ones not shown" : ""}`;
    if (live) pause = 1000;
  } catch (error) {
    summary.textContent = `The jobs cannot be shown: ${error.message}`;
  }
  setTimeout(look, document.hidden ? 30000 : pause);
}

await signedIn();
look();
