// The parts of the board that both its page and the tab of a task instance show.

import { stateSince } from "./livestreams.js";
import { timeline } from "./timeline.js";
import { clock, duration, fullTime, shortTime, zoneOffset } from "./times.js";

/** @typedef {import("./livestreams.js").Livestream} Livestream */
/** @typedef {import("./livestreams.js").Assessment} Assessment */
/** @typedef {import("./livestreams.js").Stream} Stream */
/** @typedef {import("./livestreams.js").Task} Task */
/** @typedef {"ok" | "warn" | "bad" | "busy" | "idle"} Tone */

const { React, ReactRouterDOM } = globalThis;
const { createElement: h, useCallback, useEffect, useMemo, useState } = React;

/** @type {Record<import("./livestreams.js").Status, {word: string, tone: Tone, shape: string}>} */
export const STATUS = {
  waiting: { word: "Waiting", tone: "idle", shape: "ring" },
  running: { word: "Running", tone: "idle", shape: "ring" },
  starting: { word: "Starting", tone: "busy", shape: "half" },
  connecting: { word: "Connecting", tone: "busy", shape: "half" },
  live: { word: "On the air", tone: "ok", shape: "dot" },
  interrupted: { word: "Interrupted", tone: "bad", shape: "alarm" },
  ending: { word: "Ending", tone: "idle", shape: "square" },
  retrying: { word: "Retrying", tone: "bad", shape: "alarm" },
  succeeded: { word: "Succeeded", tone: "ok", shape: "check" },
  failed: { word: "Failed", tone: "bad", shape: "cross" },
  skipped: { word: "Skipped", tone: "idle", shape: "dash" },
  "not started": { word: "Not started", tone: "bad", shape: "dash" },
  over: { word: "Over", tone: "idle", shape: "square" },
};

/** @type {Record<string, {word: string, tone: Tone, shape: string}>} */
const STREAM = {
  CONNECTING: { word: "Connecting", tone: "busy", shape: "half" },
  CONNECTED: { word: "Connected", tone: "ok", shape: "dot" },
  DISCONNECTED: { word: "Disconnected", tone: "bad", shape: "alarm" },
  RECONNECTING: { word: "Reconnecting", tone: "bad", shape: "alarm" },
  END: { word: "Ended", tone: "idle", shape: "square" },
};

/** @param {string} state @returns {{word: string, tone: Tone, shape: string}} */
export function streamLook(state) {
  return STREAM[state] ?? { word: state, tone: "warn", shape: "ring" };
}

/** @type {Record<string, [string, Record<string, unknown>]>} Shapes differ, not only colours. */
const SHAPES = {
  dot: ["circle", { cx: 7, cy: 7, r: 5, fill: "currentColor" }],
  ring: ["circle", { cx: 7, cy: 7, r: 4.5, fill: "none", stroke: "currentColor", strokeWidth: 2 }],
  half: [
    "path",
    {
      d: "M7 1.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11zM7 3.3v7.4a3.7 3.7 0 0 1 0-7.4z",
      fill: "currentColor",
      fillRule: "evenodd",
    },
  ],
  alarm: [
    "path",
    { d: "M7 .8 13.6 13H.4zM6.2 5h1.6v4H6.2zm0 5h1.6v1.5H6.2z", fill: "currentColor", fillRule: "evenodd" },
  ],
  square: ["rect", { x: 2.5, y: 2.5, width: 9, height: 9, rx: 1.5, fill: "currentColor" }],
  check: ["path", { d: "m2 7.5 3.3 3.3L12 4", fill: "none", stroke: "currentColor", strokeWidth: 2 }],
  cross: ["path", { d: "m3 3 8 8m0-8-8 8", fill: "none", stroke: "currentColor", strokeWidth: 2 }],
  dash: ["path", { d: "M2.5 7h9", stroke: "currentColor", strokeWidth: 2 }],
};

/** @param {{shape: string, tone: Tone}} props */
export function Icon({ shape, tone }) {
  const [tag, attributes] = SHAPES[shape] ?? ["g", {}];
  return h(
    "svg",
    { className: `icon tone-${tone}`, viewBox: "0 0 14 14", "aria-hidden": true },
    h(tag, attributes),
  );
}

/**
 * A text that came from outside: set as text, cut by the layout, and kept from turning the direction of what follows.
 *
 * @param {{children: string, className?: string}} props
 */
export function Outside({ children, className = "" }) {
  return h(
    "bdi",
    { className: `outside ${className}`, title: children, style: { display: "block" } },
    children,
  );
}

/**
 * The query of the page's URL, without the router: with it each letter of a search would render all of Airflow's
 * page anew, and with it this bundle from its beginning.
 *
 * @returns {[URLSearchParams, (change: (parameters: URLSearchParams) => void) => void]}
 */
export function useQuery() {
  const [query, setQuery] = useState(location.search);
  useEffect(() => {
    const update = () => setQuery(location.search);
    globalThis.addEventListener("popstate", update);
    return () => globalThis.removeEventListener("popstate", update);
  }, []);
  const parameters = useMemo(() => new URLSearchParams(query), [query]);
  const change = useCallback((/** @type {(parameters: URLSearchParams) => void} */ edit) => {
    const after = new URLSearchParams(location.search);
    edit(after);
    const url = new URL(location.href);
    url.search = after.toString();
    // The router's own state stays, so that going back works.
    history.replaceState(history.state, "", url);
    setQuery(url.search);
  }, []);
  return [parameters, change];
}

/** @returns {string} the zone that is chosen in Airflow's UI, which keeps it in the browser */
export function useZone() {
  const [zone, setZone] = useState(readZone);
  useEffect(() => {
    const update = () => setZone(readZone());
    globalThis.addEventListener("storage", update);
    globalThis.addEventListener("local-storage", update);
    return () => {
      globalThis.removeEventListener("storage", update);
      globalThis.removeEventListener("local-storage", update);
    };
  }, []);
  return zone;
}

function readZone() {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  try {
    const chosen = JSON.parse(localStorage.getItem("timezone") ?? "null");
    if (typeof chosen !== "string") return own;
    // Throws for a zone that this browser does not know.
    return new Intl.DateTimeFormat("en", { timeZone: chosen }).resolvedOptions().timeZone;
  } catch {
    return own;
  }
}

/** @param {() => number} clockOfServer @returns {number} the time, anew each second while the page is seen */
export function useNow(clockOfServer) {
  const [now, setNow] = useState(clockOfServer);
  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) setNow(clockOfServer());
    }, 1000);
    return () => clearInterval(timer);
  }, [clockOfServer]);
  return now;
}

/** @param {Task} task @returns {string} the task instance's page in Airflow's UI */
export function taskPath(task) {
  const [dag, run, id] = [task.dagId, task.runId, task.taskId].map(encodeURIComponent);
  return `/dags/${dag}/runs/${run}/tasks/${id}${task.mapIndex >= 0 ? `/mapped/${task.mapIndex}` : ""}`;
}

/** @param {{at: number | null, zone: string, now: number}} props */
export function Time({ at, zone, now }) {
  if (at === null) return h("span", { className: "quiet" }, "–");
  return h(
    "time",
    { dateTime: new Date(at).toISOString(), title: `${fullTime(at, zone)} ${zone}` },
    shortTime(at, zone, now),
  );
}

/** @param {{of: Assessment}} props */
export function StatusCell({ of }) {
  const look = STATUS[of.status];
  const remark = of.remarks.map((one) => one.text).join("; ");
  const tone = of.severity === 2 ? "bad" : of.severity === 1 ? "warn" : "idle";
  const isAlarming = of.severity > 0 && look.shape !== "alarm";
  return h(
    "div",
    { className: "status" },
    h(Icon, isAlarming ? { shape: "alarm", tone } : look),
    h(
      "span",
      { className: `word ${of.severity === 2 ? "tone-bad" : look.tone === "idle" ? "quiet" : ""}` },
      look.word,
    ),
    remark && h("span", { className: `remark tone-${tone}`, title: remark }, remark),
  );
}

/** @param {{stream: Stream, now: number}} props */
export function StreamChip({ stream, now }) {
  const look = streamLook(stream.state);
  const since = stateSince(stream);
  return h(
    "span",
    { className: "chip", title: stream.label },
    h(Icon, look),
    h("span", { className: `outside ${look.tone === "bad" ? "tone-bad" : ""}` }, look.word),
    since !== null &&
      stream.state !== "END" &&
      h("span", { className: "quiet number" }, duration(now - since)),
  );
}

/** @param {{children: any, x: number, width: number, y: number, height: number, className: string}} props */
function Bar({ x, width, y, height, className, children }) {
  return h(
    "rect",
    {
      className,
      x: `${(x * 100).toFixed(3)}%`,
      width: `max(1.5px, ${(width * 100).toFixed(3)}%)`,
      y,
      height,
      rx: 2,
    },
    children,
  );
}

/** @param {{livestream: Livestream, of: Assessment, now: number}} props The timeline in one line, for a row. */
export function MiniTimeline({ livestream, of, now }) {
  const drawn = timeline(livestream, of, now);
  if (drawn === null) return null;
  const [lane] = drawn.lanes;
  return h(
    "svg",
    { className: "mini", "aria-hidden": true },
    drawn.planned && h(Bar, { ...drawn.planned, y: 1.5, height: 11, className: "planned", children: null }),
    lane?.segments.map((segment) =>
      h(Bar, {
        ...segment,
        key: segment.from,
        y: 3.5,
        height: 7,
        className: `seg-${streamLook(segment.state).tone}`,
        children: null,
      }),
    ),
  );
}

const LANE = 22;
const TOP = 16;

/** @param {{livestream: Livestream, of: Assessment, now: number, zone: string}} props */
export function TimelineView({ livestream, of, now, zone }) {
  const drawn = timeline(livestream, of, now, { offset: zoneOffset(zone, now) });
  if (drawn === null) return h("p", { className: "quiet" }, "Nothing has a time yet.");
  const height = TOP + Math.max(1, drawn.lanes.length) * LANE + 22;
  const bottom = height - 20;
  const percent = (/** @type {number} */ x) => `${(x * 100).toFixed(3)}%`;
  return h(
    "figure",
    null,
    h(
      "svg",
      { className: "timeline", height, role: "img", "aria-label": describe(of, now, zone) },
      drawn.planned &&
        h(Bar, { ...drawn.planned, y: TOP - 2, height: bottom - TOP, className: "planned", children: null }),
      drawn.ticks.map(({ at, x }) =>
        h(
          React.Fragment,
          { key: at },
          h("line", { className: "grid-line", x1: percent(x), x2: percent(x), y1: TOP - 4, y2: bottom }),
          h(
            "text",
            { x: percent(x), y: height - 6, textAnchor: x > 0.97 ? "end" : x < 0.03 ? "start" : "middle" },
            tickText(at, zone, drawn),
          ),
        ),
      ),
      drawn.lanes.map((lane, index) =>
        lane.segments.map((segment) =>
          h(Bar, {
            ...segment,
            key: `${index} ${segment.from} ${segment.state}`,
            y: TOP + index * LANE + 2,
            height: LANE - 8,
            className: `seg-${streamLook(segment.state).tone}`,
            children: h(
              "title",
              null,
              `${streamLook(segment.state).word}, ${clock(segment.from, zone)}, ${duration(segment.to - segment.from)}`,
            ),
          }),
        ),
      ),
      drawn.marks.map((mark, index) =>
        h(
          "svg",
          { key: index, x: percent(mark.x), y: 2, overflow: "visible" },
          mark.kind === "script"
            ? h(
                "path",
                { className: "mark-script", d: "M-4 0h8l-4 8z" },
                h("title", null, `${mark.text}, ${clock(mark.at, zone)}`),
              )
            : h(
                "circle",
                { className: "mark-reconnect", cy: 5, r: 3.5 },
                h("title", null, `${mark.text}, ${clock(mark.at, zone)}`),
              ),
        ),
      ),
      drawn.nowX !== null &&
        h("line", {
          className: "now-line",
          x1: percent(drawn.nowX),
          x2: percent(drawn.nowX),
          y1: TOP - 6,
          y2: bottom + 2,
        }),
    ),
    h(Legend, {
      hasScripts: drawn.marks.some((mark) => mark.kind === "script"),
      hasPlan: drawn.planned !== null,
    }),
  );
}

/** @param {number} at @param {string} zone @param {{from: number, to: number}} range */
function tickText(at, zone, { from, to }) {
  const time = clock(at, zone);
  return to - from < 6 * 60_000 ? time : time.slice(0, 5);
}

/** @param {{hasScripts: boolean, hasPlan: boolean}} props */
function Legend({ hasScripts, hasPlan }) {
  const box = (/** @type {string} */ className) =>
    h("rect", { className, x: 1, y: 1, width: 12, height: 9, rx: 2 });
  const entry = (/** @type {any} */ shape, /** @type {string} */ words) =>
    h("span", null, h("svg", { viewBox: "0 0 14 12" }, shape), words);
  return h(
    "figcaption",
    { className: "legend" },
    entry(box("seg-busy"), "connecting"),
    entry(box("seg-ok"), "connected"),
    entry(box("seg-bad"), "interrupted"),
    entry(h("circle", { className: "mark-reconnect", cx: 7, cy: 6, r: 3.5 }), "reconnect"),
    hasScripts && entry(h("path", { className: "mark-script", d: "M3 2h8l-4 8z" }), "script switch"),
    hasPlan && entry(box("planned"), "planned"),
  );
}

/** @param {Assessment} of @param {number} now @param {string} zone @returns {string} the timeline in words */
function describe(of, now, zone) {
  const words = [`Timeline of ${of.title}: ${STATUS[of.status].word}`];
  if (of.onAirSince !== null)
    words.push(
      `on the air since ${clock(of.onAirSince, zone)}, for ${duration((of.onAirUntil ?? now) - of.onAirSince)}`,
    );
  if (of.reconnects) words.push(`${of.reconnects} reconnects`);
  if (of.plannedEnd !== null) words.push(`planned until ${clock(of.plannedEnd, zone)}`);
  return `${words.join(", ")}.`;
}

/** @param {{livestream: Livestream, of: Assessment, now: number, zone: string, linked?: boolean}} props */
export function Detail({ livestream, of, now, zone, linked = true }) {
  const { task } = livestream;
  const facts = factsOf(livestream, of, now, zone);
  if (linked)
    facts.push(["Task", h(ReactRouterDOM.Link, { to: taskPath(task) }, `${task.dagId} / ${task.taskId}`)]);
  const entries = facts.map(([name, value], index) =>
    h(React.Fragment, { key: index }, h("dt", null, name), h("dd", null, h("bdi", null, value))),
  );
  return h(
    "div",
    { className: "detail-grid" },
    h("div", null, h(TimelineView, { livestream, of, now, zone }), h(Events, { of, zone })),
    h("dl", null, entries),
  );
}

/**
 * @param {Livestream} livestream
 * @param {Assessment} of
 * @param {number} now
 * @param {string} zone
 * @returns {[string, any][]} names and values
 */
function factsOf({ job, callbacks, summary }, of, now, zone) {
  const outputs = job?.outputs ?? of.streams.map((stream) => stream.label);
  /** @type {[string, any][]} */
  const facts = [
    ["Room", of.title === of.roomId ? of.roomId : `${of.title} (${of.roomId || "id not known"})`],
    ["Job", job?.jobId || callbacks?.jobId || "not known yet"],
    ["Planned", span(of.plannedStart, of.plannedEnd, zone, now)],
    ["On the air", span(of.onAirSince, of.onAirUntil, zone, now)],
    ["Outputs", outputs.join(", ") || "those of the room"],
  ];
  if (job?.connId) facts.push(["Connection", job.connId]);
  if (job?.origin) facts.push(["Job came by", job.origin]);
  if (summary) facts.push(["Outcome", summary.outcome], ["End told by", toldBy(summary.toldBy)]);
  for (const one of of.remarks) facts.push(["Note", one.text]);
  return facts;
}

/** @param {number | null} from @param {number | null} to @param {string} zone @param {number} now */
function span(from, to, zone, now) {
  if (from === null && to === null) return "–";
  return `${from === null ? "?" : shortTime(from, zone, now)} – ${to === null ? "" : shortTime(to, zone, now)}`;
}

/** @param {string} source @returns {string} */
export function toldBy(source) {
  return { callback: "callback", reconciliation: "asking MetaStudio" }[source] ?? (source || "–");
}

/** @param {{of: Assessment, zone: string}} props What the timeline shows, as a list. */
function Events({ of, zone }) {
  const many = of.streams.length > 1;
  const events = of.streams
    .flatMap((stream, index) =>
      stream.transitions.map(([state, at]) => ({ state, at, where: many ? `output ${index + 1}` : "" })),
    )
    .sort((one, other) => one.at - other.at);
  if (events.length === 0) return null;
  return h(
    "ol",
    { className: "events", "aria-label": "What was called back" },
    events.map(({ state, at, where }, index) => {
      const look = streamLook(state);
      return h(
        "li",
        { key: index },
        h("span", { className: "number quiet" }, clock(at, zone)),
        h(Icon, look),
        h("bdi", { className: "outside" }, look.word),
        where && h("span", { className: "quiet" }, where),
      );
    }),
  );
}

/** @param {{title: string, children?: any}} props */
export function Empty({ title, children }) {
  return h("div", { className: "empty" }, h("b", null, title), children);
}

export function Nothing() {
  return h(
    "span",
    { className: "quiet" },
    h("span", { "aria-hidden": true }, "–"),
    h("span", { className: "unseen" }, "not known"),
  );
}

/** @param {{row: Livestream & {of: Assessment}, isOpen: boolean, toggle: (key: string) => void}} props */
export function RoomCell({ row, isOpen, toggle }) {
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
      ReactRouterDOM.Link,
      { to: taskPath(task), className: "name", style: { textDecoration: "none", minWidth: 0 } },
      h(Outside, null, of.title),
    ),
    h(
      ReactRouterDOM.Link,
      {
        to: `/dags/${encodeURIComponent(task.dagId)}`,
        className: "small quiet",
        style: { textDecoration: "none", minWidth: 0 },
      },
      h(Outside, null, task.dagName),
    ),
  );
}

/** Go where Airflow's own pages go when the session has ended. @param {string} phase */
export function useSignIn(phase) {
  useEffect(() => {
    if (phase !== "signed out") return;
    const login = new URL("api/v2/auth/login", document.baseURI);
    login.searchParams.set("next", location.href);
    location.replace(login);
  }, [phase]);
}
