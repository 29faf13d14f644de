// What all pages share: the bar, notices, questions, and the way in.
import { ROOT, address, call, onUnauthorized, post, problemOf } from "../lib/api.js";
import { h, s } from "../lib/dom.js";
import { sentence } from "../lib/format.js";

const PAGES = [
  ["jobs", "Jobs", ""],
  ["slides", "Slides", "pages/collections"],
  ["submit", "Submit", "pages/submit"],
  ["api", "API", "pages/api"],
];

const notices = h("div", { class: "notices" });
const polite = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
const side = h("div", { class: "side" });
const signOutButton = h("button", { class: "plain", type: "button", hidden: true, onclick: signOut }, "Sign out");
const signInButton = h("button", { class: "plain", type: "button", hidden: true, onclick: signIn }, "Sign in");
const whoIsIn = h("span", { class: "who", hidden: true });

/** Draw the bar; `here` is the page's name in PAGES. A page is `<main id="main" tabindex="-1">` and nothing else.
 *  Returns the right end of the bar, for what the page wants to show there. */
export function shell(here) {
  const main = document.getElementById("main");
  const links = PAGES.map(([name, label, path]) =>
    h("li", null, h("a", { href: new URL(path, ROOT).href, "aria-current": name === here ? "page" : null }, label)),
  );
  document.body.prepend(
    h("a", { class: "skip", href: "#main" }, "Skip to content"),
    h("header", { class: "bar" },
      h("a", { class: "brand", href: ROOT.href }, mark(), "Slidehook"),
      h("nav", { "aria-label": "Pages" }, h("ul", null, links)),
      h("div", { class: "side" }, side, whoIsIn, signInButton, signOutButton),
    ),
  );
  main.prepend(notices);
  document.body.append(polite);
  drawWho();
  askWho();
  return side;
}

function mark() {
  return s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" },
    s("path", { fill: "currentColor", d: "M3 15h8v6H3zM13 15h8v6h-8zM6 8h5v5H6zM13 8h5v5h-5zM9.5 3h5v3.5h-5z" }));
}

/** Say something to who does not see the page. */
export function say(text) {
  polite.textContent = polite.textContent === text ? `${text}\u00a0` : text;
}

/** Show a notice above the page until it is dismissed, `seconds` have passed, or another of its `key` comes. `kind`:
 *  bad, ok, warn or nothing. */
export function notice(text, { kind = "", title = "", key = "", seconds = 0, more = null } = {}) {
  for (const each of [...notices.children]) if (key && each.dataset.key === key) each.remove();
  const made = h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status", "data-key": key || null },
    h("div", null, title && h("strong", null, `${title} `), text, more && h("div", null, more)),
    h("button", { type: "button", "aria-label": "Dismiss", onclick: () => made.remove() }, "\u2715"),
  );
  notices.append(made);
  if (seconds) setTimeout(() => made.remove(), seconds * 1000);
  return made;
}

/** Show a problem as a sentence: what happened, and what to do. */
export function complain(error, { title = "", key = "" } = {}) {
  const problem = problemOf(error);
  const fields = problem.errors.filter((each) => each.pointer).map((each) => h("li", null, `${each.pointer.replace(/^\//, "")}: ${each.detail}`));
  return notice([`${sentence(problem.message)} `, problem.hint], { kind: "bad", title, key, more: fields.length ? h("ul", null, fields) : null });
}

/** Ask before something happens. `body` says what will; `yes` is the button that does it. Returns a promise of the
 *  answer: true, or what `read` gives. */
export function confirm({ title, body, yes, danger = false, read = () => true }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const name = `question-${Math.random().toString(36).slice(2)}`;
    let answer = false;
    const asked = h("dialog", { "aria-labelledby": name, onclose: () => {
      asked.remove();
      if (before?.isConnected) before.focus();
      resolve(answer);
    } },
      h("form", { method: "dialog", onsubmit: () => (answer = read()) },
        h("h2", { id: name }, title),
        h("div", null, body),
        h("div", { class: "end" },
          h("button", { type: "button", onclick: () => asked.close() }, "Back"),
          h("button", { class: danger ? "danger main" : "main" }, yes),
        ),
      ),
    );
    document.body.append(asked);
    asked.showModal();
    if (danger) asked.querySelector("button").focus();
  });
}

// -- the way in ------------------------------------------------------------------------------------------------------

// Who is signed in, as the service tells it: { name, scopes }. The token and the cookie are out of reach here.
const SIGNED_IN = "slidehook: signed in";
const NOBODY = "everyone"; // as whom the service tells those without a token, where reading is open
let who = remembered();
const listeners = [];
let asking = null;
let declined = 0;

onUnauthorized(() => {
  // Who closed the form does not get it again from the next look of a page that polls.
  if (Date.now() - declined < 60_000) return Promise.resolve(false);
  asking ??= askForToken().finally(() => (asking = null));
  return asking;
});

function remembered() {
  try {
    const kept = JSON.parse(localStorage.getItem(SIGNED_IN));
    return Array.isArray(kept?.scopes) ? kept : null;
  } catch {
    return null;
  }
}

async function askWho() {
  try {
    const answer = await call("/sign-in", {}, false);
    become(await answer.json());
  } catch (error) {
    // 403: somebody who may submit and not read. What they may was told when they signed in.
    if (error.status === 401) become(null);
    else drawWho(true);
  }
}

function become(found) {
  const before = JSON.stringify(who);
  who = found && found.name !== NOBODY ? { name: found.name, scopes: found.scopes } : null;
  if (who) localStorage.setItem(SIGNED_IN, JSON.stringify(who));
  else localStorage.removeItem(SIGNED_IN);
  drawWho(true);
  if (JSON.stringify(who) !== before) for (const each of listeners) each(false);
}

function drawWho(known = false) {
  signOutButton.hidden = whoIsIn.hidden = !who;
  signInButton.hidden = Boolean(who) || !known;
  whoIsIn.textContent = who?.name || "";
  whoIsIn.title = who ? `Signed in with the token “${who.name}” (${who.scopes.join(", ")})` : "";
}

/** Be told when it is known who is signed in, and with true when somebody has just signed in. */
export const onWho = (listener) => listeners.push(listener);

/** Whether the signed-in token has a scope. Where nobody is signed in everything is offered, and a token is asked for. */
export const may = (scope) => !who || who.scopes.includes(scope) || who.scopes.includes("admin");

export const lacking = (scope) => `The token “${who?.name}” lacks the scope “${scope}”. Sign in with one that has it.`;

/** Return the attributes of a button for what needs a scope: who lacks it is told so instead. */
export const barred = (scope) => (may(scope) ? {} : { disabled: true, title: lacking(scope) });

async function signIn() {
  if (!(await askForToken())) return;
  if (listeners.length) for (const each of listeners) each(true);
  else location.reload();
}

/** Ask for a token, and say whether somebody has signed in. */
export function askForToken() {
  return new Promise((resolve) => {
    let done = false;
    const why = h("p", { class: "why", id: "sign-in-why", role: "alert" });
    const token = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-describedby": "sign-in-why" });
    const enter = h("button", { class: "main" }, "Sign in");
    const asked = h("dialog", { "aria-labelledby": "sign-in-title", onclose: () => {
      asked.remove();
      declined = done ? 0 : Date.now();
      resolve(done);
    } },
      h("form", { onsubmit: async (event) => {
        event.preventDefault();
        enter.disabled = true;
        try {
          const answer = await call("/sign-in", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: token.value.trim() }) }, false);
          done = true;
          become(await answer.json());
          asked.close();
        } catch (error) {
          const problem = problemOf(error);
          why.textContent = problem.status === 401 ? "This service does not know that token." : `${problem.message} ${problem.hint}`;
          token.setAttribute("aria-invalid", "true");
          token.select();
        }
        enter.disabled = false;
      } },
        h("h2", { id: "sign-in-title" }, "Sign in"),
        h("p", { class: "quiet" }, "This needs a token of the service. On your own machine ", h("code", null, "make run"), " prints a sign-in link, and the token is in ", h("code", null, ".local/stack.json"), ". Elsewhere whoever runs the service gives you one."),
        h("p", { class: "quiet" }, "It is kept in a cookie that no script can read, and forgotten when you sign out."),
        h("label", { class: "field" }, h("span", null, "Token"), token, why),
        h("div", { class: "end" }, h("button", { type: "button", onclick: () => asked.close() }, "Not now"), enter),
      ),
    );
    document.body.append(asked);
    asked.showModal();
    token.focus();
  });
}

async function signOut() {
  try {
    await post("/sign-out");
  } catch (error) {
    complain(error, { key: "sign-out" });
    return;
  }
  localStorage.removeItem(SIGNED_IN);
  location.href = ROOT.href;
}

/** Return the address of a page of this service with a query. */
export function pageAddress(name, query = {}) {
  const made = new URL(address(`/pages/${name}`));
  for (const [key, value] of Object.entries(query)) if (value) made.searchParams.set(key, value);
  return made.href;
}
