// What Airflow's answers say about livestreams: reading them, judging them, putting them in order. Pure.
//
// Everything that is read here was redacted before it was stored. Texts still come from outside: they are cut, and
// whoever shows them sets them as text.

import { DAY, MINUTE, SECOND, duration, instant } from "./times.js";

/** Control characters, and those that turn the direction of what follows. */
const UNWANTED = /[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Versions of the XComs that are read here. */
const JOB_VERSION = 1;
const TABLE_VERSION = 2;

/** Longest text that is kept of anything from outside. */
const MAX_TEXT = 160;

/** Milliseconds after which something that did not happen is worth a word, and worth getting up. */
const LATE = 2 * MINUTE;
const VERY_LATE = 5 * MINUTE;

/** As many reconnects within this time make a link unstable. */
const UNSTABLE_RECONNECTS = 3;
const UNSTABLE_WITHIN = 15 * MINUTE;

/** An interruption that is shorter is a warning: MetaStudio reconnects by itself. */
const SHORT_INTERRUPTION = 15 * SECOND;

/** States of a task instance, by what they mean for a livestream. */
export const ACTIVE_STATES = [
  "no_status",
  "scheduled",
  "queued",
  "restarting",
  "running",
  "deferred",
  "up_for_retry",
  "up_for_reschedule",
];
export const ENDED_STATES = ["success", "failed", "skipped", "upstream_failed"];
const WITH_JOB = new Set(["running", "deferred"]);

/**
 * @typedef {object} Task A task instance that starts a livestream.
 * @property {string} key
 * @property {string} dagId
 * @property {string} dagName
 * @property {string} runId
 * @property {string} taskId
 * @property {number} mapIndex
 * @property {string} label what `map_index_template` made; empty without one
 * @property {string} operator
 * @property {string} state
 * @property {number} tryNumber
 * @property {number} maxTries
 * @property {number | null} start
 * @property {number | null} end
 * @property {number | null} runAfter
 * @property {string} roomId as rendered; empty before that
 *
 * @typedef {object} Job The XCom `smartlive_job`: what was asked for.
 * @property {string} jobId
 * @property {string} roomId
 * @property {string} roomName
 * @property {number | null} plannedStart
 * @property {number | null} plannedEnd
 * @property {number | null} startedAt
 * @property {string[]} outputs
 * @property {string} origin
 * @property {string[]} warnings
 * @property {boolean} callbacks whether callbacks were asked for
 * @property {string} connId
 *
 * @typedef {object} Stream
 * @property {string} label
 * @property {string} state
 * @property {boolean} ended
 * @property {boolean} replaced whether another output took its place
 * @property {number | null} downSince since when it is not connected
 * @property {number | null} firstAt
 * @property {Record<string, number>} counts
 * @property {[string, number][]} transitions
 *
 * @typedef {object} Callbacks The part of the XCom `smartlive_callbacks` about one job.
 * @property {string} jobId
 * @property {number | null} firstAt
 * @property {number | null} lastAt
 * @property {number | null} endedAt when the last output reported END
 * @property {Stream[]} streams
 * @property {{scene: string, number: string, title: string, at: number | null, switches: number,
 *   recent: [string, number][]} | null} scripts
 *
 * @typedef {object} Summary The task's result.
 * @property {string} roomId
 * @property {string} roomName
 * @property {string} outcome
 * @property {string} toldBy
 * @property {number | null} startTime
 * @property {number | null} endTime
 * @property {number | null} streamDuration milliseconds
 * @property {Stream[]} streams
 *
 * @typedef {object} Livestream
 * @property {Task} task
 * @property {Job | null} job
 * @property {Callbacks | null} callbacks
 * @property {Summary | null} summary
 * @property {string} [knownName] what an ended livestream called the same room
 * @property {boolean} isRead whether its XComs were read; until then nothing is said about its streams
 *
 * @typedef {0 | 1 | 2} Severity 2: somebody should act. 1: somebody should look. 0: worth knowing.
 * @typedef {{severity: Severity, text: string}} Remark
 * @typedef {"waiting" | "running" | "starting" | "connecting" | "live" | "interrupted" | "ending" | "retrying"
 *   | "succeeded" | "failed" | "skipped" | "not started" | "over"} Status
 *
 * @typedef {object} Assessment
 * @property {"now" | "next" | "ended"} phase
 * @property {Status} status
 * @property {Severity} severity of the worst remark
 * @property {Remark[]} remarks the worst first
 * @property {string} title the room as people call it
 * @property {string} roomId
 * @property {Stream[]} streams
 * @property {number | null} onAirSince
 * @property {number | null} onAirUntil
 * @property {number | null} plannedStart
 * @property {number | null} plannedEnd
 * @property {number} reconnects
 */

/**
 * Cut a text from outside, and take control characters and those that turn the direction of writing out of it.
 *
 * @param {unknown} value
 * @param {number} [length]
 * @returns {string}
 */
export function text(value, length = MAX_TEXT) {
  if (typeof value !== "string") return "";
  const plain = value.slice(0, 4 * length).replace(UNWANTED, " ");
  return plain.length > length ? `${plain.slice(0, length - 1)}…` : plain.trim();
}

/** @param {unknown} value @returns {Record<string, unknown>} */
function record(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? /** @type {Record<string, unknown>} */ (value)
    : {};
}

/** @param {unknown} value @param {number} length @returns {unknown[]} */
function list(value, length) {
  return Array.isArray(value) ? value.slice(0, length) : [];
}

/** @param {unknown} value @returns {number} */
function count(value) {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? Math.floor(value) : 0;
}

/** @param {unknown} id @returns {string} the id in one spelling: MetaStudio writes it with and without dashes */
function plainId(id) {
  return text(id).toLowerCase().replaceAll("-", "");
}

/**
 * @param {{dag_id?: unknown, dag_run_id?: unknown, run_id?: unknown, task_id?: unknown, map_index?: unknown}} of
 * @returns {string} what names a task instance
 */
export function keyOf(of) {
  return JSON.stringify([of.dag_id, of.dag_run_id ?? of.run_id, of.task_id, of.map_index ?? -1]);
}

/**
 * @param {unknown} answer a task instance of Airflow's API
 * @returns {Task}
 */
export function readTask(answer) {
  const of = record(answer);
  const rendered = record(of["rendered_fields"]);
  const label = text(of["rendered_map_index"]);
  return {
    key: keyOf(of),
    // Ids go into URLs: they are kept as they are. Airflow bounds them.
    dagId: String(of["dag_id"]),
    dagName: text(of["dag_display_name"]) || text(of["dag_id"]),
    runId: String(of["dag_run_id"]),
    taskId: String(of["task_id"]),
    mapIndex: typeof of["map_index"] === "number" ? of["map_index"] : -1,
    // Without a template Airflow renders the index itself, which names nothing.
    label: label === String(of["map_index"]) ? "" : label,
    operator: text(of["operator"]),
    state: text(of["state"]) || "no_status",
    tryNumber: count(of["try_number"]),
    maxTries: count(of["max_tries"]),
    start: instant(of["start_date"]),
    end: instant(of["end_date"]),
    runAfter: instant(of["run_after"]),
    roomId: text(rendered["room_id"]),
  };
}

/**
 * @param {unknown} value of the XCom `smartlive_job`
 * @returns {Job | null} null if it is none of this version
 */
export function readJob(value) {
  const of = record(value);
  if (of["version"] !== JOB_VERSION) return null;
  return {
    jobId: plainId(of["job_id"]),
    roomId: text(of["room_id"]),
    roomName: text(of["room_name"]),
    plannedStart: instant(of["planned_start"]),
    plannedEnd: instant(of["planned_end"]),
    startedAt: instant(of["started_at"]),
    outputs: list(of["outputs"], 8).map((label) => text(label)),
    origin: text(of["origin"]),
    warnings: list(of["warnings"], 8).map((warning) => text(warning)),
    callbacks: of["callbacks"] !== false,
    connId: text(of["smartlive_conn_id"] ?? of["conn_id"]),
  };
}

/** @param {unknown} value @returns {Stream} */
function readStream(value) {
  const of = record(value);
  /** @type {[string, number][]} */
  const transitions = [];
  for (const item of list(of["transitions"], 40)) {
    const [state, at] = list(item, 2);
    const when = instant(at);
    if (when !== null) transitions.push([text(state, 40), when]);
  }
  const counts = Object.entries(record(of["counts"])).slice(0, 12);
  return {
    label: text(of["label"] ?? of["output"]),
    state: text(of["state"], 40),
    ended: of["ended"] === true || of["state"] === "END",
    replaced: of["replaced"] === true,
    downSince: instant(of["down_since"]),
    firstAt: instant(of["first_at"]),
    counts: Object.fromEntries(counts.map(([state, number]) => [text(state, 40), count(number)])),
    transitions,
  };
}

/**
 * @param {unknown} value of the XCom `smartlive_callbacks`
 * @param {string} [jobId] the job that the task started; the latest one by default
 * @returns {Callbacks | null} null if it is no table of this version, or has nothing about the job
 */
export function readCallbacks(value, jobId) {
  const table = record(value);
  if (table["version"] !== TABLE_VERSION) return null;
  const jobs = list(table["jobs"], 8).map(record);
  const found = jobId ? jobs.find((job) => plainId(job["job_id"]) === jobId) : jobs.at(-1);
  if (found === undefined) return null;
  const scripts = found["scripts"] ? record(found["scripts"]) : null;
  /** @type {[string, number][]} */
  const recent = [];
  for (const item of list(scripts?.["recent"], 40)) {
    const [name, at] = list(item, 2);
    const when = instant(at);
    if (when !== null) recent.push([text(name, 80), when]);
  }
  return {
    jobId: plainId(found["job_id"]),
    firstAt: instant(found["first_at"]),
    lastAt: instant(found["last_at"]),
    endedAt: instant(found["ended_at"]),
    streams: list(found["streams"], 8).map(readStream),
    scripts: scripts && {
      scene: text(scripts["scene"], 80),
      number: text(scripts["sequence_no"], 12),
      title: text(scripts["title"], 80),
      at: instant(scripts["at"]),
      switches: count(scripts["switches"]),
      recent,
    },
  };
}

/**
 * @param {unknown} value what the task returned
 * @returns {Summary | null}
 */
export function readSummary(value) {
  const of = record(value);
  if (typeof of["outcome"] !== "string") return null;
  const seconds = of["stream_duration"];
  return {
    roomId: text(of["room_id"]),
    roomName: text(of["room_name"]),
    outcome: text(of["outcome"]),
    toldBy: text(of["woken_by"]),
    startTime: instant(of["start_time"]),
    endTime: instant(of["end_time"]),
    streamDuration: typeof seconds === "number" ? seconds * SECOND : null,
    streams: list(of["streams"], 8).map(readStream),
  };
}

/** @param {Stream} stream @returns {number | null} since when the link is interrupted that was up before */
function interruptedSince(stream) {
  const counts = !stream.ended && !stream.replaced && stream.counts["CONNECTED"];
  return counts ? stream.downSince : null;
}

/** @param {Stream} stream @returns {number | null} when it was first up */
function connectedAt(stream) {
  return (
    stream.transitions.find(([state]) => state === "CONNECTED")?.[1] ??
    (stream.counts["CONNECTED"] ? stream.firstAt : null)
  );
}

/** @param {Stream} stream @returns {number | null} when END was reported */
function endedAt(stream) {
  if (!stream.ended) return null;
  // The table keeps the latest changes only, and END may not be the last of them: it is final all the same.
  return stream.transitions.findLast(([state]) => state === "END")?.[1] ?? stateSince(stream) ?? 0;
}

/** @param {(number | null)[]} times @returns {number | null} */
function earliest(times) {
  const known = times.filter((at) => at !== null);
  return known.length ? Math.min(...known) : null;
}

/** @param {(number | null)[]} times @returns {number | null} */
function latest(times) {
  const known = times.filter((at) => at !== null);
  return known.length ? Math.max(...known) : null;
}

/**
 * @param {Stream} stream
 * @returns {number | null} since when it is in its state
 */
export function stateSince(stream) {
  return stream.transitions.at(-1)?.[1] ?? stream.firstAt;
}

/** @type {Record<string, Status>} */
const ENDED_STATUS = {
  success: "succeeded",
  failed: "failed",
  skipped: "skipped",
  upstream_failed: "not started",
};

/**
 * Judge a livestream.
 *
 * @param {Livestream} livestream
 * @param {number} now by the server's clock
 * @returns {Assessment}
 */
export function assess(livestream, now) {
  const { task, job, callbacks, summary } = livestream;
  const streams = callbacks?.streams.length ? callbacks.streams : (summary?.streams ?? []);
  const isEnded = !ACTIVE_STATES.includes(task.state);
  const lastEnd = lastEndOf(livestream);
  const allEnded = lastEnd !== null;
  const status = isEnded ? (ENDED_STATUS[task.state] ?? "over") : activeStatus(livestream, streams, allEnded);
  const onAirSince = earliest(streams.map(connectedAt)) ?? summary?.startTime ?? null;
  const plannedStart = job?.plannedStart ?? task.runAfter;
  const remarks = isEnded
    ? []
    : remarksAbout({ ...livestream, streams, status, now, onAirSince, plannedStart, lastEnd });
  return {
    phase: isEnded ? "ended" : isNext(task, status, now) ? "next" : "now",
    status,
    severity: remarks[0]?.severity ?? 0,
    remarks,
    title: titleOf(livestream),
    roomId: job?.roomId || summary?.roomId || task.roomId,
    streams,
    onAirSince,
    onAirUntil: lastEnd ?? (isEnded ? (summary?.endTime ?? task.end) : null),
    plannedStart,
    plannedEnd: job?.plannedEnd ?? null,
    reconnects: streams.reduce((sum, stream) => sum + (stream.counts["RECONNECTING"] ?? 0), 0),
  };
}

/**
 * @param {Livestream} livestream
 * @returns {number | null} when the last output ended; null while one is up
 */
function lastEndOf({ callbacks, summary }) {
  if (callbacks === null) return latest((summary?.streams ?? []).map(endedAt));
  const isUp = callbacks.streams.some((stream) => stream.state === "CONNECTED" && !stream.replaced);
  return isUp ? null : callbacks.endedAt;
}

/** @param {Task} task @param {Status} status @param {number} now @returns {boolean} whether it is not due yet */
function isNext(task, status, now) {
  return status === "waiting" && (task.state === "no_status" || (task.runAfter ?? now) > now);
}

/** @param {Livestream} livestream @returns {string} */
function titleOf({ task, job, summary, knownName }) {
  const numbered = task.mapIndex >= 0 ? `${task.taskId} [${task.mapIndex}]` : task.taskId;
  const name = job?.roomName || summary?.roomName || task.label || knownName;
  return name || job?.roomId || task.roomId || numbered;
}

/**
 * @param {Livestream} livestream
 * @param {Stream[]} streams
 * @param {boolean} allEnded
 * @returns {Status}
 */
function activeStatus({ task, job, isRead }, streams, allEnded) {
  if (task.state === "up_for_retry" || task.state === "restarting") return "retrying";
  if (!WITH_JOB.has(task.state)) return "waiting";
  if (!isRead) return "running";
  if (allEnded) return "ending";
  if (streams.some((stream) => interruptedSince(stream) !== null)) return "interrupted";
  if (streams.some((stream) => stream.state === "CONNECTED")) return "live";
  if (task.state === "running" && job === null && streams.length === 0) return "starting";
  // Without an RTMP output of its own nothing is ever called back about a link: the job itself is what runs.
  if (job !== null && job.outputs.length === 0 && streams.length === 0) return "live";
  return "connecting";
}

/**
 * What a rule looks at.
 *
 * @typedef {Livestream & {streams: Stream[], status: Status, now: number, onAirSince: number | null,
 *   plannedStart: number | null, lastEnd: number | null}} Facts `lastEnd` is set when all streams have ended
 *
 * @typedef {(facts: Facts) => Remark | null} Rule
 */

/** @param {Severity} severity @param {string} words @returns {Remark} */
function remark(severity, words) {
  return { severity, text: words };
}

/** @param {number} late @returns {Severity} */
function severityOf(late) {
  return late > VERY_LATE ? 2 : 1;
}

/** @type {Rule} */
function interruption({ streams, now }) {
  const since = earliest(streams.map(interruptedSince));
  if (since === null) return null;
  return remark(now - since > SHORT_INTERRUPTION ? 2 : 1, `Interrupted for ${duration(now - since)}`);
}

/** @type {Rule} */
function failedTry({ task, status }) {
  return status === "retrying" ? remark(2, `Try ${task.tryNumber} failed, the next one follows`) : null;
}

/** @type {Rule} */
function silence({ task, job, callbacks, status, now }) {
  const startedAt = job?.startedAt ?? task.start;
  const since = startedAt === null ? 0 : now - startedAt;
  if (status !== "connecting" || since < MINUTE) return null;
  if (callbacks !== null)
    return remark(severityOf(since), `Not connected ${duration(since)} after the start`);
  return (job?.callbacks ?? true) ? remark(severityOf(since), `No callback for ${duration(since)}`) : null;
}

/** @type {Rule} */
function lateness({ status, now, onAirSince, plannedStart, lastEnd }) {
  if (plannedStart === null || lastEnd !== null) return null;
  const late = (onAirSince ?? now) - plannedStart;
  if (late < LATE || late > DAY) return null;
  if (onAirSince !== null) return remark(0, `Went live ${duration(late)} late`);
  if (status === "waiting") return remark(severityOf(late), `Due ${duration(late)} ago, not started yet`);
  return status === "starting" ? remark(1, `Due ${duration(late)} ago, still starting`) : null;
}

/** @type {Rule} */
function instability({ streams, now, lastEnd }) {
  const isRecent = (/** @type {[string, number]} */ [state, at]) =>
    state === "RECONNECTING" && now - at < UNSTABLE_WITHIN;
  const recent = streams.reduce((sum, stream) => sum + stream.transitions.filter(isRecent).length, 0);
  if (recent < UNSTABLE_RECONNECTS || lastEnd !== null) return null;
  return remark(1, `${recent} reconnects within ${duration(UNSTABLE_WITHIN)}`);
}

/** @type {Rule} */
function overrun({ task, job, now }) {
  const over = job?.plannedEnd ? now - job.plannedEnd : 0;
  if (over < LATE || !WITH_JOB.has(task.state)) return null;
  return remark(severityOf(over), `${duration(over)} over the planned end`);
}

/** @type {Rule} */
function unfinished({ now, lastEnd }) {
  if (lastEnd === null || now - lastEnd < VERY_LATE) return null;
  return remark(1, `END was ${duration(now - lastEnd)} ago, the task still waits`);
}

/** @type {Rule} */
function vendorWarnings({ job }) {
  return job?.warnings.length ? remark(1, `MetaStudio warns: ${job.warnings.join(", ")}`) : null;
}

/** @type {Rule} */
function laterTry({ task, status }) {
  return task.tryNumber > 1 && status !== "retrying" ? remark(0, `Try ${task.tryNumber}`) : null;
}

const RULES = [
  interruption,
  failedTry,
  silence,
  lateness,
  instability,
  overrun,
  unfinished,
  vendorWarnings,
  laterTry,
];

/** @param {Facts} facts @returns {Remark[]} the worst first */
function remarksAbout(facts) {
  const remarks = RULES.map((rule) => rule(facts)).filter((found) => found !== null);
  return remarks.sort((one, other) => other.severity - one.severity);
}

/** @param {Assessment} of @returns {"trouble" | "starting" | "live" | "ending"} what the counters count it as */
export function groupOf(of) {
  if (of.severity > 0) return "trouble";
  if (of.status === "ending") return "ending";
  return ["live", "interrupted", "running"].includes(of.status) ? "live" : "starting";
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/**
 * Order what is live now: the worst first, then by name, so that a calm row stays where it is.
 *
 * @param {{of: Assessment, task: Task}} one
 * @param {{of: Assessment, task: Task}} other
 * @returns {number}
 */
export function worstFirst(one, other) {
  return (
    other.of.severity - one.of.severity ||
    collator.compare(one.of.title, other.of.title) ||
    collator.compare(one.task.key, other.task.key)
  );
}

/**
 * @typedef {object} Filters What the page's URL says.
 * @property {string} dag
 * @property {string} room
 * @property {string} state a group of the counters
 * @property {string} date the day of the ended ones; empty: the last 24 hours
 * @property {string} search
 *
 * @param {URLSearchParams} parameters
 * @returns {Filters}
 */
export function readFilters(parameters) {
  const of = (/** @type {string} */ name) => (parameters.get(name) ?? "").slice(0, MAX_TEXT);
  return { dag: of("dag"), room: of("room"), state: of("state"), date: of("date"), search: of("q") };
}

/**
 * @param {Filters} filters
 * @param {{of: Assessment, task: Task}} row
 * @returns {boolean}
 */
export function passes(filters, { of, task }) {
  if (filters.dag && task.dagId !== filters.dag) return false;
  if (filters.room && of.title !== filters.room && of.roomId !== filters.room) return false;
  if (filters.state && of.phase === "now" && groupOf(of) !== filters.state) return false;
  if (!filters.search) return true;
  const haystack = [
    of.title,
    of.roomId,
    task.dagId,
    task.dagName,
    task.runId,
    ...of.streams.map((stream) => stream.label),
  ];
  return haystack.join("\n").toLowerCase().includes(filters.search.toLowerCase());
}
