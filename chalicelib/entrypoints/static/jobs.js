// The list of jobs, looked at again each second while something moves, and seldom in a hidden tab.
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
  const line = element("tr");
  line.append(slide, element("td", job.state, { class: job.state }), progress, element("td", details));
  return line;
}

async function look() {
  let pause = 5000;
  try {
    const answer = await fetch("jobs");
    const body = await answer.json();
    if (!answer.ok) throw new Error(`${body.detail} ${body.hint}`);
    rows.replaceChildren(...body.jobs.map(row));
    empty.hidden = body.jobs.length > 0;
    const live = body.jobs.filter((job) => LIVE.has(job.state)).length;
    summary.textContent = `${live} at work, ${body.jobs.length - live} ended${body.next ? ", older ones not shown" : ""}`;
    if (live) pause = 1000;
  } catch (error) {
    summary.textContent = `The jobs cannot be shown: ${error.message}`;
  }
  setTimeout(look, document.hidden ? 30000 : pause);
}

look();
