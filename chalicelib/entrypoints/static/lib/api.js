// Client of the HTTP API: JSON requests, problem details as errors, and conditional requests.

/** The service's base URL. Pages have paths of different depths, and an API Gateway stage may precede all paths. */
export const ROOT = new URL("../../", import.meta.url);

/** Return the full URL of a path such as `/jobs/1` or of a link in a response. */
export const apiUrl = (path) => new URL(String(path).replace(/^\/+/, ""), ROOT).href;

/** Return the URL of a page with query parameters. Empty parameters are omitted. */
export function pageUrl(name, query = {}) {
  const url = new URL(apiUrl(`/pages/${name}`));
  for (const [key, value] of Object.entries(query)) if (value) url.searchParams.set(key, value);
  return url.href;
}

/** Problem details (RFC 9457) of a response. `status` is 0 if there is no response. */
export class Problem extends Error {
  constructor(status, { code = "", detail = "", hint = "", errors = [] } = {}, retrySeconds = 0) {
    super(detail || `The service returned status ${status}.`);
    Object.assign(this, { name: "Problem", status, code, hint, errors, retrySeconds });
  }
}

/** Return any thrown value as a problem. */
export const toProblem = (error) =>
  error instanceof Problem ? error : new Problem(0, { code: "page", detail: error.message, hint: "Reload the page." });

let requestSignIn = null;
let signIns = 0;

/** Register a function that asks the user to sign in and returns a promise of whether that succeeded. */
export const onUnauthorized = (ask) => (requestSignIn = ask);

const cache = new Map(); // path -> { etag, body } of the last response
const CACHE_SIZE = 200;

/** Return the JSON at a path. An unchanged document is the same object as before. */
export async function get(path, { signal } = {}) {
  const cached = cache.get(path);
  const response = await request(path, { signal, headers: cached ? { "If-None-Match": cached.etag } : {} });
  if (response.status === 304) return cached.body;
  const body = await response.json();
  const etag = response.headers.get("etag");
  cache.delete(path);
  if (etag) cache.set(path, { etag, body });
  if (cache.size > CACHE_SIZE) cache.delete(cache.keys().next().value);
  return body;
}

/** Send JSON. Returns the JSON of the response, null if its body is empty. */
export async function post(path, body, { method = "POST", signal } = {}) {
  const response = await request(path, {
    method,
    signal,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** Return the response to a request. Throws a Problem for every status except success and 304. */
export async function request(path, options = {}, mayRetry = true) {
  const method = options.method || "GET";
  const headers = { ...options.headers };
  const signInsBefore = signIns;
  // A form on another site cannot set this header, so a cookie cannot be misused (CSRF).
  if (method !== "GET" && method !== "HEAD") headers["X-Slidehook"] = "page";
  let response;
  try {
    // `get` sends its own conditions; the browser's cache must not answer them.
    response = await fetch(apiUrl(path), { ...options, headers, credentials: "same-origin", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, {
      code: "unreachable",
      detail: "The service is not reachable.",
      hint: "Check the network connection. The page retries automatically.",
    });
  }
  if (response.ok || response.status === 304) return response;
  if (response.status === 401 && mayRetry) {
    // Another request may have signed in meanwhile: then the user is not asked again.
    if (signIns !== signInsBefore || (await signIn())) return request(path, options, false);
  }
  throw new Problem(response.status, await readProblem(response), Number(response.headers.get("retry-after")) || 0);
}

async function signIn() {
  const succeeded = requestSignIn !== null && (await requestSignIn());
  if (succeeded) signIns += 1;
  return succeeded;
}

async function readProblem(response) {
  try {
    const body = await response.json();
    return body.detail ? body : { detail: body.message || body.error || body.Message };
  } catch {
    return {};
  }
}
