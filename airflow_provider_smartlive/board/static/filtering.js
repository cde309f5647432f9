// What narrows the lists down: counters, search, and choices.

import { groupOf, passes } from "./livestreams.js";
import { Icon } from "./views.js";

/** @typedef {import("./livestreams.js").Filters} Filters */
/** @typedef {import("./page.js").Judged} Judged */

const { React } = globalThis;
const { createElement: h, useMemo } = React;

const GROUPS = /** @type {const} */ ([
  { name: "trouble", words: "in trouble", shape: "alarm", tone: "bad" },
  { name: "starting", words: "starting", shape: "half", tone: "busy" },
  { name: "live", words: "on the air", shape: "dot", tone: "ok" },
  { name: "ending", words: "ending", shape: "square", tone: "idle" },
]);

/** @param {{judged: Judged, filters: Filters, change: (changes: Record<string, string>) => void}} props */
export function Filtering({ judged, filters, change }) {
  const all = [...judged.now, ...judged.next, ...judged.ended];
  const dags = useMemo(() => names(all.map((row) => row.task.dagId)), [judged]);
  const rooms = useMemo(() => names(all.map((row) => row.of.title)), [judged]);
  const counts = useMemo(() => {
    const inView = judged.now.filter((row) => passes({ ...filters, state: "" }, row));
    return Object.fromEntries(
      GROUPS.map(({ name }) => [name, inView.filter((row) => groupOf(row.of) === name).length]),
    );
  }, [judged, filters]);
  const isFiltered = Object.values(filters).some(Boolean);
  return h(
    "div",
    { className: "bar", role: "search", "aria-label": "Filter livestreams" },
    GROUPS.map(({ name, words, shape, tone }) =>
      h(
        "button",
        {
          key: name,
          type: "button",
          className: `counter ${name === "trouble" && counts[name] ? "bad" : ""}`,
          "aria-pressed": filters.state === name,
          onClick: () => change({ state: filters.state === name ? "" : name }),
        },
        h(Icon, { shape, tone: counts[name] ? tone : "idle" }),
        h("b", null, counts[name] ?? 0),
        words,
      ),
    ),
    h("span", { className: "space" }),
    h(SearchField, { value: filters.search, onChange: (value) => change({ q: value }) }),
    h(Choice, {
      label: "DAG",
      all: "All DAGs",
      value: filters.dag,
      options: dags,
      onChange: (value) => change({ dag: value }),
    }),
    h(Choice, {
      label: "Room",
      all: "All rooms",
      value: filters.room,
      options: rooms,
      onChange: (value) => change({ room: value }),
    }),
    isFiltered &&
      h(
        "button",
        { type: "button", onClick: () => change({ dag: "", room: "", state: "", q: "", date: "" }) },
        "Clear filters",
      ),
  );
}

/** @param {string[]} values @returns {string[]} */
function names(values) {
  return [...new Set(values)].sort(new Intl.Collator("en", { numeric: true }).compare).slice(0, 1000);
}

/** @param {{value: string, onChange: (value: string) => void}} props */
function SearchField({ value, onChange }) {
  return h("input", {
    type: "search",
    "aria-label": "Search rooms, DAGs and outputs",
    placeholder: "Search",
    value,
    onChange: (/** @type {{target: HTMLInputElement}} */ { target }) => onChange(target.value),
  });
}

/** @param {{label: string, all: string, value: string, options: string[], onChange: (value: string) => void}} props */
function Choice({ label, all, value, options, onChange }) {
  const shown = value && !options.includes(value) ? [value, ...options] : options;
  return h(
    "select",
    {
      "aria-label": label,
      value,
      onChange: (/** @type {{target: HTMLSelectElement}} */ { target }) => onChange(target.value),
    },
    h("option", { value: "" }, all),
    shown.map((option) => h("option", { key: option, value: option }, option)),
  );
}
