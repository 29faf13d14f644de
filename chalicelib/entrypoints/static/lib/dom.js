// Elements from plain values. Text is inserted as text only: names, labels and errors may contain anything.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element. An attribute that is true is set to an empty string; false, null and undefined are omitted.
 *  Attributes that begin with `on` are listeners. Children are nodes, text, numbers or nested lists of them; empty
 *  children are omitted. */
export const h = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

/** The same for an SVG element. */
export const s = (tag, attributes, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.listeners = Object.keys(attributes || {}).filter((name) => name.startsWith("on"));
  element.append(...flatten(children));
  return element;
}

const isEmpty = (child) => child === null || child === undefined || child === false || child === "";

const flatten = (children) => children.flat(Infinity).filter((child) => !isEmpty(child));

/** Replace the content of `parent`, and keep each unchanged element, with its focus, selection and expanded state.
 *  Elements with a `data-key` are matched by it, whatever their position. */
export function render(parent, ...children) {
  const wanted = flatten(children).map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
  const byKey = new Map([...parent.children].filter((each) => each.dataset?.key).map((each) => [each.dataset.key, each]));
  let cursor = parent.firstChild;
  for (const child of wanted) {
    const key = child.dataset?.key;
    const existing = key ? byKey.get(key) : cursor?.dataset?.key ? null : cursor;
    if (existing && isSameKind(existing, child)) {
      if (existing === cursor) cursor = cursor.nextSibling;
      else parent.insertBefore(existing, cursor);
      if (existing !== child) update(existing, child);
    } else parent.insertBefore(child, cursor);
  }
  while (cursor) {
    const next = cursor.nextSibling;
    cursor.remove();
    cursor = next;
  }
}

const isSameKind = (existing, wanted) => existing.nodeType === wanted.nodeType && existing.nodeName === wanted.nodeName;

// Attributes that the user changes: a render does not reset them.
const USER_ATTRIBUTES = { DETAILS: "open", DIALOG: "open" };

function update(element, wanted) {
  if (element.nodeType !== Node.ELEMENT_NODE) {
    if (element.data !== wanted.data) element.data = wanted.data;
    return;
  }
  const ignored = USER_ATTRIBUTES[element.nodeName];
  for (const { name } of [...element.attributes]) {
    if (!wanted.hasAttribute(name) && ignored !== name) element.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (ignored !== name && element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
  for (const name of element.listeners || []) element[name] = null;
  for (const name of wanted.listeners || []) element[name] = wanted[name];
  element.listeners = wanted.listeners;
  updateProperties(element, wanted);
  if (element.nodeName !== "CANVAS") render(element, ...wanted.childNodes);
}

// Attributes contain the initial value of a form field; the current value is a property.
function updateProperties(element, wanted) {
  if (element.nodeName === "OPTION" && wanted.selected) element.selected = true;
  if (element.nodeName === "INPUT" && element !== document.activeElement) {
    if (element.type === "checkbox" || element.type === "radio") element.checked = wanted.checked;
    else if (wanted.hasAttribute("value")) element.value = wanted.value;
  }
}
