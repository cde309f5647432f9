// What the tab knows: one livestream of one task instance.

import { ACTIVE_STATES, readCallbacks, readJob, readSummary, readTask } from "./livestreams.js";
import {
  CALLBACKS_KEY,
  INTERVAL,
  JOB_KEY,
  OPERATOR,
  PAGE,
  RESULT_KEY,
  SELDOM,
  asProblem,
  backOff,
} from "./polling.js";

/** @typedef {import("./airflow.js").Airflow} Airflow */
/** @typedef {import("./livestreams.js").Livestream} Livestream */
/** @typedef {import("./store.js").Snapshot} Snapshot */

/** One livestream of one task instance: what the tab shows. */
export class TaskStore {
  /**
   * @param {Airflow} airflow
   * @param {{dagId: string, runId: string, taskId: string, mapIndex: number}} task
   */
  constructor(airflow, task) {
    this.airflow = airflow;
    this._task = task;
    /** @type {{phase: Snapshot["phase"] | "none", error: string, livestream: Livestream | null}} */
    this.snapshot = { phase: "loading", error: "", livestream: null };
    /** @type {Set<() => void>} */
    this._listeners = new Set();
    /** @type {Record<string, {at: string, value: unknown}>} */
    this._values = {};
    this._failures = 0;
    this._aborted = new AbortController();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
  }

  /** @param {() => void} listener @returns {() => void} */
  subscribe = (listener) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  getSnapshot = () => this.snapshot;

  start() {
    this._aborted = new AbortController();
    document.addEventListener("visibilitychange", this._onVisibility);
    void this._run();
  }

  stop() {
    document.removeEventListener("visibilitychange", this._onVisibility);
    clearTimeout(this._timer);
    this._aborted.abort();
  }

  _onVisibility = () => {
    clearTimeout(this._timer);
    if (!document.hidden) void this._run();
  };

  async _run() {
    const { signal } = this._aborted;
    let pause = INTERVAL;
    try {
      const livestream = await this._read(signal);
      this._failures = 0;
      this._publish({ phase: livestream ? "ready" : "none", error: "", livestream });
      if (livestream === null || !ACTIVE_STATES.includes(livestream.task.state)) pause = SELDOM;
    } catch (error) {
      if (signal.aborted) return;
      const problem = asProblem(error);
      if (problem.trouble === "signed out" || problem.trouble === "forbidden") {
        this._publish({ phase: problem.trouble, error: problem.message, livestream: null });
        return;
      }
      this._failures += 1;
      this._publish({ error: problem.message });
      pause = backOff(problem, this._failures);
    }
    clearTimeout(this._timer);
    if (!document.hidden) this._timer = setTimeout(() => void this._run(), pause);
  }

  /** @param {AbortSignal} signal @returns {Promise<Livestream | null>} null if the task starts none */
  async _read(signal) {
    const { dagId, runId, taskId, mapIndex } = this._task;
    const path = ["dags", dagId, "dagRuns", runId, "taskInstances", taskId];
    const answer = await this.airflow.get(
      [...path, "xcomEntries"],
      { map_index: mapIndex, limit: PAGE },
      signal,
    );
    const listed = new Map(
      answer["xcom_entries"].map((/** @type {any} */ entry) => [entry["key"], entry["timestamp"]]),
    );
    const task = readTask(await this.airflow.get(mapIndex < 0 ? path : [...path, mapIndex], {}, signal));
    const isStarter = task.operator === OPERATOR || listed.has(JOB_KEY) || listed.has(CALLBACKS_KEY);
    if (!isStarter) return null;
    for (const key of [JOB_KEY, CALLBACKS_KEY, RESULT_KEY]) {
      const at = listed.get(key);
      if (at === undefined) delete this._values[key];
      else if (this._values[key]?.at !== at) {
        const query = { map_index: mapIndex, deserialize: true };
        this._values[key] = {
          at,
          value: (await this.airflow.get([...path, "xcomEntries", key], query, signal))["value"],
        };
      }
    }
    const job = readJob(this._values[JOB_KEY]?.value);
    return {
      isRead: true,
      task,
      job,
      callbacks: readCallbacks(this._values[CALLBACKS_KEY]?.value, job?.jobId),
      summary: readSummary(this._values[RESULT_KEY]?.value),
    };
  }

  /** @param {Partial<TaskStore["snapshot"]>} changes */
  _publish(changes) {
    this.snapshot = { ...this.snapshot, ...changes };
    for (const listener of this._listeners) listener();
  }
}
