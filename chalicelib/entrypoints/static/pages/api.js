// Reference of the HTTP API, from its OpenAPI document.
import { apiUrl } from "../lib/api.js";
import { h, render } from "../lib/dom.js";
import { drawShell } from "../components/shell.js";

const PROBLEM_MEDIA_TYPE = "application/problem+json";
const summary = document.getElementById("summary");

drawShell("api");

// -- schemas -----------------------------------------------------------------------------------------------------------

const schemaName = (schema) => (schema.$ref ? schema.$ref.split("/").pop() : "");

const resolve = (api, schema) =>
  schema.$ref ? schema.$ref.split("/").reduce((node, key) => (key === "#" ? node : node[key]), api) : schema;

/** Return the type of a schema as a short text. */
function typeText(schema) {
  if (!schema || schema === true) return "any";
  if (schema.$ref) return schemaName(schema);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const variants = schema.anyOf || schema.oneOf || schema.allOf;
  if (variants) return variants.map(typeText).join(schema.allOf ? " & " : " | ");
  if (schema.type === "array") return `array of ${typeText(schema.items)}`;
  if (schema.type === "object" && schema.additionalProperties) return `object of ${typeText(schema.additionalProperties)}`;
  return [
    schema.type || "any",
    schema.format ? `(${schema.format})` : "",
    digitsText(schema.pattern),
    schema.minimum !== undefined ? `from ${schema.minimum}` : "",
    schema.maximum !== undefined ? `to ${schema.maximum}` : "",
    schema.multipleOf ? `multiple of ${schema.multipleOf}` : "",
  ].filter(Boolean).join(" ");
}

/** Return the length of an id. Other patterns are not shown. */
function digitsText(pattern) {
  const match = /^\^\[0-9a-f\]\{(\d+)\}\$$/.exec(pattern || "");
  return match ? `of ${match[1]} hex digits` : "";
}

function descriptionText(schema, description = "") {
  const hasDefault = schema?.default !== undefined && schema.default !== null;
  const texts = [description, hasDefault ? `default: ${JSON.stringify(schema.default)}` : ""];
  return texts.filter(Boolean).join(description.endsWith(".") ? " " : "; ");
}

const schemaLinks = (schema) =>
  (schema.oneOf || [schema]).filter((each) => each.$ref).map(schemaName)
    .map((name) => h("a", { href: `#schema-${name}` }, name));

// -- tables ------------------------------------------------------------------------------------------------------------

/** Return a table that scrolls, also by keyboard, where it is wider than the screen. */
function table(caption, headings, rows) {
  return h("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    h("table", null,
      h("caption", null, caption),
      h("thead", null, h("tr", null, headings.map((heading) => h("th", { scope: "col" }, heading)))),
      h("tbody", null, rows.map((cells) => h("tr", null, cells.map((cell) => h("td", null, cell)))))));
}

/** Return a row for each field of a schema, required fields first. */
function fieldRows(schema) {
  const required = new Set(schema.required || []);
  const fields = Object.entries(schema.properties || {});
  return requiredFirst(fields, ([name]) => required.has(name)).map(([name, field]) => [
    h("code", null, name), typeText(field), required.has(name) ? "yes" : "", descriptionText(field, field.description),
  ]);
}

const parameterRows = (parameters) =>
  requiredFirst(parameters, ({ required }) => required).map(({ name, in: location, schema, required, description }) => [
    h("code", null, name), location, typeText(schema), required ? "yes" : "", descriptionText(schema, description),
  ]);

const requiredFirst = (entries, isRequired) =>
  [...entries.filter(isRequired), ...entries.filter((each) => !isRequired(each))];

const responseRows = (responses) =>
  Object.entries(responses).sort().map(([status, { description, content = {}, headers = {} }]) =>
    [status, description, Object.entries(content).map(mediaType), Object.keys(headers).join(", ")]);

function mediaType([name, { schema }]) {
  const links = name === PROBLEM_MEDIA_TYPE ? [] : schemaLinks(schema || {});
  return h("div", null, name, links.map((link) => [" ", link]));
}

// -- the document ------------------------------------------------------------------------------------------------------

function operationDetails(api, path, method, operation) {
  const isPublic = operation.security && !operation.security.length;
  const body = operation.requestBody?.content["application/json"].schema;
  return h("details", { id: operation.operationId },
    h("summary", null, h("span", { class: "operation" },
      h("strong", { class: method }, method.toUpperCase()), " ",
      h("code", null, path), " ",
      h("span", null, `${operation.summary}${operation.deprecated ? " (deprecated)" : ""}`))),
    operation.description && h("p", null, operation.description),
    isPublic && h("p", null, "No authentication required."),
    operation.parameters.length > 0 &&
      table("Parameters", ["Name", "In", "Type", "Required", "Description"], parameterRows(operation.parameters)),
    body && table("Request body (JSON)", ["Field", "Type", "Required", "Description"], fieldRows(resolve(api, body))),
    table("Responses", ["Status", "Description", "Media type", "Headers"], responseRows(operation.responses)));
}

function groupSection(api, tag) {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  return h("section", { id: `group-${tag.name}`, "aria-labelledby": `head-${tag.name}` },
    h("h2", { id: `head-${tag.name}` }, tag.name),
    h("p", null, tag.description),
    operations.filter(({ operation }) => operation.tags.includes(tag.name))
      .map(({ path, method, operation }) => operationDetails(api, path, method, operation)));
}

const schemaDetails = ([name, schema]) =>
  h("details", { id: `schema-${name}` },
    h("summary", null, name),
    schema.description && h("p", null, schema.description),
    schema.enum
      ? h("p", null, schema.enum.join(", "))
      : table("Fields", ["Field", "Type", "Always present", "Description"], fieldRows(schema)));

function draw(api) {
  render(document.getElementById("groups"), api.tags.map((tag) => [h("a", { href: `#group-${tag.name}` }, tag.name), " "]));
  render(document.getElementById("operations"),
    api.tags.map((tag) => groupSection(api, tag)),
    h("section", { "aria-labelledby": "head-schemas" },
      h("h2", { id: "head-schemas" }, "schemas"),
      Object.entries(api.components.schemas).map(schemaDetails)));
  summary.textContent = `${Object.keys(api.paths).length} paths, version ${api.info.version}.`;
}

/** Expand the operation or schema that the fragment of the URL names, and scroll to it. */
function openTarget() {
  let target = null;
  try {
    target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch {
    // not a valid percent encoding
  }
  if (target instanceof HTMLDetailsElement) target.open = true;
  if (target) target.scrollIntoView();
}

try {
  const response = await fetch(apiUrl("/openapi.json"));
  if (!response.ok) throw new Error(`the service returned status ${response.status}`);
  draw(await response.json());
  window.addEventListener("hashchange", openTarget);
  openTarget();
} catch (error) {
  summary.textContent = `The document could not be loaded: ${error.message}`;
}
