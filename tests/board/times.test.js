import assert from "node:assert/strict";
import { test } from "node:test";

import {
  clock,
  dayRange,
  duration,
  fullTime,
  instant,
  shortTime,
  stopwatch,
  zoneOffset,
} from "../../airflow_provider_smartlive/board/static/times.js";

const AT = Date.parse("2026-11-28T19:00:08Z");

test("durations read as people say them", () => {
  const read = (/** @type {number} */ seconds) => duration(seconds * 1000);
  assert.deepEqual([0, 42, 60, 95, 300, 754, 3600, 3905, 172_800, 277_200].map(read), [
    "0 s",
    "42 s",
    "1 min",
    "1 min 35 s",
    "5 min",
    "12 min",
    "1 h 00 min",
    "1 h 05 min",
    "2 d 0 h",
    "3 d 5 h",
  ]);
  assert.equal(read(-5), "0 s");
});

test("a stopwatch counts on over the hour", () => {
  assert.deepEqual([0, 42_000, 1_867_900, 3_909_000].map(stopwatch), ["0:00", "0:42", "31:07", "1:05:09"]);
});

test("times are those of the zone that was chosen in Airflow", () => {
  assert.equal(clock(AT, "Asia/Shanghai"), "03:00:08");
  assert.equal(fullTime(AT, "America/New_York"), "2026-11-28 14:00:08");
  assert.equal(shortTime(AT, "UTC", AT + 1000), "19:00");
  assert.match(shortTime(AT, "UTC", AT + 86_400_000), /^Sat 28 Nov 19:00$/);
  assert.equal(clock(AT, "No/Such_Zone"), "19:00:08");
});

test("a zone's offset follows its summer time", () => {
  assert.equal(zoneOffset("Europe/Berlin", Date.parse("2026-07-01T12:00:00.750Z")), 7_200_000);
  assert.equal(zoneOffset("Europe/Berlin", AT), 3_600_000);
  assert.equal(zoneOffset("Asia/Kathmandu", AT), 20_700_000);
});

test("a day begins and ends at midnight of its zone, also when the clocks change", () => {
  assert.deepEqual(dayRange("2026-11-28", "Asia/Shanghai"), {
    from: Date.parse("2026-11-27T16:00:00Z"),
    to: Date.parse("2026-11-28T16:00:00Z"),
  });
  assert.deepEqual(dayRange("2026-10-25", "Europe/Berlin"), {
    from: Date.parse("2026-10-24T22:00:00Z"),
    to: Date.parse("2026-10-25T23:00:00Z"),
  });
  for (const wrong of ["", "today", "2026-13-45", "2026-11-28T00:00"])
    assert.equal(dayRange(wrong, "UTC"), null);
});

test("what is no time is none", () => {
  for (const wrong of [null, undefined, 7, {}, "soon", "9".repeat(1000)]) assert.equal(instant(wrong), null);
  assert.equal(instant("2026-11-28T19:00:08+00:00"), AT);
});
