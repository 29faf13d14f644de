// Elements out of plain values. Text is only ever set as text: names, labels and errors may hold anything.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. An attribute that is true is set empty, one that is false, null or undefined is left out, and
 *  `onclick` and its like are listeners. Children are nodes, texts, numbers, or lists of them; empty ones are left out. */
export const h = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);

/** The same for SVG. */
export const s = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.listeners = Object.keys(attributes || {}).filter((name) => name.startsWith("on"));
  made.append(...nodes(children));
  return made;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}

/** Bring what `parent` holds to `children`, in place: what has not changed stays, with its focus, its selection and
 *  whether it is open. Children with a `data-key` are recognised by it wherever they stand. */
export function show(parent, ...children) {
  const wanted = nodes(children).map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
  const keyed = new Map([...parent.children].filter((each) => each.dataset?.key).map((each) => [each.dataset.key, each]));
  let place = parent.firstChild;
  for (const child of wanted) {
    const key = child.dataset?.key;
    const old = key ? keyed.get(key) : place?.dataset?.key ? null : place;
    if (old && alike(old, child)) {
      if (old === place) place = place.nextSibling;
      else parent.insertBefore(old, place);
      if (old !== child) become(old, child);
    } else parent.insertBefore(child, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const alike = (old, wanted) => old.nodeType === wanted.nodeType && old.nodeName === wanted.nodeName;

// What a person has changed since it was drawn: the page does not take it back.
const OWN = { DETAILS: "open", DIALOG: "open" };

function become(old, wanted) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== wanted.data) old.data = wanted.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name) && OWN[old.nodeName] !== name) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (OWN[old.nodeName] !== name && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of old.listeners || []) old[name] = null;
  for (const name of wanted.listeners || []) old[name] = wanted[name];
  old.listeners = wanted.listeners;
  // Attributes say how a field begins; what it says by now is a property.
  if (old.nodeName === "OPTION" && wanted.selected) old.selected = true;
  if (old.nodeName === "INPUT" && old !== document.activeElement) {
    if (old.type === "checkbox" || old.type === "radio") old.checked = wanted.checked;
    else if (wanted.hasAttribute("value")) old.value = wanted.value;
  }
  if (old.nodeName !== "CANVAS") show(old, ...wanted.childNodes);
}
