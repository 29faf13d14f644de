// Filters of the job list: in the URL of the page, and as the query of `GET /jobs`.

const PAGE_SIZE = 50;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** Filters by name, as in the URL. `since` is a key of PERIODS, or "between" with the dates `from` and `to`. */
export const FILTERS = ["state", "session", "collection", "hook", "text", "since", "from", "to", "cursor"];

/** Periods by key: label and length in seconds. */
export const PERIODS = {
  "1h": ["Last hour", 3600],
  "24h": ["Last 24 hours", 86_400],
  "7d": ["Last 7 days", 604_800],
  "30d": ["Last 30 days", 2_592_000],
};

/** Return the filters of the page's URL. A filter that is not set is an empty string. */
export function filtersOfUrl() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) || ""]));
}

/** Return the URL of the page with changed filters, at the first page of the list. */
export function urlWithFilters(filters, changes) {
  const all = { ...filters, cursor: "", ...changes };
  const query = new URLSearchParams(FILTERS.filter((name) => all[name]).map((name) => [name, all[name]]));
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

export const statesOf = (filters) => filters.state.split(" ").filter(Boolean);

/** Return the API path that lists the jobs. Periods are rounded to minutes, so that repeated requests have the same
 *  path and can be answered with 304. */
export function listPath(filters) {
  const query = new URLSearchParams({ limit: PAGE_SIZE });
  for (const state of statesOf(filters)) query.append("state", state);
  for (const name of ["session", "collection", "hook", "text", "cursor"]) if (filters[name]) query.set(name, filters[name]);
  const date = (milliseconds) => new Date(milliseconds).toISOString().replace(".000Z", "Z");
  const startOfDay = (day) => new Date(`${day}T00:00`).getTime();
  if (PERIODS[filters.since]) {
    const now = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS;
    query.set("submitted_after", date(now - PERIODS[filters.since][1] * 1000));
  }
  if (Date.parse(filters.from)) query.set("submitted_after", date(startOfDay(filters.from)));
  if (Date.parse(filters.to)) query.set("submitted_before", date(startOfDay(filters.to) + DAY_MS));
  return `/jobs?${query}`;
}
