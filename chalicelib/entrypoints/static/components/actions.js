// Actions on jobs: the confirmation before, the requests, and the notice after.
import { apiUrl, post, toProblem } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { count, number } from "../lib/format.js";
import { confirmAction } from "./dialog.js";
import { hasFaults, jobFileName, jobUrl } from "./job-parts.js";
import { announce, showNotice, showProblem } from "./notices.js";

const PARALLEL_REQUESTS = 4;
const LISTED_JOBS = 8;

const isPublished = (job) => job.hook === "upload" && job.state === "done" && Boolean(job.result);

/** Actions by name. `scope`: the scope that the service requires. `ask` returns the confirmation for `target`, the
 *  quoted name of a job or a number of jobs. `outcome` follows "<job> is". `links`: the link to the created job, and
 *  the link and path for several jobs. An `isSeparate` action is not part of the job page's header. */
export const ACTIONS = {
  retry: {
    label: "Retry",
    scope: "submit",
    appliesTo: (job) => Boolean(job.links.retry),
    ask: (target, isSingle) => ({
      title: `Retry ${target}?`,
      confirm: "Retry",
      body: isSingle
        ? "The job is queued again and creates only the missing tiles."
        : "The jobs are queued again and create only the missing tiles.",
    }),
    run: (job) => post(job.links.retry),
    outcome: "queued again",
  },
  cancel: {
    label: "Cancel",
    scope: "submit",
    isDanger: true,
    appliesTo: (job) => Boolean(job.links.cancel),
    ask: (target, isSingle) => ({
      title: `Cancel ${target}?`,
      confirm: isSingle ? "Cancel job" : "Cancel jobs",
      dismiss: "Keep running",
      body: "Workers stop after their current chunk, and tiles that are not published are deleted. Published slides do "
        + "not change. A cancelled job can be retried.",
    }),
    run: (job) => post(job.links.cancel),
    outcome: "cancelled",
  },
  verify: {
    label: "Verify",
    scope: "submit",
    appliesTo: isPublished,
    ask: (target) => ({
      title: `Verify ${target}?`,
      confirm: "Verify",
      body: "All tiles are read from the database and compared with the source. The slide stays available. Verifying a "
        + "slide again adds an attempt to the same job.",
      choice: "Republish the slide from its source if faults are found",
    }),
    run: (job, isChosen) => post("/hooks/verify", { job: job.id, repair: isChosen }),
    outcome: "being verified",
    links: ["View verification", "View verifications", "/?hook=verify"],
  },
  repair: {
    label: "Republish",
    scope: "submit",
    isSeparate: true,
    appliesTo: hasFaults,
    ask: (target) => ({
      title: `Republish ${target}?`,
      confirm: "Republish",
      body: "The slide is verified again. If faults remain, all tiles are created again from the source. The current "
        + "tiles stay published until the new tiles are complete.",
    }),
    run: (job) => post("/hooks/verify", { job: job.verification.job, repair: true }),
    outcome: "being verified, and will be republished if faults remain",
    links: ["View verification"],
  },
  reingest: {
    label: "Re-ingest",
    scope: "submit",
    appliesTo: (job) => job.hook === "upload" && (job.state === "done" || job.state === "superseded"),
    ask: (target) => ({
      title: `Re-ingest ${target}?`,
      confirm: "Re-ingest",
      body: "All tiles are created again from the current source. The current tiles stay published until the new tiles "
        + "are complete.",
    }),
    run: (job) => post("/hooks/upload", reingestParameters(job)),
    outcome: "queued again",
  },
  remove: {
    label: "Remove",
    scope: "admin",
    isDanger: true,
    appliesTo: isPublished,
    ask: (target, isSingle) => ({
      title: `Remove ${target} from its session?`,
      confirm: "Remove",
      body: isSingle
        ? "The slide is unpublished immediately. Its tiles are deleted after 30 minutes. The file in S3 is kept and can "
          + "be submitted again."
        : "The slides are unpublished immediately. Their tiles are deleted after 30 minutes. The files in S3 are kept "
          + "and can be submitted again.",
    }),
    run: (job) => post("/hooks/remove", { session: job.destination.session, views: [job.result.view] }),
    outcome: "removed",
  },
};

function reingestParameters(job) {
  const { tile_size, base_only, overwrite, on_bad_tile, associated } = job.options;
  const { collection, session, mongo_collection } = job.destination;
  return {
    source: `s3://${job.source.bucket}/${job.source.key}`, collection, session, force: true,
    base_only, overwrite, on_bad_tile, associated,
    ...(tile_size ? { tile_size } : {}),
    ...(mongo_collection ? { mongo_collection } : {}),
  };
}

/** Ask for confirmation and run an action on each job to which it applies. Returns whether any request succeeded. A
 *  rejected job does not stop the others. */
export async function performAction(name, jobs) {
  const action = ACTIONS[name];
  const targets = jobs.filter(action.appliesTo);
  if (!targets.length) return false;
  const confirmation = await confirmFor(action, targets, jobs.length - targets.length);
  if (!confirmation) return false;
  const responses = [], failures = [];
  const queue = [...targets];
  const runNext = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      try {
        responses.push(await action.run(job, confirmation.isChosen));
      } catch (error) {
        failures.push([job, toProblem(error)]);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_REQUESTS }, runNext));
  if (responses.length) showOutcome(action, responses, targets.length === 1 ? jobFileName(targets[0]) : "");
  showFailures(failures);
  return responses.length > 0;
}

function confirmFor(action, targets, skipped) {
  const isSingle = targets.length === 1;
  const question = action.ask(isSingle ? `“${jobFileName(targets[0])}”` : count(targets.length, "job"), isSingle);
  const checkbox = h("input", { type: "checkbox" });
  return confirmAction({
    ...question,
    isDanger: action.isDanger,
    read: () => ({ isChosen: checkbox.checked }),
    body: [
      h("p", null, question.body),
      !isSingle && h("ul", { class: "list" },
        targets.slice(0, LISTED_JOBS).map((job) => h("li", { class: "break-anywhere" }, jobFileName(job))),
        targets.length > LISTED_JOBS && h("li", { class: "muted" }, `and ${number(targets.length - LISTED_JOBS)} more`)),
      skipped > 0 &&
        h("p", { class: "muted small" }, `The action does not apply to ${count(skipped, "other selected job")}.`),
      question.choice && h("label", { class: "row" }, checkbox, question.choice),
    ],
  });
}

function showOutcome(action, responses, name) {
  const done = responses.length;
  const [one, several, path] = action.links || [];
  const link = done === 1
    ? one && h("a", { href: jobUrl(responses[0]) }, one)
    : several && h("a", { href: apiUrl(path) }, several);
  const subject = name ? `${name} is` : `${count(done, "job")} ${done === 1 ? "is" : "are"}`;
  const text = `${subject} ${action.outcome}.`;
  showNotice(text, { kind: "success", key: "done", seconds: link ? 20 : 6, details: link || null });
  announce(text);
}

function showFailures(failures) {
  for (const [job, problem] of failures.slice(0, LISTED_JOBS)) {
    showProblem(problem, { title: `${jobFileName(job)}:`, key: `failure ${job.id}` });
  }
  const others = failures.length - LISTED_JOBS;
  if (others > 0) showNotice(`${count(others, "other request")} failed.`, { kind: "error", key: "failures" });
}

/** Retry all failed jobs with selected error codes. `visibleJobs` are the failed jobs on the current page. */
export async function redrive(visibleJobs, session) {
  const codes = new Map([["retries_exhausted", 0]]);
  for (const job of visibleJobs) if (job.error) codes.set(job.error.code, (codes.get(job.error.code) || 0) + 1);
  const boxes = [...codes].map(([code, visible]) => {
    const checked = code === "retries_exhausted" || codes.size === 2;
    return { code, visible, input: h("input", { type: "checkbox", checked }) };
  });
  const hint = ({ code, visible }) =>
    visible ? `${visible} on this page` : code === "retries_exhausted" && "retry limit reached";
  const selected = await confirmAction({
    title: session ? "Redrive the failed jobs of this session?" : "Redrive all failed jobs?",
    confirm: "Redrive",
    read: () => boxes.filter(({ input }) => input.checked).map(({ code }) => code),
    body: [
      h("p", null, "Failed jobs with the selected error codes are queued again, including jobs on other pages. They ",
        "create only the missing tiles."),
      h("div", { class: "list" }, boxes.map((box) => h("label", { class: "row" },
        box.input, h("code", null, box.code), hint(box) && h("span", { class: "muted" }, hint(box))))),
    ],
  });
  if (!selected || !selected.length) return false;
  return redriveAllPages({ codes: selected, ...(session ? { session } : {}) });
}

async function redriveAllPages(parameters) {
  let retried = 0, rejected = 0, cursor = null;
  const pending = showNotice("Redriving…", { key: "redrive" });
  try {
    do {
      const page = await post("/redrive", { ...parameters, ...(cursor ? { cursor } : {}) });
      [retried, rejected, cursor] = [retried + page.retried.length, rejected + page.refused.length, page.next];
    } while (cursor);
    const text = `${count(retried, "job")} queued again${rejected ? `, ${rejected} rejected` : ""}.`;
    showNotice(text, { kind: rejected ? "warning" : "success", key: "redrive", seconds: 8 });
    announce(text);
  } catch (error) {
    pending.remove();
    showProblem(error, { title: `${count(retried, "job")} queued again before an error:`, key: "redrive" });
  }
  return retried > 0;
}
