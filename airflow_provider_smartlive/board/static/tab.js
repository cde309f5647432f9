// The tab "Livestream" of a task instance.

import { Airflow } from "./airflow.js";
import { assess } from "./livestreams.js";
import { STYLE } from "./style.js";
import { TaskStore } from "./task_store.js";
import { Detail, Empty, StatusCell, useNow, useSignIn, useZone } from "./views.js";

const { React } = globalThis;
const { createElement: h, useEffect, useMemo, useSyncExternalStore } = React;

/**
 * The tab of a task instance.
 *
 * @param {{dagId: string, runId: string, taskId: string, mapIndex?: string}} props as Airflow's UI gives them
 */
export function LivestreamTab({ dagId, runId, taskId, mapIndex = "-1" }) {
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
