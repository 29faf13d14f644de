// Modal dialogs.
import { h } from "../lib/dom.js";

let dialogs = 0;

/** Show a modal dialog. `content` receives a function that closes it. Returns the dialog; it is removed when it closes. */
export function openDialog({ title, className = null, content, onClose = () => {} }) {
  const focused = document.activeElement;
  const titleId = `dialog-title-${(dialogs += 1)}`;
  const close = () => {
    dialog.remove();
    if (focused?.isConnected) focused.focus();
    onClose();
  };
  const dialog = h("dialog", { class: className, "aria-labelledby": titleId, onclose: close },
    content(h("h2", { id: titleId }, title), () => dialog.close()));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask for confirmation. `confirm` and `dismiss` are the labels of the buttons. Returns a promise of false, or of what
 *  `read` returns when the user confirms. */
export function confirmAction({ title, body, confirm, dismiss = "Cancel", isDanger = false, read = () => true }) {
  return new Promise((resolve) => {
    let answer = false;
    const dialog = openDialog({
      title,
      onClose: () => resolve(answer),
      content: (heading, close) => h("form", { method: "dialog", onsubmit: () => (answer = read()) },
        heading,
        h("div", null, body),
        h("div", { class: "buttons" },
          h("button", { type: "button", onclick: close }, dismiss),
          h("button", { class: isDanger ? "danger primary" : "primary" }, confirm),
        ),
      ),
    });
    if (isDanger) dialog.querySelector("button").focus();
  });
}
