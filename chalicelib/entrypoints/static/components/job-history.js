// Sections of the job page: attempts, log and callbacks.
import { apiUrl, get } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { bytes, count, number, seconds, sentence, timeAgo, timeOfDay } from "../lib/format.js";
import { requireScope } from "./account.js";
import { hasFaults, isActive, stateBadge } from "./job-parts.js";

const MOST_EVENTS = 300, PAGE_SIZE = 500;
const BOTTOM_TOLERANCE_PX = 24;
const ERROR_EVENTS = ["failed", "transient_error"];
const EVENT_LABELS = {
  submitted: "submitted", requeued: "queued again", planning: "reading the header", planned: "planned", chunk: "chunk done",
  transient_error: "temporary error, will be retried", rescued: "messages sent again", finishing: "all chunks done",
  published: "published", verified: "verified", failed: "failed", cancelled: "cancelled", superseded: "superseded",
  cleaned_up: "staged tiles deleted",
};

/** Return all attempts of a job, the latest first. */
export function attemptsSection(job) {
  const current = isActive(job) && {
    attempt: job.attempt, started_at: job.started_at, ended_at: null, outcome: job.state, error: job.last_transient_error,
  };
  const attempts = [current, ...[...job.attempts].reverse()].filter(Boolean);
  return [
    h("h2", null, "Attempts"),
    h("ol", { class: "timeline" }, attempts.map((attempt) => attemptItem(job, attempt))),
  ];
}

function attemptItem(job, attempt) {
  const isResult = attempt.outcome === "done" && attempt.attempt === job.attempt;
  const duration = (Date.parse(attempt.ended_at) - Date.parse(attempt.started_at)) / 1000;
  const className = isResult && hasFaults(job) ? "done faulty" : attempt.outcome;
  const end = attempt.ended_at
    ? [" to ", timeOfDay(attempt.ended_at), ` · ${seconds(duration)}`]
    : [" · ", timeAgo(attempt.started_at)];
  return h("li", { class: className, "data-key": `attempt ${attempt.attempt}` },
    h("div", { class: "row" },
      h("strong", null, `Attempt ${attempt.attempt}`),
      isResult ? stateBadge(job) : h("span", { class: `state ${attempt.outcome}` }, attempt.outcome),
      h("span", { class: "muted small number" }, timeOfDay(attempt.started_at), end)),
    attempt.error && h("p", { class: "small break-anywhere" }, `${sentence(attempt.error.message)} `,
      h("span", { class: "muted" }, attempt.error.hint), " ", h("code", null, attempt.error.code)));
}

/** The events of a job. `load` reads new events; `section` returns the log, which is drawn into `element`. */
export function createLog(element) {
  let events = [], cursor = null, problem = null;

  async function load(path, signal) {
    try {
      let page;
      do {
        page = await get(`${path}?limit=${PAGE_SIZE}${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`, { signal });
        events = [...events, ...page.events].slice(-MOST_EVENTS);
        cursor = page.next || cursor;
      } while (page.events.length === PAGE_SIZE);
      problem = null;
    } catch (error) {
      if (error.name === "AbortError") throw error;
      problem = error;
    }
  }

  function section(job) {
    if (!job.links.events) return null;
    keepAtBottom();
    return [
      h("div", { class: "head" },
        h("h2", null, "Log"), h("a", { class: "small", href: apiUrl(job.links.events) }, "View as JSON")),
      problem && h("p", { class: "small text-error" }, `The log could not be loaded: ${problem.message}`),
      events.length
        ? h("ul", { class: "lines small", "aria-label": "Log", tabindex: "0" },
            events.map((event, index) => eventItem(job, event, index)))
        : !problem && h("p", { class: "muted small" }, "No events."),
    ];
  }

  // The log scrolls to new events unless the user has scrolled up.
  function keepAtBottom() {
    const lines = element.querySelector(".lines");
    const isAtBottom = !lines || lines.scrollHeight - lines.scrollTop - lines.clientHeight < BOTTOM_TOLERANCE_PX;
    if (isAtBottom) requestAnimationFrame(() => element.querySelector(".lines")?.scrollTo(0, 1e9));
  }

  function eventItem(job, event, index) {
    return h("li", {
      class: ERROR_EVENTS.includes(event.event) ? "text-error" : null,
      "data-key": `${event.at} ${event.event} ${event.chunk ?? ""} ${index}`,
    }, timeOfDay(event.at), h("span", { class: "break-anywhere" }, eventText(job, event)));
  }

  function eventText(job, event) {
    const figures = eventFigures(event, totalChunks(job, event));
    return [
      EVENT_LABELS[event.event] || event.event,
      figures && h("span", { class: "muted" }, ` · ${figures}`),
      event.message && `: ${event.message}`,
      event.hint && h("span", { class: "muted" }, ` ${event.hint}`),
      event.worker && h("span", { class: "muted mono" }, ` ${event.worker}`),
    ];
  }

  /** Return the number of chunks of a chunk event's attempt, if it is known. */
  function totalChunks(job, event) {
    if (event.event !== "chunk") return 0;
    const planned = events.find((each) => each.event === "planned" && each.attempt === event.attempt)?.chunks;
    return planned ?? (event.attempt === job.attempt && job.chunks.total);
  }

  return { load, section };
}

function eventFigures(event, total) {
  return [
    event.chunk !== undefined && !total && `chunk ${event.chunk}`,
    // In a chunk event, `chunks` is the number of chunks that are done.
    event.chunks !== undefined &&
      (total ? `${number(event.chunks)} of ${count(total, "chunk")}` : count(event.chunks, "chunk")),
    event.tiles !== undefined && count(event.tiles, "tile"),
    event.tiles_bad > 0 && `${event.tiles_bad} damaged`,
    event.source_bytes !== undefined && bytes(event.source_bytes),
    event.seconds !== undefined && seconds(event.seconds),
  ].filter(Boolean).join(", ");
}

/** Return the callback deliveries of a job, null if there are none. `onReplay` is called with a delivery. */
export function callbacksSection(deliveries, onReplay) {
  if (!deliveries?.length) return null;
  return [
    h("h2", null, "Callbacks"),
    h("ul", { class: "deliveries" }, deliveries.map((delivery) => h("li", { "data-key": delivery.id },
      h("div", { class: "row" },
        h("strong", { class: "break-anywhere" }, delivery.receiver),
        h("span", { class: "tag" }, delivery.type),
        h("span", { class: "muted" }, delivery.state),
        delivery.links?.replay && h("button", {
          type: "button", class: "plain", "aria-label": `Resend ${delivery.type} to ${delivery.receiver}`,
          ...requireScope("submit"), onclick: () => onReplay(delivery),
        }, "Resend")),
      h("ul", { class: "small muted" }, delivery.tries.map(deliveryAttempt)),
      delivery.next_at && h("p", { class: "small muted" }, "Next attempt at ", timeOfDay(delivery.next_at))))),
  ];
}

function deliveryAttempt({ at, status, error, milliseconds }) {
  const result = [status || "no response", error, `${milliseconds} ms`].filter(Boolean);
  return h("li", { class: "break-anywhere" }, timeOfDay(at), ` · ${result.join(" · ")}`);
}
