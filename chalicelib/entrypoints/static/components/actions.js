// What can be done to jobs, what is asked before, and what is said afterwards.
import { address, post, problemOf } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { isFaulty, jobPage, nameOf } from "./job-parts.js";
import { complain, confirm, notice, say } from "./shell.js";

const AT_ONCE = 4;
const LISTED = 8;

// `needs`: the scope without which the service refuses it.
export const ACTIONS = {
  retry: {
    label: "Retry",
    needs: "submit",
    takes: (job) => Boolean(job.links.retry),
    asks: (some) => ({ title: `Retry ${some}?`, yes: "Retry", body: "They are queued again, and do only what is still missing." }),
    does: (job) => post(job.links.retry),
    did: "queued again",
  },
  cancel: {
    label: "Cancel",
    needs: "submit",
    danger: true,
    takes: (job) => Boolean(job.links.cancel),
    asks: (some) => ({
      title: `Cancel ${some}?`,
      yes: "Cancel the work",
      body: "Workers stop within one chunk, and what was written so far is dropped. What readers see now stays as it is. A cancelled job can be retried.",
    }),
    does: (job) => post(job.links.cancel),
    did: "cancelled",
  },
  verify: {
    label: "Verify",
    needs: "submit",
    takes: (job) => job.hook === "upload" && job.state === "done" && Boolean(job.result),
    asks: (some) => ({
      title: `Verify ${some}?`,
      yes: "Verify",
      body: "Every tile is read back from the database and compared with its source. Readers notice nothing. Verifying a slide again is a further attempt of the same job.",
      choice: "If anything is wrong, publish the slide anew from its source",
    }),
    does: (job, chosen) => post("/hooks/verify", { job: job.id, repair: chosen }),
    did: "being verified",
    opens: ["Open the verification", "Show the verifications", "/?hook=verify"],
  },
  // Of a verification that has found faults: offered beside them (job.js).
  repair: {
    label: "Publish anew",
    needs: "submit",
    apart: true,
    takes: isFaulty,
    asks: (some) => ({
      title: `Publish ${some} anew?`,
      yes: "Publish anew",
      body: "The slide is verified once more, and if anything is still wrong, all its tiles are made anew from the source. Readers see the present ones until the new ones are complete.",
    }),
    does: (job) => post("/hooks/verify", { job: job.verification.job, repair: true }),
    did: "being verified, and published anew if anything is still wrong",
    opens: ["Open the verification"],
  },
  again: {
    label: "Ingest again",
    needs: "submit",
    takes: (job) => job.hook === "upload" && (job.state === "done" || job.state === "superseded"),
    asks: (some) => ({ title: `Ingest ${some} again?`, yes: "Ingest again", body: "All tiles are made anew from the source as it is now. Readers see the present ones until the new ones are complete." }),
    does: (job) => post("/hooks/upload", again(job)),
    did: "queued again",
  },
  remove: {
    label: "Remove",
    needs: "admin",
    danger: true,
    takes: (job) => job.hook === "upload" && job.state === "done" && Boolean(job.result),
    asks: (some) => ({
      title: `Remove ${some} from its session?`,
      yes: "Remove",
      body: "Readers stop seeing it at once; its tiles are deleted half an hour later. The file in S3 stays, and can be submitted again.",
    }),
    does: (job) => post("/hooks/remove", { session: job.destination.session, views: [job.result.view] }),
    did: "removed",
  },
};

function again(job) {
  const { tile_size, base_only, overwrite, on_bad_tile, associated } = job.options;
  const options = { base_only, overwrite, on_bad_tile, associated, ...(tile_size ? { tile_size } : {}) };
  const { collection, session, mongo_collection } = job.destination;
  return { source: `s3://${job.source.bucket}/${job.source.key}`, collection, session, force: true, ...options, ...(mongo_collection ? { mongo_collection } : {}) };
}

/** Ask, and then do it to all of `jobs` that it can be done to. Returns whether anything was done. What is refused is
 *  told as a sentence for each, and does not keep the others. */
export async function perform(name, jobs) {
  const action = ACTIONS[name];
  const taken = jobs.filter(action.takes);
  const [first] = taken;
  if (!first) return false;
  const asked = action.asks(taken.length === 1 ? `“${nameOf(first)}”` : count(taken.length, "job"));
  const choice = asked.choice && h("label", { class: "row" }, h("input", { type: "checkbox" }), asked.choice);
  const answer = await confirm({
    title: asked.title,
    yes: asked.yes,
    danger: action.danger,
    read: () => ({ chosen: Boolean(choice?.querySelector("input").checked) }),
    body: [
      h("p", null, taken.length === 1 ? asked.body.replace(/^They are/, "It is").replace(", and do only", ", and does only") : asked.body),
      taken.length > 1 && h("ul", { class: "list" }, taken.slice(0, LISTED).map((job) => h("li", { class: "anywhere" }, nameOf(job))), taken.length > LISTED && h("li", { class: "quiet" }, `and ${count(taken.length - LISTED, "other")}`)),
      taken.length < jobs.length && h("p", { class: "quiet small" }, `${count(jobs.length - taken.length, "other selected job")} cannot, and will be left as they are.`),
      choice || null,
    ],
  });
  if (!answer) return false;
  const refused = [], answers = [];
  const waiting = [...taken];
  const work = async () => {
    for (let job = waiting.shift(); job; job = waiting.shift()) {
      try {
        answers.push(await action.does(job, answer.chosen));
      } catch (error) {
        refused.push([job, problemOf(error)]);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  tell(action, answers, taken.length === 1 ? nameOf(first) : "", refused);
  return refused.length < taken.length;
}

function tell(action, answers, name, refused) {
  const done = answers.length;
  if (done) {
    const [one, many, path] = action.opens || [];
    const more = one && (done === 1 ? h("a", { href: jobPage(answers[0]) }, one) : many && h("a", { href: address(path) }, many));
    const text = name ? `${name} is ${action.did}.` : `${count(done, "job")} ${done === 1 ? "is" : "are"} ${action.did}.`;
    notice(text, { kind: "ok", key: "done", seconds: more ? 20 : 6, more });
    say(text);
  }
  for (const [job, problem] of refused.slice(0, LISTED)) complain(problem, { title: `${nameOf(job)}:`, key: `refused ${job.id}` });
  if (refused.length > LISTED) notice(`${count(refused.length - LISTED, "other job was", "other jobs were")} refused as well.`, { kind: "bad", key: "refused" });
}

/** Retry failed jobs by the code of their error, all of them, page after page. `failed` are those that are seen. */
export async function redrive(failed, session) {
  const codes = new Map([["retries_exhausted", 0]]);
  for (const job of failed) if (job.error) codes.set(job.error.code, (codes.get(job.error.code) || 0) + 1);
  const boxes = [...codes].map(([code, seen]) => [code, h("input", { type: "checkbox", checked: code === "retries_exhausted" || codes.size === 2 }), seen]);
  const answer = await confirm({
    title: session ? "Redrive failed jobs of this session?" : "Redrive all failed jobs?",
    yes: "Redrive",
    read: () => boxes.filter(([, box]) => box.checked).map(([code]) => code),
    body: [
      h("p", null, "All failed jobs that ended with one of these errors are queued again, also those that are not on this page. They do only what is missing."),
      h("div", { class: "list" }, boxes.map(([code, box, seen]) => h("label", { class: "row" }, box, h("code", null, code), seen ? h("span", { class: "quiet" }, `${seen} on this page`) : code === "retries_exhausted" && h("span", { class: "quiet" }, "given up after too many tries")))),
    ],
  });
  if (!answer || !answer.length) return false;
  let retried = 0, refused = 0, cursor = null;
  const pending = notice("Redriving …", { key: "redrive" });
  try {
    do {
      const found = await post("/redrive", { codes: answer, ...(session ? { session } : {}), ...(cursor ? { cursor } : {}) });
      [retried, refused, cursor] = [retried + found.retried.length, refused + found.refused.length, found.next];
    } while (cursor);
    const text = `${count(retried, "job")} queued again${refused ? `, ${refused} refused` : ""}.`;
    notice(text, { kind: refused ? "warn" : "ok", key: "redrive", seconds: 8 });
    say(text);
  } catch (error) {
    pending.remove();
    complain(error, { title: `After ${count(retried, "job")}:`, key: "redrive" });
  }
  return retried > 0;
}
