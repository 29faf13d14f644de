// Signing in with a token. What it is exchanged for is kept in a cookie that no script can read.
const form = document.getElementById("sign-in");
const field = document.getElementById("token");
const refused = document.getElementById("refused");
const out = document.getElementById("sign-out");

// The header tells the service that its own page asks: other pages may not send it.
function post(path, body) {
  const headers = { "Content-Type": "application/json", "X-Slidehook": "page" };
  return fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
}

// Shows whether somebody is signed in; where reading is open to all, nobody need be.
export async function signedIn() {
  const answer = await fetch("sign-in");
  const who = answer.ok ? await answer.json() : { name: "everyone" };
  out.hidden = who.name === "everyone";
}

// Resolves when somebody has signed in.
export function askToSignIn() {
  out.hidden = true;
  form.hidden = false;
  field.focus();
  return new Promise((resolve) => {
    form.onsubmit = async (event) => {
      event.preventDefault();
      try {
        const answer = await post("sign-in", { token: field.value });
        const body = await answer.json();
        if (!answer.ok) throw new Error(`${body.detail}. ${body.hint}`);
        form.reset();
        refused.textContent = "";
        form.hidden = true;
        out.hidden = false;
        resolve();
      } catch (error) {
        refused.textContent = error.message;
      }
    };
  });
}

out.addEventListener("click", async () => {
  await post("sign-out", {});
  location.reload();
});
