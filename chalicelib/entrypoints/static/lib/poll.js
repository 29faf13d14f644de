// Looking again and again: seldom in a hidden tab, less often after errors, not at all while paused.

const HIDDEN_MS = 30_000;
const LONGEST_MS = 60_000;

/** Call `look` at once and then again after as many milliseconds as its promise gives (`every`, if it gives none; null
 *  ends it). `onstate` is told "live", "paused", "trouble" (with the error and the seconds to the next try) or "ended".
 *  A look that is overtaken by `now` is aborted by its `signal`. */
export function poll(look, { every = 2000, onstate = () => {} } = {}) {
  let timer = 0, failures = 0, paused = false, ended = false, running = null, due = 0;

  async function run() {
    clearTimeout(timer);
    running?.abort();
    const mine = (running = new AbortController());
    const asked = performance.now();
    try {
      const next = await look({ signal: mine.signal });
      if (mine.signal.aborted) return;
      failures = 0;
      if (next === null) return end();
      tell("live");
      // Who answers slowly has much to do: half of the time it is left in peace.
      plan(Math.max(next ?? every, Math.min(LONGEST_MS, performance.now() - asked)));
    } catch (error) {
      if (mine.signal.aborted) return;
      failures += 1;
      const jitter = 0.75 + Math.random() / 2;
      // Who is not let in is not let in a second later either: until somebody signs in, or asks again.
      const wait = error.status === 401 ? LONGEST_MS : Math.max((error.retrySeconds || 0) * 1000, Math.min(LONGEST_MS, every * 2 ** failures) * jitter);
      tell("trouble", error, Math.round(wait / 1000));
      plan(wait);
    } finally {
      if (running === mine) running = null;
    }
  }

  function tell(state, ...rest) {
    if (!paused) onstate(state, ...rest);
  }

  function plan(wait) {
    clearTimeout(timer);
    due = Date.now() + wait;
    if (!paused && !ended) timer = setTimeout(run, document.hidden ? Math.max(wait, HIDDEN_MS) : wait);
  }

  function end() {
    ended = true;
    document.removeEventListener("visibilitychange", seen);
    onstate("ended");
  }

  function seen() {
    if (!document.hidden && !running) plan(Math.max(0, due - Date.now()));
  }

  document.addEventListener("visibilitychange", seen);
  run();
  return {
    /** Look now. What was paused stays paused afterwards. */
    now: () => (ended ? undefined : run()),
    pause() {
      paused = true;
      clearTimeout(timer);
      onstate("paused");
    },
    resume() {
      paused = false;
      onstate("live");
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
