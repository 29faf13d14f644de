// Repeated requests: less often in a hidden tab, after errors and for a slow service; none while paused.

const HIDDEN_MS = 30_000;
const LONGEST_MS = 60_000;

/** Call `load` now, and again after the number of milliseconds that its promise returns (`every` if it returns none;
 *  null ends the polling). `load` receives a signal that is aborted when `refresh` starts another call. `onState` is
 *  called with "live", "paused", "offline" (with the error and the seconds until the next attempt) or "ended". */
export function poll(load, { every = 2000, onState = () => {} } = {}) {
  let timer = 0, failures = 0, paused = false, ended = false, running = null, dueAt = 0;

  async function run() {
    clearTimeout(timer);
    running?.abort();
    const controller = (running = new AbortController());
    const startedAt = performance.now();
    try {
      const next = await load({ signal: controller.signal });
      if (controller.signal.aborted) return;
      failures = 0;
      if (next === null) return end();
      report("live");
      // A slow service is busy: requests take at most half of the time.
      schedule(Math.max(next ?? every, Math.min(LONGEST_MS, performance.now() - startedAt)));
    } catch (error) {
      if (controller.signal.aborted) return;
      failures += 1;
      const wait = retryAfter(error);
      report("offline", error, Math.round(wait / 1000));
      schedule(wait);
    } finally {
      if (running === controller) running = null;
    }
  }

  function retryAfter(error) {
    // Without a sign-in the next request fails as well.
    if (error.status === 401) return LONGEST_MS;
    const jitter = 0.75 + Math.random() / 2;
    return Math.max((error.retrySeconds || 0) * 1000, Math.min(LONGEST_MS, every * 2 ** failures) * jitter);
  }

  function report(state, ...rest) {
    if (!paused) onState(state, ...rest);
  }

  function schedule(wait) {
    clearTimeout(timer);
    dueAt = Date.now() + wait;
    if (!paused && !ended) timer = setTimeout(run, document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
  }

  function end() {
    ended = true;
    document.removeEventListener("visibilitychange", onVisibilityChange);
    onState("ended");
  }

  function onVisibilityChange() {
    if (!document.hidden && !running) schedule(Math.max(0, dueAt - Date.now()));
  }

  document.addEventListener("visibilitychange", onVisibilityChange);
  run();
  return {
    /** Load now. Paused polling stays paused. */
    refresh: () => (ended ? undefined : run()),
    pause() {
      paused = true;
      clearTimeout(timer);
      onState("paused");
    },
    resume() {
      paused = false;
      onState("live");
      run();
    },
    stop() {
      running?.abort();
      clearTimeout(timer);
      end();
    },
    get paused() {
      return paused;
    },
  };
}
