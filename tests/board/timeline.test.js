import assert from "node:assert/strict";
import { test } from "node:test";

import {
  assess,
  readCallbacks,
  readJob,
  readTask,
} from "../../airflow_provider_smartlive/board/static/livestreams.js";
import { timeline } from "../../airflow_provider_smartlive/board/static/timeline.js";
import { NOW, PLANNED, iso, jobValue, tableValue, taskAnswer } from "./samples.js";

const MINUTE = 60_000;

/** @param {{task?: Record<string, unknown>, job?: unknown, table?: unknown}} of @param {{offset?: number}} [options] */
function drawn({ task = {}, job = jobValue(), table = null }, options = {}) {
  const livestream = {
    task: readTask(taskAnswer(task)),
    job: readJob(job),
    callbacks: readCallbacks(table),
    summary: null,
    isRead: true,
  };
  return timeline(livestream, assess(livestream, NOW), NOW, options);
}

test("a running livestream goes from its planned start to its planned end", () => {
  const line = drawn({
    table: tableValue([
      ["CONNECTING", PLANNED + 4000],
      ["CONNECTED", PLANNED + 12 * MINUTE],
    ]),
  });
  assert.deepEqual([line?.from, line?.to], [PLANNED, PLANNED + 120 * MINUTE]);
  assert.deepEqual(line?.planned, { x: 0, width: 1 });
  assert.equal(line?.nowX?.toFixed(4), (31 / 120).toFixed(4));
  const [connecting, connected] = line?.lanes[0]?.segments ?? [];
  assert.equal(connected?.x.toFixed(4), (12 / 120).toFixed(4));
  assert.equal(connected?.to, NOW);
  assert.equal(connecting?.to, connected?.from);
});

test("segments touch, end at END, and nothing leaves the picture", () => {
  const line = drawn({
    task: { state: "success", end_date: iso(PLANNED + 20 * MINUTE) },
    table: tableValue([
      ["CONNECTED", PLANNED + MINUTE],
      ["DISCONNECTED", PLANNED + 5 * MINUTE],
      ["RECONNECTING", PLANNED + 5 * MINUTE + 2000],
      ["CONNECTED", PLANNED + 6 * MINUTE],
      ["END", PLANNED + 19 * MINUTE],
    ]),
  });
  const segments = line?.lanes[0]?.segments ?? [];
  assert.deepEqual(
    segments.map((one) => one.state),
    ["CONNECTED", "DISCONNECTED", "RECONNECTING", "CONNECTED"],
  );
  segments.slice(1).forEach((one, index) => assert.equal(one.from, segments[index]?.to));
  assert.equal(segments.at(-1)?.to, PLANNED + 19 * MINUTE);
  assert.equal(line?.nowX, null);
  assert.deepEqual(
    line?.marks.map((mark) => [mark.kind, mark.at]),
    [["reconnect", PLANNED + 5 * MINUTE + 2000]],
  );
  for (const { x, width } of segments) assert.ok(x >= 0 && x + width <= 1.000001);
});

test("an overrun stretches the picture to now", () => {
  const line = drawn({
    job: jobValue({ planned_end: iso(NOW - 10 * MINUTE) }),
    table: tableValue([["CONNECTED", PLANNED + MINUTE]]),
  });
  assert.equal(line?.to, NOW);
  assert.equal(line?.nowX, 1);
  assert.equal(line?.planned?.width.toFixed(4), (21 / 31).toFixed(4));
});

test("ticks stand at full times of the zone, and there are few of them", () => {
  const line = drawn({ table: tableValue([["CONNECTED", PLANNED]]) }, { offset: 20_700_000 }); // +05:45
  const ticks = line?.ticks ?? [];
  assert.ok(ticks.length >= 3 && ticks.length <= 9);
  for (const { at } of ticks) assert.equal((at + 20_700_000) % (15 * MINUTE), 0);
});

test("script switches are marked: the recent ones, or the last one of an older table", () => {
  const scripts = { scene: "s", sequence_no: "2", title: "Offers", at: iso(NOW - MINUTE), switches: 2 };
  const last = drawn({ table: tableValue([["CONNECTED", PLANNED]], { scripts }) });
  assert.deepEqual(
    last?.marks.map((mark) => mark.text),
    ["2 Offers"],
  );
  const recent = [
    ["1", iso(NOW - 9 * MINUTE)],
    ["2", iso(NOW - MINUTE)],
  ];
  const both = drawn({ table: tableValue([["CONNECTED", PLANNED]], { scripts: { ...scripts, recent } }) });
  assert.deepEqual(
    both?.marks.map((mark) => mark.text),
    ["Paragraph 1", "Paragraph 2"],
  );
});

test("a shortest livestream, and one that nothing is known of", () => {
  const empty = { run_after: null, start_date: null };
  assert.equal(drawn({ task: empty, job: null }), null);
  const line = drawn({ task: { ...empty, start_date: iso(NOW) }, job: null });
  assert.equal((line?.to ?? 0) - (line?.from ?? 0), MINUTE);
});
