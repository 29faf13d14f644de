// The page behind a sign-in link that does not sign in by itself: a person presses the button. Without a link it asks
// for a token.
import { ROOT, call, problemOf } from "../lib/api.js";
import { askForToken, pageAddress, shell } from "../components/shell.js";

const code = location.pathname.split("/sign-in/links/")[1] || "";
const what = document.getElementById("what");
const enter = document.getElementById("enter");
const why = document.getElementById("why");
shell("");
if (code) what.textContent = `This link signs this browser in at ${location.host}. It works once.`;
enter.disabled = false;
enter.addEventListener("click", async () => {
  enter.disabled = true;
  why.textContent = "";
  try {
    if (code) await redeem();
    else if (await askForToken()) location.replace(ROOT);
  } catch (error) {
    const problem = problemOf(error);
    if (problem.status === 401) location.replace(pageAddress("sign-in-refused"));
    else why.textContent = `${problem.message} ${problem.hint}`;
  }
  enter.disabled = false;
});

async function redeem() {
  await call("/sign-in", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code }) }, false);
  location.replace(ROOT);
}
