// Sign-in page: asks for a token, or redeems the code of a sign-in link after a click.
import { ROOT, pageUrl, request, toProblem } from "../lib/api.js";
import { askForToken } from "../components/account.js";
import { drawShell } from "../components/shell.js";

const code = location.pathname.split("/sign-in/links/")[1] || "";
const description = document.getElementById("description");
const button = document.getElementById("submit");
const message = document.getElementById("message");
drawShell("");
if (code) description.textContent = `This link signs this browser in to ${location.host}. It can be used once.`;
button.disabled = false;
button.addEventListener("click", async () => {
  button.disabled = true;
  message.textContent = "";
  try {
    if (code) await redeem();
    else if (await askForToken()) location.replace(ROOT);
  } catch (error) {
    const problem = toProblem(error);
    if (problem.status === 401) location.replace(pageUrl("sign-in-refused"));
    else message.textContent = `${problem.message} ${problem.hint}`;
  }
  button.disabled = false;
});

async function redeem() {
  const headers = { "Content-Type": "application/json" };
  await request("/sign-in", { method: "POST", headers, body: JSON.stringify({ code }) }, false);
  location.replace(ROOT);
}
