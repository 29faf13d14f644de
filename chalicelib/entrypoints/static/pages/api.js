// The API's document as a page: each address with what it takes, answers and refuses.
import { shell } from "../components/shell.js";

shell("api");

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  if (text) made.textContent = text; // as text: the document holds what people wrote
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function named(api, schema) {
  return schema.$ref ? schema.$ref.split("/").reduce((at, step) => (step === "#" ? at : at[step]), api) : schema;
}

function name(schema) {
  return schema.$ref ? schema.$ref.split("/").pop() : "";
}

// What kind of value a schema takes, in few words.
function kind(schema) {
  if (!schema || schema === true) return "anything";
  if (schema.$ref) return name(schema);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  const several = schema.anyOf || schema.oneOf || schema.allOf;
  if (several) return several.map(kind).join(schema.allOf ? " & " : " | ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) return `object of ${kind(schema.additionalProperties)}`;
  return [
    schema.type || "anything",
    schema.format ? `(${schema.format})` : "",
    digits(schema.pattern),
    schema.minimum !== undefined ? `from ${schema.minimum}` : "",
    schema.maximum !== undefined ? `to ${schema.maximum}` : "",
    schema.multipleOf ? `in steps of ${schema.multipleOf}` : "",
  ].filter(Boolean).join(" ");
}

// A pattern is for machines; of ids it says how long they are.
function digits(pattern) {
  const found = /^\^\[0-9a-f\]\{(\d+)\}\$$/.exec(pattern || "");
  return found ? `of ${found[1]} hex digits` : "";
}

function table(caption, heads, lines) {
  const made = element("table");
  made.append(element("caption", caption));
  const head = element("tr");
  head.append(...heads.map((each) => element("th", each, { scope: "col" })));
  const top = element("thead");
  top.append(head);
  const body = element("tbody");
  for (const cells of lines) {
    const line = element("tr");
    line.append(...cells.map((each) => (each instanceof Node ? each : element("td", each))));
    body.append(line);
  }
  made.append(top, body);
  // It scrolls by itself where it is wider than the screen, by keyboard too.
  const room = element("div", "", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" });
  room.append(made);
  return room;
}

function cell(...parts) {
  const made = element("td");
  made.append(...parts);
  return made;
}

function fields(schema, required = "always") {
  const needed = new Set(schema.required || []);
  const entries = Object.entries(schema.properties || {});
  return entries.filter(([field]) => needed.has(field)).concat(entries.filter(([field]) => !needed.has(field))).map(([field, each]) => [
    cell(element("code", field)), kind(each), needed.has(field) ? required : "", meaning(each, each.description),
  ]);
}

function meaning(schema, description = "") {
  const said = schema?.default === undefined || schema.default === null ? "" : `default: ${JSON.stringify(schema.default)}`;
  return [description, said].filter(Boolean).join(description.endsWith(".") ? " " : "; ");
}

function link(schema) {
  const parts = schema.oneOf || [schema];
  return parts.filter((each) => each.$ref).map((each) => element("a", name(each), { href: `#schema-${name(each)}` }));
}

function answers(api, responses) {
  return Object.entries(responses).sort().map(([status, answer]) => {
    const kinds = cell();
    for (const [media, { schema }] of Object.entries(answer.content || {})) {
      const links = media === "application/problem+json" ? [] : link(schema || {});
      const line = element("div", media);
      for (const each of links) line.append(" ", each);
      kinds.append(line);
    }
    return [status, answer.description, kinds, Object.keys(answer.headers || {}).join(", ")];
  });
}

function door(api, path, method, operation) {
  const made = element("details", "", { id: operation.operationId });
  const head = element("summary");
  const line = element("span", "", { class: "door" });
  line.append(element("strong", method.toUpperCase(), { class: method }), " ", element("code", path), " ", element("span", `${operation.summary}${operation.deprecated ? " (deprecated)" : ""}`));
  head.append(line);
  made.append(head);
  if (operation.description) made.append(element("p", operation.description));
  if (operation.security && !operation.security.length) made.append(element("p", "Open: no token is needed."));
  if (operation.parameters.length) {
    made.append(table("Parameters", ["name", "in", "value", "required", "meaning"], [...operation.parameters].sort((one, other) => Boolean(other.required) - Boolean(one.required)).map((each) => [
      cell(element("code", each.name)), each.in, kind(each.schema), each.required ? "yes" : "", meaning(each.schema, each.description),
    ])));
  }
  if (operation.requestBody) {
    const { schema } = operation.requestBody.content["application/json"];
    made.append(table("Body, as JSON", ["field", "value", "required", "meaning"], fields(named(api, schema), "yes")));
  }
  made.append(table("Answers", ["status", "meaning", "as", "headers"], answers(api, operation.responses)));
  return made;
}

function show(api) {
  const doors = document.getElementById("doors");
  const groups = document.getElementById("groups");
  for (const tag of api.tags) {
    const section = element("section", "", { id: `group-${tag.name}`, "aria-labelledby": `head-${tag.name}` });
    section.append(element("h2", tag.name, { id: `head-${tag.name}` }), element("p", tag.description));
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) {
        if (operation.tags.includes(tag.name)) section.append(door(api, path, method, operation));
      }
    }
    doors.append(section);
    groups.append(element("a", tag.name, { href: `#group-${tag.name}` }), " ");
  }
  const section = element("section", "", { "aria-labelledby": "head-schemas" });
  section.append(element("h2", "documents", { id: "head-schemas" }));
  for (const [title, schema] of Object.entries(api.components.schemas)) {
    const made = element("details", "", { id: `schema-${title}` });
    made.append(element("summary", title));
    if (schema.description) made.append(element("p", schema.description));
    if (schema.enum) made.append(element("p", schema.enum.join(", ")));
    else made.append(table("Fields", ["field", "value", "there", "meaning"], fields(schema)));
    section.append(made);
  }
  doors.append(section);
  document.getElementById("summary").textContent =
    `${Object.keys(api.paths).length} addresses, version ${api.info.version}.`;
}

// A link into the page opens what it leads to.
function open() {
  let target = null;
  try {
    target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch {
    // A % that stands for nothing leads nowhere.
  }
  if (target instanceof HTMLDetailsElement) target.open = true;
  if (target) target.scrollIntoView();
}

try {
  const answer = await fetch("../openapi.json");
  if (!answer.ok) throw new Error(`the service answered ${answer.status}`);
  show(await answer.json());
  window.addEventListener("hashchange", open);
  open();
} catch (error) {
  document.getElementById("summary").textContent = `The document cannot be shown: ${error.message}`;
}
