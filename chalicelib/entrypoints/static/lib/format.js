// Figures and instants as people read them.
import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en");

export const number = (value) => whole.format(Math.round(value));

export const count = (value, one, many = `${one}s`) => `${number(value)} ${value === 1 ? one : many}`;

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1];
  return `${unit && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function seconds(value) {
  if (value < 0.05) return "< 0.1 s";
  if (value < 9.95) return `${value.toFixed(1)} s`;
  const rounded = Math.round(value);
  if (rounded < 120) return `${rounded} s`;
  if (rounded < 7200) return `${Math.floor(rounded / 60)} min${rounded < 600 && rounded % 60 ? ` ${rounded % 60} s` : ""}`;
  if (rounded < 172_800) return `${Math.floor(rounded / 3600)} h ${Math.floor((rounded % 3600) / 60)} min`;
  return `${Math.round(rounded / 86_400)} days`;
}

export function dollars(value) {
  return value < 0.0001 ? "under $0.0001" : `about $${value.toFixed(value < 1 ? 4 : 2)}`;
}

export function ago(text) {
  const passed = (Date.now() - Date.parse(text)) / 1000;
  return passed < 5 ? "just now" : `${seconds(passed)} ago`;
}

const inFull = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Return how long ago an instant was, with the instant itself, its date and its zone in its title. */
export const when = (text) => h("time", { datetime: text, title: inFull(text) }, ago(text));

export const clock = (text) => h("time", { datetime: text, title: inFull(text) }, new Date(text).toLocaleTimeString());

/** Return a message as a sentence: with a capital letter, unless it begins with a name, and a full stop. */
export const sentence = (text) => text.replace(/^[a-z]+(?=[ ,])/, (word) => word[0].toUpperCase() + word.slice(1)).replace(/[.]?$/, ".");

/** Return short texts in one line, none of which is broken. */
export const line = (parts) => parts.filter(Boolean).flatMap((part, at) => [at ? " · " : "", h("span", { class: "whole" }, part)]);

/** Return a file's name that is never broken inside its extension. */
export function fileTitle(name) {
  const end = /.{1,4}[.][^.\s]{1,5}$/.exec(name);
  return end ? [name.slice(0, end.index), h("span", { class: "whole" }, end[0])] : name;
}

export const fileName = (key) => key.split("/").pop() || key;
