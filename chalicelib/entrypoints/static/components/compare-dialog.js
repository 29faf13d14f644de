// Dialog that selects the second slide of a comparison.
import { get, toProblem } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { sentence } from "../lib/format.js";
import { slideId } from "../lib/slides.js";
import { openDialog } from "./dialog.js";
import { thumbnail } from "./thumbnail.js";

/** Ask for the slide to compare with `slide`. `onSelect` is called with its id. */
export async function openCompareDialog(slide, onSelect) {
  const list = h("ul", { class: "choices" });
  const input = h("input", { name: "with", placeholder: "Job ID, or <image store>-<image>", "aria-label": "Slide ID" });
  const onsubmit = (event) => {
    event.preventDefault();
    if (input.value.trim()) onSelect(input.value.trim());
  };
  openDialog({
    title: "Compare with",
    className: "compare",
    content: (heading, close) => h("form", { onsubmit },
      heading,
      list,
      h("div", { class: "row" }, input, h("button", { class: "primary" }, "Open")),
      h("div", { class: "buttons" }, h("button", { type: "button", onclick: close }, "Cancel")),
    ),
  });
  if (!slide.session) return;
  try {
    const { slides } = await get(`/sessions/${slide.session}/slides`);
    const others = slides.filter((each) => each.slide && each.job !== slide.job);
    const choices = others.map((each) => choice(each, onSelect));
    render(list, choices.length ? choices : message("No other slides in this session."));
  } catch (error) {
    render(list, message(sentence(toProblem(error).message)));
  }
}

const choice = (slide, onSelect) =>
  h("li", null, h("button", { type: "button", class: "plain", onclick: () => onSelect(slideId(slide)) },
    thumbnail(slide, { class: "thumbnail" }), h("span", { class: "break-anywhere" }, slide.title)));

const message = (text) => h("li", { class: "muted" }, text);
