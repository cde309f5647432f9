// The page "Livestreams": what is shown of which phase, and what stands around the lists.

import { Airflow } from "./airflow.js";
import { Ended } from "./ended.js";
import { Filtering } from "./filtering.js";
import { assess, readFilters, worstFirst } from "./livestreams.js";
import { Next } from "./next.js";
import { Now } from "./now.js";
import { LivestreamStore } from "./store.js";
import { STYLE } from "./style.js";
import { clock, dayRange } from "./times.js";
import { Empty, Icon, useNow, useQuery, useSignIn, useZone } from "./views.js";

/** @typedef {import("./livestreams.js").Livestream} Livestream */
/** @typedef {import("./livestreams.js").Assessment} Assessment */
/** @typedef {import("./livestreams.js").Filters} Filters */
/** @typedef {import("./store.js").Snapshot} Snapshot */
/** @typedef {Livestream & {of: Assessment}} Row */

const { React } = globalThis;
const { createElement: h, useEffect, useMemo, useRef, useState, useSyncExternalStore } = React;

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

/** @type {LivestreamStore | undefined} What is known stays known while Airflow's UI shows another page. */
let known;

function sharedStore() {
  known ??= new LivestreamStore(new Airflow());
  return known;
}

/** The page. */
export function Livestreams() {
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
