// Everything that changes something passes here: it says what will be done, asks for a yes, and sends the token along.
// The token lives in this variable until the page is closed, and nowhere else.

import { show } from "./dom.js";

let token = "";

const dialog = document.getElementById("confirm");
const field = document.getElementById("confirm-token");
const error = document.getElementById("confirm-error");
const yes = document.getElementById("confirm-yes");

// Asks; sends `body` to `path` on a yes. What the agent answered, or null where the reader said no.
export function confirmed({ title, text, button, path, body }) {
  show(document.getElementById("confirm-title"), title);
  show(document.getElementById("confirm-text"), ...text);
  show(yes, button);
  show(error, "");
  document.getElementById("confirm-token-label").hidden = Boolean(token);
  field.required = !token;
  field.value = "";
  yes.disabled = false;
  dialog.showModal();
  return new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const done = (result) => {
      form.onsubmit = dialog.onclose = null;
      if (dialog.open) dialog.close();
      resolve(result);
    };
    dialog.onclose = () => done(null);
    document.getElementById("confirm-no").onclick = () => done(null);
    form.onsubmit = async (event) => {
      event.preventDefault();
      yes.disabled = true;
      const used = token || field.value.trim();
      const { status, found } = await sent(path, body, used);
      yes.disabled = false;
      if (status >= 200 && status < 300) {
        token = used;
        done(found);
        return;
      }
      if (status === 401) {
        token = "";
        document.getElementById("confirm-token-label").hidden = false;
        field.required = true;
        field.focus();
      }
      show(error, found?.error ?? "The console does not answer.");
    };
  });
}

async function sent(path, body, used) {
  try {
    const response = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json", "x-tailrace-token": used }, body: JSON.stringify(body),
    });
    return { status: response.status, found: await response.json().catch(() => null) };
  } catch {
    return { status: 0, found: null };
  }
}
