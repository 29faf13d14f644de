// The service, asked from a page: JSON in and out, problems as errors, and unchanged answers not sent again.

/** Where the service stands: pages lie at different depths, and a stage may come before all of them. */
export const ROOT = new URL("../../", import.meta.url);

/** Return the full address of one of the service's paths, such as `/jobs/1` or a link of its answers. */
export const address = (path) => new URL(String(path).replace(/^\/+/, ""), ROOT).href;

/** An error that the service explained (RFC 9457), or that kept it from answering: `status` is 0 then. */
export class Problem extends Error {
  constructor(status, { code = "", detail = "", hint = "", errors = [] } = {}, retrySeconds = 0) {
    super(detail || `The service answered with ${status}.`);
    Object.assign(this, { name: "Problem", status, code, hint, errors, retrySeconds });
  }
}

/** Return a problem from whatever was thrown. */
export const problemOf = (error) =>
  error instanceof Problem ? error : new Problem(0, { code: "page", detail: error.message, hint: "Load the page again." });

let signIn = null; // shell.js says how a person signs in
let entries = 0; // how often somebody has: who was refused for being sent before is sent again without asking

/** `ask` returns a promise of whether somebody has signed in. */
export const onUnauthorized = (ask) => (signIn = ask);

const known = new Map(); // path -> { etag, body }: what was answered last
const KNOWN = 200;

/** Return the JSON at a path. The same object again means: nothing has changed since. */
export async function get(path, { signal } = {}) {
  const old = known.get(path);
  const answer = await call(path, { signal, headers: old ? { "If-None-Match": old.etag } : {} });
  if (answer.status === 304) return old.body;
  const body = await answer.json();
  const etag = answer.headers.get("etag");
  known.delete(path);
  if (etag) known.set(path, { etag, body });
  if (known.size > KNOWN) known.delete(known.keys().next().value);
  return body;
}

/** Send JSON and return the JSON of the answer; null if it has none. */
export async function post(path, body, { method = "POST", signal } = {}) {
  const answer = await call(path, {
    method,
    signal,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

/** Return the answer to a request, whatever its kind. Throws a Problem for everything but success and 304. */
export async function call(path, options = {}, again = true) {
  const method = options.method || "GET";
  const headers = { ...options.headers };
  const before = entries;
  // A form elsewhere cannot set this: who sends a cookie along with it is this page.
  if (method !== "GET" && method !== "HEAD") headers["X-Slidehook"] = "page";
  let answer;
  try {
    // Conditions are ours, so that the browser's own cache must not answer in between.
    answer = await fetch(address(path), { ...options, headers, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "unreachable", detail: "The service cannot be reached.", hint: "Look whether this machine is connected; the page tries again by itself." });
  }
  if (answer.ok || answer.status === 304) return answer;
  if (answer.status === 401 && again && (entries !== before || (await entered()))) return call(path, options, false);
  throw new Problem(answer.status, await told(answer), Number(answer.headers.get("retry-after")) || 0);
}

async function entered() {
  const done = signIn !== null && (await signIn());
  if (done) entries += 1;
  return done;
}

async function told(answer) {
  try {
    const body = await answer.json();
    return body.detail ? body : { detail: body.message || body.error || body.Message };
  } catch {
    return {};
  }
}
