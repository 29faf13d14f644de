// Numbers, sizes, durations and dates as text.
import { h } from "./dom.js";

const integer = new Intl.NumberFormat("en");

export const number = (value) => integer.format(Math.round(value));

export const count = (value, singular, plural = `${singular}s`) => `${number(value)} ${value === 1 ? singular : plural}`;

export const percent = (part, total) => Math.floor((100 * part) / Math.max(1, total));

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
  return value < 0.0001 ? "< $0.0001" : `~ $${value.toFixed(value < 1 ? 4 : 2)}`;
}

function elapsed(date) {
  const age = (Date.now() - Date.parse(date)) / 1000;
  return age < 5 ? "just now" : `${seconds(age)} ago`;
}

const fullDate = (date) => new Date(date).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Return the age of a date. The title contains the date with its time zone. */
export const timeAgo = (date) => h("time", { datetime: date, title: fullDate(date) }, elapsed(date));

/** Return the time of day of a date. The title contains the date with its time zone. */
export const timeOfDay = (date) =>
  h("time", { datetime: date, title: fullDate(date) }, new Date(date).toLocaleTimeString());

/** Return a message as a sentence: with a full stop, and a capital letter unless it begins with a name. */
export const sentence = (text) =>
  text.replace(/^[a-z]+(?=[ ,])/, (word) => word[0].toUpperCase() + word.slice(1)).replace(/[.]?$/, ".");

/** Return short texts separated by dots. No line break is inside a text. */
export const dotSeparated = (parts) =>
  parts.filter(Boolean).flatMap((part, index) => [index ? " · " : "", h("span", { class: "nowrap" }, part)]);

/** Return a file name without a line break inside its extension. */
export function fileLabel(name) {
  const end = /.{1,4}[.][^.\s]{1,5}$/.exec(name);
  return end ? [name.slice(0, end.index), h("span", { class: "nowrap" }, end[0])] : name;
}

export const fileName = (key) => key.split("/").pop() || key;
