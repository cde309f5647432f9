// The page "Livestreams" of Airflow's navigation, and the tab "Livestream" of a task instance.
//
// Airflow's UI imports this module and takes the components from the global scope, by the names in the plugin's
// declaration. It shares React and its router; nothing else is loaded from anywhere.

import { Airflow } from "./airflow.js";
import { assess, groupOf, passes, readFilters, worstFirst } from "./livestreams.js";
import { LivestreamStore, TaskStore } from "./store.js";
import { STYLE } from "./style.js";
import { clock, dayRange, duration, stopwatch } from "./times.js";
import {
  Detail,
  Empty,
  Icon,
  MiniTimeline,
  Outside,
  STATUS,
  StatusCell,
  StreamChip,
  Time,
  taskPath,
  toldBy,
  useNow,
  useQuery,
  useZone,
} from "./views.js";

/** @typedef {import("./livestreams.js").Livestream} Livestream */
/** @typedef {import("./livestreams.js").Assessment} Assessment */
/** @typedef {import("./livestreams.js").Filters} Filters */
/** @typedef {import("./store.js").Snapshot} Snapshot */
/** @typedef {Livestream & {of: Assessment}} Row */

const { React, ReactRouterDOM } = globalThis;
const { createElement: h, useEffect, useMemo, useRef, useState, useSyncExternalStore } = React;
const { Link } = ReactRouterDOM;

/** Rows on one page of the table: more do not fit into anybody's view. */
const ROWS = 50;

const GROUPS = /** @type {const} */ ([
  { name: "trouble", words: "in trouble", shape: "alarm", tone: "bad" },
  { name: "starting", words: "starting", shape: "half", tone: "busy" },
  { name: "live", words: "on the air", shape: "dot", tone: "ok" },
  { name: "ending", words: "ending", shape: "square", tone: "idle" },
]);

/** @type {LivestreamStore | undefined} What is known stays known while Airflow's UI shows another page. */
let known;

function sharedStore() {
  known ??= new LivestreamStore(new Airflow());
  return known;
}

/** The page. */
function Livestreams() {
  const [parameters, changeParameters] = useQuery();
  const filters = useMemo(() => readFilters(parameters), [parameters]);
  const zone = useZone();
  const day = useMemo(() => dayRange(filters.date, zone), [filters.date, zone]);
  const [store] = useState(sharedStore);
  const snapshot = useSyncExternalStore(store.subscribe, store.getSnapshot);
  const now = useNow(useMemo(() => () => store.airflow.now(), [store]));
  useEffect(() => store.showDay(day), [store, day]);
  useEffect(() => {
    store.start();
    return () => store.stop();
  }, [store]);
  useSignIn(snapshot.phase);

  /** @param {Record<string, string>} changes */
  const change = (changes) =>
    changeParameters((query) => {
      for (const [name, value] of Object.entries({ page: "", ...changes })) {
        if (value) query.set(name, value);
        else query.delete(name);
      }
    });

  // Judged anew with each answer; between two of them the rows stay where they are while their clocks go on.
  const judged = useMemo(() => judge(snapshot, store.airflow.now()), [snapshot, store]);
  const open = useMemo(() => new Set(parameters.getAll("open")), [parameters]);
  /** @param {string} key */
  const toggle = (key) =>
    changeParameters((query) => {
      if (open.has(key)) query.delete("open", key);
      else query.append("open", key);
    });
  const shared = { now, zone, open, toggle };

  return h(
    "main",
    {
      className: "smartlive",
      "data-phase": snapshot.phase,
      "data-polls": snapshot.polls,
      "data-requests": snapshot.requests,
    },
    h("style", null, STYLE),
    h(
      "header",
      null,
      h("h1", null, "Livestreams"),
      h(Freshness, { snapshot, zone, refresh: () => store.refresh() }),
    ),
    h(Announcer, { rows: judged.now }),
    snapshot.error &&
      snapshot.phase === "ready" &&
      h(Trouble, { snapshot, zone, refresh: () => store.refresh() }),
    snapshot.withoutXComs &&
      h(
        "p",
        { className: "note" },
        "You may see tasks but not their XComs: what became of the streams cannot be shown.",
      ),
    h(Content, { snapshot, judged, filters, change, page: parameters.get("page") ?? "", store, shared }),
  );
}

/** @param {View & {page: string}} props */
function Content({ snapshot, judged, filters, change, page, store, shared }) {
  if (snapshot.phase === "loading") {
    if (snapshot.error) return h(Empty, { title: "Airflow does not answer" }, snapshot.error);
    return h("div", { role: "status" }, h(Empty, { title: "Loading" }, "Asking Airflow what is live."));
  }
  if (snapshot.phase === "forbidden") {
    return h(
      "div",
      { role: "alert" },
      h(
        Empty,
        { title: "You may not see this" },
        "Airflow lets you read no task instances of any DAG. Ask whoever manages your role.",
      ),
    );
  }
  if (snapshot.phase === "signed out")
    return h(Empty, { title: "Your session has ended" }, "Airflow's login follows.");
  return h(
    React.Fragment,
    null,
    h(Filtering, { judged, filters, change }),
    h(Now, { judged, filters, page, change, store, shared }),
    h(Next, { snapshot, judged, filters, shared }),
    h(Ended, { snapshot, judged, filters, change, store, shared }),
  );
}

/**
 * @typedef {{now: Row[], next: Row[], ended: Row[]}} Judged
 * @typedef {{now: number, zone: string, open: Set<string>, toggle: (key: string) => void}} Shared
 *
 * @typedef {object} View What the sections of the page are given.
 * @property {Snapshot} snapshot
 * @property {Judged} judged
 * @property {Filters} filters
 * @property {(changes: Record<string, string>) => void} change changes the filters in the URL
 * @property {LivestreamStore} store
 * @property {Shared} shared
 */

/** @param {Snapshot} snapshot @returns {boolean} whether all lists were read once */
function isRead(snapshot) {
  return snapshot.polls > 0;
}

/** @param {Snapshot} snapshot @param {number} now @returns {Judged} */
function judge(snapshot, now) {
  const rows = (/** @type {Livestream[]} */ list) =>
    list.map((livestream) => ({ ...livestream, of: assess(livestream, now) }));
  const active = rows(snapshot.active);
  return {
    now: active.filter((row) => row.of.phase === "now").sort(worstFirst),
    next: active
      .filter((row) => row.of.phase === "next")
      .sort((one, other) => (one.task.runAfter ?? 0) - (other.task.runAfter ?? 0)),
    ended: rows(snapshot.ended),
  };
}

/** Go where Airflow's own pages go when the session has ended. @param {string} phase */
function useSignIn(phase) {
  useEffect(() => {
    if (phase !== "signed out") return;
    const login = new URL("api/v2/auth/login", document.baseURI);
    login.searchParams.set("next", location.href);
    location.replace(login);
  }, [phase]);
}

/** @param {{snapshot: Snapshot, zone: string, refresh: () => void}} props */
function Freshness({ snapshot, zone, refresh }) {
  const at = snapshot.updatedAt;
  return h(
    "div",
    { className: "state" },
    h("span", { className: "number" }, at === null ? "" : `Updated ${clock(at, zone)}`),
    h("span", null, zone),
    h("button", { type: "button", onClick: refresh }, "Refresh"),
  );
}

/** @param {{snapshot: Snapshot, zone: string, refresh: () => void}} props */
function Trouble({ snapshot, zone, refresh }) {
  const shown =
    snapshot.updatedAt === null ? "" : ` This is what was known at ${clock(snapshot.updatedAt, zone)}.`;
  return h(
    "div",
    { className: "note", role: "alert" },
    h(Icon, { shape: "alarm", tone: "warn" }),
    h("span", null, `${snapshot.error}${shown} It is asked again by itself.`),
    h("button", { type: "button", onClick: refresh }, "Try now"),
  );
}

/** @param {{rows: Row[]}} props Tells screen readers what got into trouble, and nothing else. */
function Announcer({ rows }) {
  const known = useRef(/** @type {Set<string> | null} */ (null));
  const [words, setWords] = useState("");
  useEffect(() => {
    const bad = rows.filter((row) => row.of.severity === 2);
    const before = known.current;
    const fresh = before === null ? [] : bad.filter((row) => !before.has(row.task.key));
    if (rows.length) known.current = new Set(bad.map((row) => row.task.key));
    if (fresh.length) {
      const first = fresh.slice(0, 3).map((row) => `${row.of.title}: ${row.of.remarks[0]?.text ?? ""}`);
      setWords(`${first.join(". ")}${fresh.length > 3 ? `, and ${fresh.length - 3} more` : ""}`);
    }
  }, [rows]);
  return h("div", { className: "unseen", role: "status", "aria-live": "polite" }, words);
}

/** @param {{judged: Judged, filters: Filters, change: (changes: Record<string, string>) => void}} props */
function Filtering({ judged, filters, change }) {
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

/** @param {Omit<View, "snapshot"> & {page: string}} props */
function Now({ judged, filters, page, change, store, shared }) {
  const rows = useMemo(() => judged.now.filter((row) => passes(filters, row)), [judged, filters]);
  const pages = Math.max(1, Math.ceil(rows.length / ROWS));
  const current = Math.min(pages, Math.max(1, Math.floor(Number(page)) || 1));
  const shown = rows.slice((current - 1) * ROWS, current * ROWS);
  const ended = judged.ended;
  useEffect(() => store.show([...shown, ...ended].map((row) => row.task.key)));
  return h(
    "section",
    { "aria-labelledby": "smartlive-now" },
    h(
      "h2",
      { id: "smartlive-now", style: { marginTop: 4 } },
      "Now",
      h("span", { className: "count" }, rows.length),
    ),
    rows.length === 0
      ? h(
          Empty,
          { title: judged.now.length ? "No livestream passes the filters" : "Nothing is live" },
          judged.now.length
            ? null
            : "A livestream appears here when its task begins, and leaves when the task has ended.",
        )
      : h(
          "div",
          { className: "frame" },
          h(
            "table",
            null,
            h(
              "caption",
              { className: "unseen" },
              "Livestreams that are starting, on the air or ending; the worst first",
            ),
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                h("th", { scope: "col" }, "Room"),
                h("th", { scope: "col" }, "State"),
                h("th", { scope: "col" }, "Stream"),
                h("th", { scope: "col", className: "wide" }, "Timeline"),
                h("th", { scope: "col", className: "right" }, "On the air"),
                h("th", { scope: "col" }, "Planned end"),
                h("th", { scope: "col" }, "Script"),
                h("th", { scope: "col", className: "right" }, "Reconnects"),
              ),
            ),
            h(
              "tbody",
              null,
              shown.map((row) => h(NowRow, { key: row.task.key, row, shared })),
            ),
          ),
        ),
    pages > 1 &&
      h(Pager, {
        current,
        pages,
        total: rows.length,
        go: (to) => change({ page: to > 1 ? String(to) : "" }),
      }),
  );
}

/** @param {{row: Row, shared: Shared}} props */
function NowRow({ row, shared }) {
  const { now, zone } = shared;
  // Anew each second: words such as "Interrupted for 42 s" go on.
  const of = assess(row, now);
  const scripts = row.callbacks?.scripts;
  const isOpen = shared.open.has(row.task.key);
  return h(
    React.Fragment,
    null,
    h(
      "tr",
      { className: `row severity-${of.severity}`, "data-key": row.task.key, "data-status": of.status },
      h("th", { scope: "row" }, h(RoomCell, { row, isOpen, toggle: shared.toggle })),
      h("td", null, h(StatusCell, { of })),
      h(
        "td",
        null,
        h(
          "div",
          { className: "chips" },
          of.streams.map((stream, index) => h(StreamChip, { key: index, stream, now })),
        ),
      ),
      h("td", { className: "wide" }, h(MiniTimeline, { livestream: row, of, now })),
      h(
        "td",
        { className: "right number" },
        of.onAirSince === null ? h(Nothing) : stopwatch((of.onAirUntil ?? now) - of.onAirSince),
      ),
      h("td", { className: "number" }, h(PlannedEnd, { of, now, zone })),
      h(
        "td",
        null,
        scripts
          ? h(
              "span",
              { className: "script" },
              h(Outside, null, `${scripts.number} · ${scripts.title || scripts.scene}`),
            )
          : h(Nothing),
      ),
      h(
        "td",
        { className: "right number" },
        of.reconnects ? h("b", null, of.reconnects) : h("span", { className: "quiet" }, "0"),
      ),
    ),
    isOpen &&
      h(
        "tr",
        { className: "detail" },
        h("td", { colSpan: 8 }, h(Detail, { livestream: row, of, now, zone })),
      ),
  );
}

function Nothing() {
  return h(
    "span",
    { className: "quiet" },
    h("span", { "aria-hidden": true }, "–"),
    h("span", { className: "unseen" }, "not known"),
  );
}

/** @param {{row: Row, isOpen: boolean, toggle: (key: string) => void}} props */
function RoomCell({ row, isOpen, toggle }) {
  const { task, of } = row;
  return h(
    "div",
    { className: "room" },
    h(
      "button",
      {
        type: "button",
        "aria-expanded": isOpen,
        "aria-label": `Timeline of ${of.title}`,
        onClick: () => toggle(task.key),
      },
      h(
        "svg",
        {
          viewBox: "0 0 14 14",
          width: 12,
          height: 12,
          "aria-hidden": true,
          style: { margin: "auto", transform: isOpen ? "rotate(90deg)" : "none" },
        },
        h("path", { d: "m5 2 5 5-5 5", fill: "none", stroke: "currentColor", strokeWidth: 2 }),
      ),
    ),
    h(
      Link,
      { to: taskPath(task), className: "name", style: { textDecoration: "none", minWidth: 0 } },
      h(Outside, null, of.title),
    ),
    h(
      Link,
      {
        to: `/dags/${encodeURIComponent(task.dagId)}`,
        className: "small quiet",
        style: { textDecoration: "none", minWidth: 0 },
      },
      h(Outside, null, task.dagName),
    ),
  );
}

/** @param {{of: Assessment, now: number, zone: string}} props */
function PlannedEnd({ of, now, zone }) {
  if (of.plannedEnd === null) return h(Nothing);
  const left = of.plannedEnd - now;
  return h(
    React.Fragment,
    null,
    h(Time, { at: of.plannedEnd, zone, now }),
    h(
      "span",
      { className: "quiet small" },
      left >= 0 ? `  in ${duration(left)}` : `  ${duration(-left)} ago`,
    ),
  );
}

/** @param {{current: number, pages: number, total: number, go: (page: number) => void}} props */
function Pager({ current, pages, total, go }) {
  const from = (current - 1) * ROWS + 1;
  return h(
    "nav",
    { className: "pager", "aria-label": "Pages of livestreams" },
    h("button", { type: "button", disabled: current <= 1, onClick: () => go(current - 1) }, "Previous"),
    h("span", { className: "number" }, `${from} to ${Math.min(total, from + ROWS - 1)} of ${total}`),
    h("button", { type: "button", disabled: current >= pages, onClick: () => go(current + 1) }, "Next"),
  );
}

/** @param {{snapshot: Snapshot, judged: Judged, filters: Filters, shared: Shared}} props */
function Next({ snapshot, judged, filters, shared: { now, zone } }) {
  const rows = judged.next.filter((row) => passes(filters, row));
  const planned = snapshot.planned.filter(
    ({ dagId, dagName }) =>
      (!filters.dag || dagId === filters.dag) &&
      (!filters.search || `${dagId}\n${dagName}`.toLowerCase().includes(filters.search.toLowerCase())),
  );
  const entries = [
    ...rows.map(({ task, of }) => ({
      key: task.key,
      at: task.runAfter,
      name: of.title,
      path: taskPath(task),
      why: `waits in ${task.dagName}`,
    })),
    ...planned.map(({ dagId, dagName, at }) => ({
      key: dagId,
      at,
      name: dagName,
      path: `/dags/${encodeURIComponent(dagId)}`,
      why: "by its schedule",
    })),
  ];
  return h(
    "section",
    { "aria-labelledby": "smartlive-next" },
    h(
      "h2",
      { id: "smartlive-next" },
      "Next",
      h("span", { className: "count" }, isRead(snapshot) && `${entries.length} within 24 hours`),
    ),
    entries.length === 0
      ? h(
          Empty,
          { title: isRead(snapshot) ? "Nothing is planned" : "Loading" },
          "DAGs with the tag smartlive appear here a day before their next run.",
        )
      : h(
          "div",
          { className: "frame" },
          h(
            "table",
            null,
            h("caption", { className: "unseen" }, "What starts within 24 hours"),
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                ["Starts", "Room or DAG", "Why"].map((name) => h("th", { key: name, scope: "col" }, name)),
              ),
            ),
            h(
              "tbody",
              null,
              entries
                .slice(0, 100)
                .map(({ key, at, name, path, why }) =>
                  h(
                    "tr",
                    { key, className: "row" },
                    h(
                      "td",
                      { className: "number", style: { width: 230 } },
                      h(Time, { at, zone, now }),
                      at !== null &&
                        h(
                          "span",
                          { className: "quiet small" },
                          at >= now ? `  in ${duration(at - now)}` : `  due ${duration(now - at)} ago`,
                        ),
                    ),
                    h("th", { scope: "row" }, h(Link, { to: path }, h(Outside, null, name))),
                    h("td", { className: "quiet" }, why),
                  ),
                ),
            ),
          ),
        ),
  );
}

/** @param {View} props */
function Ended({ snapshot, judged, filters, change, store, shared }) {
  const { now, zone } = shared;
  const rows = judged.ended.filter((row) => passes({ ...filters, state: "" }, row));
  return h(
    "section",
    { "aria-labelledby": "smartlive-ended" },
    h(
      "h2",
      { id: "smartlive-ended" },
      "Ended",
      h(
        "span",
        { className: "count" },
        filters.date ? `${snapshot.endedTotal} on ${filters.date}` : `${snapshot.endedTotal} within 24 hours`,
      ),
      h("span", { style: { flex: 1 } }),
      h("input", {
        type: "date",
        className: "small",
        "aria-label": "Day of the ended livestreams",
        value: filters.date,
        onChange: (/** @type {{target: HTMLInputElement}} */ { target }) => change({ date: target.value }),
      }),
    ),
    rows.length === 0
      ? h(
          Empty,
          { title: isRead(snapshot) ? "None has ended" : "Loading" },
          filters.date
            ? "No livestream of that day is known."
            : "Ended livestreams of the last 24 hours appear here; older ones by their day.",
        )
      : h(
          "div",
          { className: "frame" },
          h(
            "table",
            null,
            h("caption", { className: "unseen" }, "Ended livestreams, the latest first"),
            h(
              "thead",
              null,
              h(
                "tr",
                null,
                ["Room", "Outcome", "Planned", "On the air", "Duration", "End told by"].map((name) =>
                  h("th", { key: name, scope: "col" }, name),
                ),
              ),
            ),
            h(
              "tbody",
              null,
              rows.map((row) => h(EndedRow, { key: row.task.key, row, shared })),
            ),
          ),
        ),
    snapshot.ended.length < snapshot.endedTotal &&
      snapshot.ended.length < 100 &&
      h(
        "div",
        { className: "pager" },
        h("button", { type: "button", onClick: () => store.showMoreEnded() }, "Show more"),
      ),
    h("p", { className: "unseen" }, `Times are those of ${zone}; now it is ${clock(now, zone).slice(0, 5)}.`),
  );
}

/** @param {{row: Row, shared: Shared}} props */
function EndedRow({ row, shared }) {
  const { of, summary } = row;
  const { now, zone } = shared;
  const look = STATUS[of.status];
  const isOpen = shared.open.has(row.task.key);
  const onAir =
    summary?.streamDuration ??
    (of.onAirSince !== null && of.onAirUntil !== null ? of.onAirUntil - of.onAirSince : null);
  return h(
    React.Fragment,
    null,
    h(
      "tr",
      { className: "row", "data-key": row.task.key, "data-status": of.status },
      h("th", { scope: "row" }, h(RoomCell, { row, isOpen, toggle: shared.toggle })),
      h(
        "td",
        null,
        h(
          "div",
          { className: "status" },
          h(Icon, look),
          h("span", { className: `word ${look.tone === "bad" ? "tone-bad" : ""}` }, look.word),
          summary && h("span", { className: "remark quiet", title: summary.outcome }, summary.outcome),
        ),
      ),
      h(
        "td",
        { className: "number" },
        h(Time, { at: of.plannedStart, zone, now }),
        " – ",
        h(Time, { at: of.plannedEnd, zone, now }),
      ),
      h(
        "td",
        { className: "number" },
        h(Time, { at: of.onAirSince, zone, now }),
        " – ",
        h(Time, { at: of.onAirUntil, zone, now }),
      ),
      h("td", { className: "number" }, onAir === null ? h(Nothing) : duration(onAir)),
      h("td", { className: "quiet" }, summary ? toldBy(summary.toldBy) : h(Nothing)),
    ),
    isOpen &&
      h(
        "tr",
        { className: "detail" },
        h("td", { colSpan: 6 }, h(Detail, { livestream: row, of, now, zone })),
      ),
  );
}

/**
 * The tab of a task instance.
 *
 * @param {{dagId: string, runId: string, taskId: string, mapIndex?: string}} props as Airflow's UI gives them
 */
function LivestreamTab({ dagId, runId, taskId, mapIndex = "-1" }) {
  const store = useMemo(
    () => new TaskStore(new Airflow(), { dagId, runId, taskId, mapIndex: Number(mapIndex) }),
    [dagId, runId, taskId, mapIndex],
  );
  const snapshot = useSyncExternalStore(store.subscribe, store.getSnapshot);
  const now = useNow(useMemo(() => () => store.airflow.now(), [store]));
  const zone = useZone();
  useEffect(() => {
    store.start();
    return () => store.stop();
  }, [store]);
  useSignIn(snapshot.phase);
  const { livestream } = snapshot;
  const of = livestream && assess(livestream, now);
  return h(
    "div",
    { className: "smartlive", "data-phase": snapshot.phase },
    h("style", null, STYLE),
    snapshot.error &&
      h("div", { className: "note", role: "alert" }, `${snapshot.error} It is asked again by itself.`),
    snapshot.phase === "loading" &&
      !snapshot.error &&
      h("div", { role: "status" }, h(Empty, { title: "Loading" })),
    snapshot.phase === "none" && h(Empty, { title: "This task starts no livestream" }),
    snapshot.phase === "forbidden" &&
      h(Empty, { title: "You may not see this" }, "Airflow does not let you read this task's XComs."),
    livestream &&
      of &&
      h(
        React.Fragment,
        null,
        h("div", { style: { margin: "0 0 14px" } }, h(StatusCell, { of })),
        h(Detail, { livestream, of, now, zone, linked: false }),
      ),
  );
}

Object.assign(globalThis, { Livestreams, Livestream: LivestreamTab });

export default Livestreams;
