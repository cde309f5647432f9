import assert from "node:assert/strict";
import { test } from "node:test";

import {
  assess,
  groupOf,
  keyOf,
  passes,
  readCallbacks,
  readFilters,
  readJob,
  readSummary,
  readTask,
  text,
  worstFirst,
} from "../../airflow_provider_smartlive/board/static/livestreams.js";
import { NOW, PLANNED, iso, jobValue, tableValue, taskAnswer } from "./samples.js";

const MINUTE = 60_000;
/** @type {[string, number][]} */
const UP = [
  ["CONNECTING", PLANNED + 4000],
  ["CONNECTED", PLANNED + 6000],
];

/**
 * @param {{task?: Record<string, unknown>, job?: unknown, table?: unknown, result?: unknown, isRead?: boolean}} [of]
 * @param {number} [now]
 */
function assessed(
  { task = {}, job = jobValue(), table = tableValue(UP), result = null, isRead = true } = {},
  now = NOW,
) {
  const read = readJob(job);
  const livestream = {
    task: readTask(taskAnswer(task)),
    job: read,
    callbacks: readCallbacks(table, read?.jobId),
    summary: readSummary(result),
    isRead,
  };
  return assess(livestream, now);
}

/** @param {import("../../airflow_provider_smartlive/board/static/livestreams.js").Assessment} of */
const words = (of) => of.remarks.map((remark) => `${remark.severity} ${remark.text}`);

test("a stream that is up is on the air, and nothing is remarked", () => {
  const of = assessed();
  assert.deepEqual([of.phase, of.status, of.severity, of.title], ["now", "live", 0, "Tea house"]);
  assert.deepEqual(
    [of.onAirSince, of.plannedEnd, of.reconnects],
    [PLANNED + 6000, PLANNED + 120 * MINUTE, 0],
  );
  assert.deepEqual(words(of), []);
});

test("an interruption counts from its first event, and is worse when it lasts", () => {
  /** @type {[string, number][]} */
  const down = [...UP, ["DISCONNECTED", NOW - 95_000], ["RECONNECTING", NOW - 92_000]];
  const of = assessed({ table: tableValue(down) });
  assert.deepEqual([of.status, of.severity, of.reconnects], ["interrupted", 2, 1]);
  assert.deepEqual(words(of), ["2 Interrupted for 1 min 35 s"]);
  assert.equal(assessed({ table: tableValue(down) }, NOW - 85_000).severity, 1);
});

test("a link that comes and goes is worth a look although it is up", () => {
  /** @type {[string, number][]} */
  const flapping = [...UP];
  for (const minutes of [9, 6, 2]) {
    flapping.push(["RECONNECTING", NOW - minutes * MINUTE], ["CONNECTED", NOW - minutes * MINUTE + 5000]);
  }
  const of = assessed({ table: tableValue(flapping) });
  assert.deepEqual([of.status, of.reconnects, words(of)], ["live", 3, ["1 3 reconnects within 15 min"]]);
  assert.equal(assessed({ table: tableValue(flapping) }, NOW + 10 * MINUTE).severity, 0);
});

test("a start that nobody hears of becomes a warning, then an alarm", () => {
  const begins = { job: jobValue({ started_at: iso(NOW - 30_000) }), table: null };
  assert.deepEqual([assessed(begins).status, words(assessed(begins))], ["connecting", []]);
  assert.deepEqual(words(assessed(begins, NOW + 150_000)), ["1 No callback for 3 min"]);
  assert.deepEqual(words(assessed(begins, NOW + 330_000)), ["2 No callback for 6 min"]);
  const connecting = { ...begins, table: tableValue([["CONNECTING", NOW - 28_000]]) };
  assert.deepEqual(words(assessed(connecting, NOW + 150_000)), ["1 Not connected 3 min after the start"]);
});

test("without callbacks or outputs silence means nothing", () => {
  const quiet = jobValue({ callbacks: false });
  assert.deepEqual(words(assessed({ job: quiet, table: null })), []);
  const rtc = assessed({ job: jobValue({ outputs: [] }), table: null });
  assert.deepEqual([rtc.status, words(rtc)], ["live", []]);
});

test("nothing is said about streams before the XComs were read", () => {
  const of = assessed({ job: null, table: null, isRead: false });
  assert.deepEqual([of.status, of.severity, groupOf(of)], ["running", 0, "live"]);
});

test("late starts, failed tries, overruns and odd ends are told", () => {
  /** @type {[string, number][]} */
  const late = [["CONNECTED", PLANNED + 12 * MINUTE]];
  assert.deepEqual(words(assessed({ table: tableValue(late) })), ["0 Went live 12 min late"]);
  assert.deepEqual(words(assessed({ task: { state: "up_for_retry" }, table: null })), [
    "2 Try 1 failed, the next one follows",
  ]);
  assert.deepEqual(words(assessed({}, PLANNED + 123 * MINUTE)), ["1 3 min over the planned end"]);
  assert.deepEqual(words(assessed({}, PLANNED + 130 * MINUTE)), ["2 10 min over the planned end"]);
  const ended = assessed({ table: tableValue([...UP, ["END", NOW - 7 * MINUTE]]) });
  assert.deepEqual([ended.status, words(ended)], ["ending", ["1 END was 7 min ago, the task still waits"]]);
  assert.equal(ended.onAirUntil, NOW - 7 * MINUTE);
  assert.deepEqual(words(assessed({ job: jobValue({ warnings: ["LOW_BALANCE"] }) })), [
    "1 MetaStudio warns: LOW_BALANCE",
  ]);
  assert.deepEqual(words(assessed({ task: { try_number: 2 } })), ["0 Try 2"]);
});

test("what waits is next until it is due", () => {
  const waits = (/** @type {string | null} */ state, /** @type {number} */ now) =>
    assessed({ task: { state }, job: null, table: null }, now);
  assert.deepEqual([waits("scheduled", PLANNED - MINUTE).phase, waits(null, NOW).phase], ["next", "next"]);
  const due = waits("queued", PLANNED + 6 * MINUTE);
  assert.deepEqual([due.phase, words(due)], ["now", ["2 Due 6 min ago, not started yet"]]);
});

test("an ended livestream shows what the summary says", () => {
  const result = {
    job_id: "1",
    room_id: "room-3",
    room_name: "Tea house",
    outcome: "the job succeeded",
    woken_by: "callback",
    start_time: iso(PLANNED),
    end_time: iso(PLANNED + 60 * MINUTE),
    stream_duration: 3590,
    streams: [{ output: "rtmp://x/***", state: "END", reconnects: 1, transitions: [["END", iso(NOW)]] }],
  };
  const of = assessed({ task: { state: "success", end_date: iso(NOW) }, job: null, table: null, result });
  assert.deepEqual(
    [of.phase, of.status, of.title, of.onAirSince, of.onAirUntil],
    ["ended", "succeeded", "Tea house", PLANNED, NOW],
  );
  for (const [state, status] of [
    ["failed", "failed"],
    ["skipped", "skipped"],
    ["upstream_failed", "not started"],
    ["removed", "over"],
  ]) {
    assert.equal(assessed({ task: { state }, table: null }).status, status);
  }
});

test("a link that another one replaced counts no more, and one that is up beside an ended one does", () => {
  const value = tableValue([...UP, ["DISCONNECTED", NOW - MINUTE]]);
  const [job] = value.jobs;
  assert.ok(job);
  const old = { ...job.streams[0], replaced: true };
  const fresh = tableValue([["CONNECTED", NOW - MINUTE]]).jobs[0]?.streams[0];
  const both = { version: 2, jobs: [{ ...job, streams: [old, fresh] }] };
  assert.deepEqual([assessed({ table: both }).status, words(assessed({ table: both }))], ["live", []]);
  const ended = tableValue([...UP, ["END", NOW - MINUTE]]).jobs[0];
  const beside = { version: 2, jobs: [{ ...ended, streams: [...(ended?.streams ?? []), fresh] }] };
  assert.equal(assessed({ table: beside }).status, "live");
});

test("END is final: an event after it does not bring a stream back", () => {
  const of = assessed({ table: tableValue([...UP, ["END", NOW - MINUTE], ["RECONNECTING", NOW - 1000]]) });
  assert.deepEqual([of.status, of.onAirUntil], ["ending", NOW - MINUTE]);
});

test("the part of the table counts that is about the task's own job", () => {
  const value = tableValue(UP);
  value.jobs.unshift({ job_id: "another", room_id: "", streams: [] });
  assert.equal(readCallbacks(value, readJob(jobValue())?.jobId)?.streams.length, 1);
  assert.equal(readCallbacks(value, "nobody"), null);
});

test("values of another version, and what is no value at all, are none", () => {
  for (const odd of [
    null,
    undefined,
    7,
    "x",
    [],
    {},
    { version: 1, jobs: [{}] },
    { version: 2, jobs: "x" },
  ]) {
    assert.equal(readCallbacks(odd), null);
    if (typeof odd !== "object" || odd === null || !("version" in odd) || odd.version !== 1)
      assert.equal(readJob(odd), null);
    assert.equal(readSummary(odd), null);
  }
  const odd = {
    version: 2,
    jobs: [{ streams: [{ transitions: [["A"], 7, ["B", "never"]], counts: { A: -1, B: "x" } }] }],
  };
  assert.deepEqual(readCallbacks(odd)?.streams[0]?.transitions, []);
});

test("texts from outside are cut and cannot turn the direction of writing", () => {
  assert.equal(text("x".repeat(10_000)).length, 160);
  assert.equal(text("a\u202eb\u0000c\u2066d"), "a b c d");
  assert.equal(text({ toString: () => "x" }), "");
});

test("the worst come first, the others by name", () => {
  const row = (/** @type {number} */ index, /** @type {string} */ name, /** @type {unknown} */ table) => ({
    task: readTask(taskAnswer({ map_index: index })),
    of: assessed({ job: jobValue({ room_name: name }), table }),
  });
  const down = tableValue([...UP, ["DISCONNECTED", NOW - MINUTE]]);
  const rows = [row(0, "Room 10", tableValue(UP)), row(1, "Room 9", tableValue(UP)), row(2, "Zoo", down)];
  assert.deepEqual(
    rows.sort(worstFirst).map((one) => one.of.title),
    ["Zoo", "Room 9", "Room 10"],
  );
  assert.deepEqual(
    rows.map((one) => groupOf(one.of)),
    ["trouble", "live", "live"],
  );
});

test("a room is called by its name, its template, or its id, and never by the map index alone", () => {
  const called = (/** @type {unknown} */ label, /** @type {unknown} */ name) =>
    assessed({ task: { rendered_map_index: label }, job: jobValue({ room_name: name }) }).title;
  assert.deepEqual(
    [called("Kitchen", "Tea house"), called("Kitchen", null), called("3", null)],
    ["Tea house", "Kitchen", "room-3"],
  );
  assert.equal(
    assessed({ task: { rendered_map_index: "3", rendered_fields: {} }, job: null }).title,
    "go_live [3]",
  );
});

test("filters are those of the URL", () => {
  const of = assessed();
  const row = { of, task: readTask(taskAnswer()) };
  const filter = (/** @type {string} */ query) => passes(readFilters(new URLSearchParams(query)), row);
  for (const query of [
    "",
    "dag=campaign",
    "room=Tea+house",
    "room=room-3",
    "state=live",
    "q=TEA",
    "q=push.example",
  ]) {
    assert.equal(filter(query), true, query);
  }
  for (const query of ["dag=other", "room=other", "state=trouble", "q=coffee"])
    assert.equal(filter(query), false, query);
});

test("a key names one mapped task instance, in both spellings of the run", () => {
  const key = keyOf({ dag_id: "a", dag_run_id: "b", task_id: "c", map_index: 0 });
  assert.equal(key, keyOf({ dag_id: "a", run_id: "b", task_id: "c", map_index: 0 }));
  assert.notEqual(key, keyOf({ dag_id: "a", run_id: "b", task_id: "c", map_index: 1 }));
});
