// What comes next: tasks that wait, and DAGs that run within 24 hours.

import { passes } from "./livestreams.js";
import { isRead } from "./store.js";
import { duration } from "./times.js";
import { Empty, Outside, Time, taskPath } from "./views.js";

/** @typedef {import("./livestreams.js").Filters} Filters */
/** @typedef {import("./store.js").Snapshot} Snapshot */
/** @typedef {import("./page.js").Shared} Shared */
/** @typedef {import("./page.js").Judged} Judged */

const { React, ReactRouterDOM } = globalThis;
const { createElement: h } = React;
const { Link } = ReactRouterDOM;

/** @param {{snapshot: Snapshot, judged: Judged, filters: Filters, shared: Shared}} props */
export function Next({ snapshot, judged, filters, shared: { now, zone } }) {
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
