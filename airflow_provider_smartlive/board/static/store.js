// What the page knows, and how it keeps up: polling of Airflow's API. No view, no React.

import { AirflowError } from "./airflow.js";
import {
  ACTIVE_STATES,
  ENDED_STATES,
  keyOf,
  readCallbacks,
  readJob,
  readSummary,
  readTask,
} from "./livestreams.js";
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
import { DAY, HOUR, SECOND, instant } from "./times.js";

/** @typedef {import("./airflow.js").Airflow} Airflow */
/** @typedef {import("./livestreams.js").Task} Task */
/** @typedef {import("./livestreams.js").Livestream} Livestream */
/** @typedef {import("./livestreams.js").Job} Job */
/** @typedef {import("./livestreams.js").Callbacks} Callbacks */
/** @typedef {import("./livestreams.js").Summary} Summary */

/** XCom values that one poll reads at most: for rows on the screen or with news, and in the background. */
const VALUES = 120;
const BACKGROUND_VALUES = 40;

/** How often an active row without a `smartlive_job` is looked after: about two minutes, as it comes with the start. */
const JOB_LOOKS = 24;

/** Ended rows that are read at first, and the age up to which they are shown without a date. */
const ENDED_PAGE = 10;
const ENDED_AGE = DAY;

/** Overlap of "changed since", for transactions that take their time. */
const OVERLAP = 20 * SECOND;

/** Of every DAG and run. */
const ALL_TASKS = ["dags", "~", "dagRuns", "~", "taskInstances"];
const ALL_XCOMS = [...ALL_TASKS, "~", "xcomEntries"];

/**
 * @typedef {object} Details What XComs say about a row.
 * @property {Job | null} job
 * @property {unknown} table as read; which of its jobs counts depends on the job
 * @property {Callbacks | null} callbacks
 * @property {Summary | null} summary
 * @property {Record<string, number>} listed when Airflow says that each XCom was written
 * @property {Record<string, number>} read the same, of the value that is here
 * @property {number} jobLooks
 * @property {boolean} isRead whether enough was read to judge the row
 *
 * @typedef {{dagId: string, dagName: string, at: number}} Planned
 *
 * @typedef {object} Snapshot
 * @property {"loading" | "ready" | "forbidden" | "signed out"} phase
 * @property {string} error what is wrong at the moment; empty if nothing is
 * @property {boolean} withoutXComs the user may see tasks, but not their XComs
 * @property {number | null} updatedAt
 * @property {number} nextAt when the next poll is
 * @property {number} polls so far
 * @property {number} requests of the last poll
 * @property {Livestream[]} active
 * @property {Livestream[]} ended
 * @property {number} endedTotal
 * @property {Planned[]} planned
 */

export class LivestreamStore {
  /** @param {Airflow} airflow */
  constructor(airflow) {
    this.airflow = airflow;
    /** @type {Map<string, Task>} */
    this._active = new Map();
    /** @type {Task[]} */
    this._ended = [];
    this._endedTotal = 0;
    this._endedPage = ENDED_PAGE;
    /** @type {{from: number, to: number} | null} whose ended livestreams are shown; null: the last 24 hours */
    this._day = null;
    this._isRunning = false;
    /** @type {Map<string, Details>} */
    this._details = new Map();
    /** @type {Map<string, string>} names of rooms by their ids: only what has ended has told them */
    this._roomNames = new Map();
    /** @type {Planned[]} */
    this._planned = [];
    /** @type {Map<string, boolean>} whether a DAG has a task that starts livestreams */
    this._hasStarter = new Map();
    this._operators = new Set([OPERATOR]);
    /** @type {Set<string>} tasks whose operator was looked up */
    this._lookedUp = new Set();
    /** @type {Set<string>} keys of the rows on the screen */
    this._visible = new Set();
    this._cycle = { page: 0, seen: new Set() };
    this._askedAt = 0;
    this._endedAt = 0;
    this._plannedAt = 0;
    this._failures = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._timer = undefined;
    /** @type {AbortController | null} */
    this._polling = null;
    /** @type {Set<() => void>} */
    this._listeners = new Set();
    /** @type {Snapshot} */
    this.snapshot = {
      phase: "loading",
      error: "",
      withoutXComs: false,
      updatedAt: null,
      nextAt: 0,
      polls: 0,
      requests: 0,
      active: [],
      ended: [],
      endedTotal: 0,
      planned: [],
    };
  }

  /** @param {() => void} listener @returns {() => void} */
  subscribe = (listener) => {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  };

  getSnapshot = () => this.snapshot;

  /** Poll now, and go on until {@link stop}. */
  start() {
    this._isRunning = true;
    document.addEventListener("visibilitychange", this._onVisibility);
    this._schedule(0);
  }

  stop() {
    this._isRunning = false;
    document.removeEventListener("visibilitychange", this._onVisibility);
    clearTimeout(this._timer);
    this._polling?.abort();
    this._polling = null;
  }

  /** Poll now, whatever the back-off says. */
  refresh() {
    if (this._isRunning && this._polling === null) this._schedule(0);
  }

  /** @param {Iterable<string>} keys of the rows on the screen: their values are read first */
  show(keys) {
    const before = this._visible;
    this._visible = new Set(keys);
    if ([...this._visible].some((key) => !before.has(key) && this._wanted(key).length)) this.refresh();
  }

  /** @param {{from: number, to: number} | null} day */
  showDay(day) {
    if (day?.from === this._day?.from) return;
    this._day = day;
    this._endedPage = ENDED_PAGE;
    this._endedAt = 0;
    this.refresh();
  }

  showMoreEnded() {
    this._endedPage = Math.min(PAGE, this._endedPage + 25);
    this._endedAt = 0;
    this.refresh();
  }

  _onVisibility = () => {
    if (document.hidden) clearTimeout(this._timer);
    else this.refresh();
  };

  /** @param {number} pause */
  _schedule(pause) {
    clearTimeout(this._timer);
    if (pause) this._publish({ nextAt: Date.now() + pause });
    if (document.hidden && pause) return;
    this._timer = setTimeout(() => void this._run(), pause);
  }

  async _run() {
    const polling = new AbortController();
    this._polling = polling;
    const before = this.airflow.requests;
    let pause = INTERVAL;
    try {
      await this._poll(polling.signal);
      this._failures = 0;
    } catch (error) {
      if (polling.signal.aborted) return;
      pause = this._failed(error);
    }
    this._polling = null;
    this._publish({ requests: this.airflow.requests - before, polls: this.snapshot.polls + 1 });
    if (pause !== Infinity) this._schedule(pause);
  }

  /** @param {unknown} error @returns {number} the pause */
  _failed(error) {
    const problem = asProblem(error);
    if (problem.trouble === "signed out" || problem.trouble === "forbidden") {
      this._active.clear();
      this._ended = [];
      this._planned = [];
      this._publish({ phase: problem.trouble, error: problem.message });
      return Infinity;
    }
    this._failures += 1;
    this._publish({ error: problem.message });
    return backOff(problem, this._failures);
  }

  /** @param {AbortSignal} signal */
  async _poll(signal) {
    const left = await this._readActive(signal);
    const now = this.airflow.now();
    if (left || now - this._endedAt > SELDOM) await this._readEnded(signal);
    if (!this.snapshot.withoutXComs) await this._readXComs(signal);
    if (now - this._plannedAt > SELDOM) await this._readPlanned(signal);
    this._forget();
  }

  /**
   * Read which tasks are active: all of them if one page holds them, else those that changed and one page in turn.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether any has left
   */
  async _readActive(signal) {
    const query = { operator: [...this._operators], state: ACTIVE_STATES, order_by: "-id", limit: PAGE };
    const asked = this.airflow.now();
    const isFirst = this.snapshot.updatedAt === null;
    const { page } = this._cycle;
    const answer = await this.airflow.get(ALL_TASKS, { ...query, offset: page * PAGE }, signal);
    const total = Number(answer["total_entries"]);
    this._take(answer, this._cycle.seen);
    this._publish({ phase: "ready", error: "", updatedAt: this.airflow.now() });
    const pages = Math.max(1, Math.ceil(total / PAGE));
    if (isFirst) {
      for (let next = 1; next < pages; next += 1) {
        const more = await this.airflow.get(ALL_TASKS, { ...query, offset: next * PAGE }, signal);
        this._take(more, this._cycle.seen);
        this._publish({ updatedAt: this.airflow.now() });
      }
    } else if (pages > 1) {
      const since = new Date(this._askedAt - OVERLAP).toISOString();
      this._take(
        await this.airflow.get(ALL_TASKS, { ...query, updated_at_gte: since }, signal),
        this._cycle.seen,
      );
    }
    this._askedAt = asked;
    const isComplete = isFirst || page + 1 >= pages;
    this._cycle.page = isComplete ? 0 : page + 1;
    return isComplete && this._dropLeft();
  }

  /** @returns {boolean} */
  _dropLeft() {
    const left = [...this._active.keys()].filter((key) => !this._cycle.seen.has(key));
    for (const key of left) this._active.delete(key);
    this._cycle.seen = new Set();
    return left.length > 0;
  }

  /** @param {Record<string, any>} answer @param {Set<string>} seen */
  _take(answer, seen) {
    for (const item of answer["task_instances"]) {
      const task = readTask(item);
      seen.add(task.key);
      const before = this._active.get(task.key);
      if (before !== undefined && before.tryNumber !== task.tryNumber) this._details.delete(task.key);
      if (before?.state !== task.state) this._detailsOf(task.key).jobLooks = 0;
      this._active.set(task.key, task);
    }
  }

  /** @param {AbortSignal} signal */
  async _readEnded(signal) {
    const now = this.airflow.now();
    const from = this._day ? this._day.from : now - ENDED_AGE;
    const answer = await this.airflow.get(
      ALL_TASKS,
      {
        operator: [...this._operators],
        state: ENDED_STATES,
        run_after_gte: new Date(from).toISOString(),
        run_after_lt: this._day ? new Date(this._day.to).toISOString() : undefined,
        order_by: "-end_date",
        limit: this._endedPage,
      },
      signal,
    );
    this._ended = answer["task_instances"]
      .map(readTask)
      .filter((/** @type {Task} */ { key }) => !this._active.has(key));
    for (const { key } of this._ended) this._detailsOf(key);
    this._endedTotal = Number(answer["total_entries"]);
    this._endedAt = now;
    this._publish({});
  }

  /** @param {AbortSignal} signal */
  async _readXComs(signal) {
    try {
      await this._listXComs(CALLBACKS_KEY, signal);
      if (this._lookForJobs()) await this._listXComs(JOB_KEY, signal);
      await this._readValues(signal);
    } catch (error) {
      if (!(error instanceof AirflowError && error.trouble === "forbidden")) throw error;
      this._publish({ withoutXComs: true });
    }
  }

  /** @returns {boolean} whether a row may have got a `smartlive_job` */
  _lookForJobs() {
    let wanted = false;
    for (const task of [...this._active.values(), ...this._ended]) {
      const details = this._detailsOf(task.key);
      const mayHave =
        task.state === "running" || task.state === "deferred" || ENDED_STATES.includes(task.state);
      if (!mayHave || details.listed[JOB_KEY] || details.jobLooks >= JOB_LOOKS) continue;
      details.jobLooks += ENDED_STATES.includes(task.state) ? JOB_LOOKS : 1;
      wanted = true;
    }
    return wanted;
  }

  /**
   * Read which XComs of a key there are and when each was written, the newest first, until nothing is new.
   *
   * @param {string} xcomKey
   * @param {AbortSignal} signal
   */
  async _listXComs(xcomKey, signal) {
    const tasks = [...this._active.values(), ...this._ended];
    const since = tasks.reduce((at, task) => Math.min(at, task.runAfter ?? at), this.airflow.now() - HOUR);
    // A few more than there are rows on a small board, so that a poll of twenty rooms stays small.
    const limit = Math.min(PAGE, tasks.length + 20);
    for (let offset = 0; offset < 20 * PAGE; offset += limit) {
      const answer = await this.airflow.get(
        ALL_XCOMS,
        {
          xcom_key: xcomKey,
          run_after_gte: new Date(since).toISOString(),
          order_by: "-timestamp",
          limit,
          offset,
        },
        signal,
      );
      const entries = answer["xcom_entries"];
      const { news, strangers } = this._note(xcomKey, entries);
      for (const stranger of strangers) await this._lookUp(stranger, signal);
      if (!news || offset + entries.length >= Number(answer["total_entries"])) break;
    }
  }

  /**
   * @param {string} xcomKey
   * @param {Record<string, any>[]} entries
   */
  _note(xcomKey, entries) {
    let news = false;
    const strangers = [];
    for (const entry of entries) {
      const key = keyOf(entry);
      const at = instant(entry["timestamp"]) ?? 0;
      const details = this._details.get(key);
      if (details === undefined) {
        const task = JSON.stringify([entry["dag_id"], entry["task_id"]]);
        if (!this._lookedUp.has(task) && strangers.length < 8) strangers.push(entry);
        this._lookedUp.add(task);
      } else if ((details.listed[xcomKey] ?? 0) !== at) {
        details.listed[xcomKey] = at;
        news = true;
      }
    }
    return { news, strangers };
  }

  /**
   * Learn the operator of a task that has our XCom and is in no answer: it may be a subclass of ours.
   *
   * @param {Record<string, any>} entry
   * @param {AbortSignal} signal
   */
  async _lookUp(entry, signal) {
    const path = ["dags", entry["dag_id"], "dagRuns", entry["run_id"], "taskInstances"];
    /** @type {Task | undefined} */
    let task;
    try {
      const answer = await this.airflow.get(path, { task_id: entry["task_id"], limit: 1 }, signal);
      [task] = answer["task_instances"].map(readTask);
    } catch (error) {
      if (!(error instanceof AirflowError && error.trouble === "missing")) throw error;
    }
    if (task?.operator && !this._operators.has(task.operator) && this._operators.size < 20) {
      this._operators.add(task.operator);
      this._endedAt = 0;
    }
  }

  /** @param {AbortSignal} signal */
  async _readValues(signal) {
    const isWanted = (/** @type {string} */ key) => this._wanted(key).length > 0;
    const keys = [...this._active.keys(), ...this._ended.map((task) => task.key)].filter(isWanted);
    const urgent = keys.filter((key) => this._visible.has(key) || this._hasNews(key));
    const others = keys.filter((key) => !this._visible.has(key) && !this._hasNews(key));
    const reads = urgent
      .flatMap((key) => this._wanted(key).map((xcomKey) => ({ key, xcomKey })))
      .slice(0, VALUES);
    const background = others.flatMap((key) => this._wanted(key).map((xcomKey) => ({ key, xcomKey })));
    // The tables first: they tell who is in trouble.
    background.sort(
      (one, other) => Number(other.xcomKey === CALLBACKS_KEY) - Number(one.xcomKey === CALLBACKS_KEY),
    );
    reads.push(...background.slice(0, BACKGROUND_VALUES));
    let published = performance.now();
    await Promise.all(
      reads.map(async ({ key, xcomKey }) => {
        await this._readValue(key, xcomKey, signal);
        if (performance.now() - published > 250) {
          published = performance.now();
          this._publish({});
        }
      }),
    );
    for (const { key } of [...this._active.values(), ...this._ended]) this._judgeRead(key);
    this._publish({});
  }

  /**
   * Tell whether enough was read of a row to judge it: the table, or that there is none and what was asked for.
   *
   * @param {string} key
   */
  _judgeRead(key) {
    const wanted = this._wanted(key);
    const details = this._detailsOf(key);
    const hasTable = details.table !== null && !wanted.includes(CALLBACKS_KEY);
    details.isRead ||= hasTable || wanted.length === 0;
  }

  /** @param {string} key @returns {boolean} whether a value changed that was read before */
  _hasNews(key) {
    return Object.keys(this._details.get(key)?.read ?? {}).length > 0;
  }

  /** @param {string} key @returns {string[]} the XComs whose values are to be read */
  _wanted(key) {
    const details = this._details.get(key);
    if (details === undefined) return [];
    const task = this._active.get(key) ?? this._ended.find((one) => one.key === key);
    if (task === undefined) return [];
    const changed = Object.entries(details.listed).filter(([xcomKey, at]) => details.read[xcomKey] !== at);
    const wanted = changed.map(([xcomKey]) => xcomKey);
    if (task.state === "success" && !(RESULT_KEY in details.read)) wanted.push(RESULT_KEY);
    return wanted;
  }

  /**
   * @param {string} key
   * @param {string} xcomKey
   * @param {AbortSignal} signal
   */
  async _readValue(key, xcomKey, signal) {
    const [dagId, runId, taskId, mapIndex] = JSON.parse(key);
    const path = ["dags", dagId, "dagRuns", runId, "taskInstances", taskId, "xcomEntries", xcomKey];
    const at = this._details.get(key)?.listed[xcomKey] ?? 0;
    /** @type {unknown} */
    let value = null;
    try {
      value = (await this.airflow.get(path, { map_index: mapIndex, deserialize: true }, signal))["value"];
    } catch (error) {
      // Deleted since it was listed: a new try has begun.
      if (!(error instanceof AirflowError && error.trouble === "missing")) throw error;
    }
    const details = this._detailsOf(key);
    details.read[xcomKey] = at;
    if (xcomKey === JOB_KEY) details.job = readJob(value);
    if (xcomKey === RESULT_KEY) details.summary = readSummary(value);
    if (details.summary?.roomName) this._roomNames.set(details.summary.roomId, details.summary.roomName);
    if (xcomKey === CALLBACKS_KEY) details.table = value;
    details.callbacks = readCallbacks(details.table, details.job?.jobId);
    this._judgeRead(key);
  }

  /**
   * Read which DAGs start livestreams within 24 hours: of those with the tag `smartlive`, and those on the page.
   *
   * @param {AbortSignal} signal
   */
  async _readPlanned(signal) {
    const now = this.airflow.now();
    const query = { tags: ["smartlive"], paused: false, limit: PAGE };
    const answer = await this.airflow.get(["dags"], query, signal);
    const dags = new Map(answer["dags"].map((/** @type {any} */ dag) => [dag["dag_id"], dag]));
    const known = new Set([...this._active.values(), ...this._ended].map((task) => task.dagId));
    for (const dagId of [...known].filter((id) => !dags.has(id)).slice(0, 8)) {
      try {
        dags.set(dagId, await this.airflow.get(["dags", dagId], {}, signal));
      } catch (error) {
        if (
          !(error instanceof AirflowError && (error.trouble === "missing" || error.trouble === "forbidden"))
        )
          throw error;
      }
    }
    /** @type {Planned[]} */
    const planned = [];
    for (const [dagId, dag] of dags) {
      const at = instant(dag["next_dagrun_run_after"]);
      if (dag["is_paused"] || at === null || at < now - HOUR || at > now + DAY) continue;
      if (!known.has(dagId) && !(await this._startsLivestreams(dagId, signal))) continue;
      planned.push({
        dagId,
        dagName: readTask({ dag_id: dagId, dag_display_name: dag["dag_display_name"] }).dagName,
        at,
      });
    }
    this._planned = planned.sort((one, other) => one.at - other.at);
    this._plannedAt = now;
    this._publish({});
  }

  /**
   * @param {string} dagId
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>}
   */
  async _startsLivestreams(dagId, signal) {
    let found = this._hasStarter.get(dagId);
    if (found === undefined) {
      try {
        const answer = await this.airflow.get(["dags", dagId, "tasks"], {}, signal);
        found = answer["tasks"].some((/** @type {any} */ task) => this._operators.has(task["operator_name"]));
      } catch (error) {
        if (!(error instanceof AirflowError && error.trouble !== "unavailable")) throw error;
        found = error.trouble === "forbidden"; // its tag says so, and its tasks may not be seen
      }
      this._hasStarter.set(dagId, found === true);
    }
    return found === true;
  }

  /** @param {string} key @returns {Details} */
  _detailsOf(key) {
    let details = this._details.get(key);
    if (details === undefined) {
      details = {
        job: null,
        table: null,
        callbacks: null,
        summary: null,
        listed: {},
        read: {},
        jobLooks: 0,
        isRead: false,
      };
      this._details.set(key, details);
    }
    return details;
  }

  /** Forget the details of rows that are gone. */
  _forget() {
    const kept = new Set([...this._active.keys(), ...this._ended.map((task) => task.key)]);
    for (const key of this._details.keys()) if (!kept.has(key)) this._details.delete(key);
  }

  /** @param {Partial<Snapshot>} changes */
  _publish(changes) {
    const row = (/** @type {Task} */ task) => {
      const details = this._details.get(task.key);
      const { job = null, callbacks = null, summary = null, isRead = false } = details ?? {};
      const knownName = this._roomNames.get(job?.roomId || task.roomId) ?? "";
      return { task, job, callbacks, summary, knownName, isRead };
    };
    this.snapshot = {
      ...this.snapshot,
      active: [...this._active.values()].map(row),
      ended: this._ended.map(row),
      endedTotal: this._endedTotal,
      planned: this._planned,
      ...changes,
    };
    for (const listener of this._listeners) listener();
  }
}

/** @param {Snapshot} snapshot @returns {boolean} whether all lists were read once */
export function isRead(snapshot) {
  return snapshot.polls > 0;
}
