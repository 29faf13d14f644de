// The signed-in token: sign-in dialog, scopes, and the controls in the navigation bar.
import { ROOT, onUnauthorized, post, request, toProblem } from "../lib/api.js";
import { h } from "../lib/dom.js";
import { openDialog } from "./dialog.js";
import { showProblem } from "./notices.js";

// Name and scopes of the token. The token itself and the cookie are not accessible to scripts.
const STORAGE_KEY = "slidehook: signed in";
// The name of callers without a token, where anonymous reads are allowed.
const ANONYMOUS = "everyone";
const DECLINED_MS = 60_000;

const nameLabel = h("span", { class: "account", hidden: true });
const signInButton = h("button", { class: "plain", type: "button", hidden: true, onclick: signIn }, "Sign in");
const signOutButton = h("button", { class: "plain", type: "button", hidden: true, onclick: signOut }, "Sign out");
export const accountControls = [nameLabel, signInButton, signOutButton];

let account = storedAccount();
let openSignIn = null;
let declinedAt = 0;
const listeners = [];

onUnauthorized(() => {
  // A page that polls does not reopen a dialog that the user has closed.
  if (Date.now() - declinedAt < DECLINED_MS) return Promise.resolve(false);
  openSignIn ??= askForToken().finally(() => (openSignIn = null));
  return openSignIn;
});

function storedAccount() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORAGE_KEY));
    return Array.isArray(stored?.scopes) ? stored : null;
  } catch {
    return null;
  }
}

/** Update the controls from the service. */
export async function loadAccount() {
  drawControls();
  try {
    const response = await request("/sign-in", {}, false);
    setAccount(await response.json());
  } catch (error) {
    // 403: a token without the scope `read`. Its scopes were stored at sign-in.
    if (error.status === 401) setAccount(null);
    else drawControls({ isLoaded: true });
  }
}

function setAccount(response) {
  const before = JSON.stringify(account);
  account = response && response.name !== ANONYMOUS ? { name: response.name, scopes: response.scopes } : null;
  if (account) localStorage.setItem(STORAGE_KEY, JSON.stringify(account));
  else localStorage.removeItem(STORAGE_KEY);
  drawControls({ isLoaded: true });
  if (JSON.stringify(account) !== before) for (const listener of listeners) listener(false);
}

function drawControls({ isLoaded = false } = {}) {
  signOutButton.hidden = nameLabel.hidden = !account;
  signInButton.hidden = Boolean(account) || !isLoaded;
  nameLabel.textContent = account?.name || "";
  nameLabel.title = account ? `Signed in with token “${account.name}” (${account.scopes.join(", ")})` : "";
}

/** Register a listener for changes of the account. Its argument is true if the user has just signed in. */
export const onAccountChange = (listener) => listeners.push(listener);

/** Return whether the token has a scope. Without a token all actions are offered, and the user is asked to sign in. */
export const hasScope = (scope) => !account || account.scopes.includes(scope) || account.scopes.includes("admin");

export const missingScopeText = (scope) =>
  `Token “${account?.name}” lacks the scope “${scope}”. Sign in with a token that has it.`;

/** Return the attributes of a button whose action requires a scope: disabled with a reason if the scope is missing. */
export const requireScope = (scope) => (hasScope(scope) ? {} : { disabled: true, title: missingScopeText(scope) });

async function signIn() {
  if (!(await askForToken())) return;
  if (listeners.length) for (const listener of listeners) listener(true);
  else location.reload();
}

async function signOut() {
  try {
    await post("/sign-out");
  } catch (error) {
    showProblem(error, { key: "sign-out" });
    return;
  }
  localStorage.removeItem(STORAGE_KEY);
  location.href = ROOT.href;
}

/** Ask for a token. Returns a promise of whether the user has signed in. */
export function askForToken() {
  return new Promise((resolve) => {
    let succeeded = false;
    const message = h("p", { class: "field-error", id: "sign-in-error", role: "alert" });
    const token = h("input", {
      type: "password", name: "token", autocomplete: "current-password", required: true, "aria-describedby": message.id,
    });
    const submit = h("button", { class: "primary" }, "Sign in");
    const onsubmit = async (event) => {
      event.preventDefault();
      submit.disabled = true;
      try {
        setAccount(await sendToken(token.value.trim()));
        succeeded = true;
        dialog.close();
      } catch (error) {
        const problem = toProblem(error);
        message.textContent = problem.status === 401 ? "The token is not valid." : `${problem.message} ${problem.hint}`;
        token.setAttribute("aria-invalid", "true");
        token.select();
      }
      submit.disabled = false;
    };
    const dialog = openDialog({
      title: "Sign in",
      onClose: () => {
        declinedAt = succeeded ? 0 : Date.now();
        resolve(succeeded);
      },
      content: (heading, close) => h("form", { onsubmit },
        heading,
        h("p", { class: "muted" }, "Sign in with an access token. ", h("code", null, "make run"),
          " prints a sign-in link and stores the token in ", h("code", null, ".local/stack.json"),
          ". For other deployments, ask the administrator."),
        h("p", { class: "muted" },
          "The session is stored in a cookie that scripts cannot read. It ends when you sign out."),
        h("label", { class: "field" }, h("span", null, "Token"), token, message),
        h("div", { class: "buttons" }, h("button", { type: "button", onclick: close }, "Cancel"), submit),
      ),
    });
    token.focus();
  });
}

async function sendToken(token) {
  const headers = { "Content-Type": "application/json" };
  const response = await request("/sign-in", { method: "POST", headers, body: JSON.stringify({ token }) }, false);
  return response.json();
}
