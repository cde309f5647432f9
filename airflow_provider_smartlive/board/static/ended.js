// What has ended: planned and actual times, the outcome, and what told of the end.

import { passes } from "./livestreams.js";
import { isRead } from "./store.js";
import { clock, duration } from "./times.js";
import { Detail, Empty, Icon, Nothing, RoomCell, STATUS, Time, toldBy } from "./views.js";

/** @typedef {import("./page.js").Row} Row */
/** @typedef {import("./page.js").View} View */
/** @typedef {import("./page.js").Shared} Shared */

const { React } = globalThis;
const { createElement: h } = React;

/** @param {View} props */
export function Ended({ snapshot, judged, filters, change, store, shared }) {
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
