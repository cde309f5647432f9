// What is live now: one row for each livestream that is starting, on the air or ending.

import { assess, passes } from "./livestreams.js";
import { duration, stopwatch } from "./times.js";
import {
  Detail,
  Empty,
  MiniTimeline,
  Nothing,
  Outside,
  RoomCell,
  StatusCell,
  StreamChip,
  Time,
} from "./views.js";

/** @typedef {import("./livestreams.js").Assessment} Assessment */
/** @typedef {import("./page.js").Row} Row */
/** @typedef {import("./page.js").View} View */
/** @typedef {import("./page.js").Shared} Shared */

const { React } = globalThis;
const { createElement: h, useEffect, useMemo } = React;

/** Rows on one page of the table: more do not fit into anybody's view. */
const ROWS = 50;

/** @param {Omit<View, "snapshot"> & {page: string}} props */
export function Now({ judged, filters, page, change, store, shared }) {
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
