// Where the parts of a livestream's timeline stand. Pure: fractions of its width, from 0 to 1.

import { DAY, HOUR, MINUTE, SECOND } from "./times.js";

/** @typedef {import("./livestreams.js").Livestream} Livestream */
/** @typedef {import("./livestreams.js").Assessment} Assessment */

/**
 * @typedef {{state: string, from: number, to: number, x: number, width: number}} Segment
 * @typedef {{kind: "script" | "reconnect", at: number, x: number, text: string}} Mark
 *
 * @typedef {object} Timeline
 * @property {number} from
 * @property {number} to
 * @property {{label: string, segments: Segment[]}[]} lanes one for each stream
 * @property {{x: number, width: number} | null} planned
 * @property {Mark[]} marks
 * @property {{at: number, x: number}[]} ticks
 * @property {number | null} nowX null if it has ended
 */

const STEPS = [
  10 * SECOND,
  30 * SECOND,
  MINUTE,
  2 * MINUTE,
  5 * MINUTE,
  10 * MINUTE,
  15 * MINUTE,
  30 * MINUTE,
  HOUR,
  2 * HOUR,
  3 * HOUR,
  6 * HOUR,
  12 * HOUR,
  DAY,
  2 * DAY,
];

/**
 * @param {Livestream} livestream
 * @param {Assessment} of
 * @param {number} now
 * @param {{offset?: number, ticks?: number}} [options] how far the zone is ahead of UTC, and how many ticks there is
 *   room for
 * @returns {Timeline | null} null if nothing is known that has a time
 */
export function timeline(livestream, of, now, { offset = 0, ticks = 8 } = {}) {
  const { task, job, callbacks } = livestream;
  const isEnded = of.phase === "ended";
  const until = isEnded ? (of.onAirUntil ?? task.end ?? now) : now;
  const starts = [
    of.plannedStart,
    job?.startedAt,
    task.start,
    ...of.streams.map((stream) => stream.transitions[0]?.[1]),
  ];
  const known = starts.filter((at) => typeof at === "number");
  if (known.length === 0) return null;
  const from = Math.min(...known);
  // Of one that ended long before its plan the plan is cut, so that it can be seen.
  const longest = isEnded ? from + 1.5 * (until - from) : Infinity;
  const to = Math.max(until, Math.min(of.plannedEnd ?? 0, longest), from + MINUTE);
  const x = (/** @type {number} */ at) => Math.min(1, Math.max(0, (at - from) / (to - from)));

  const lanes = of.streams.map((stream) => ({ label: stream.label, segments: segmentsOf(stream, until, x) }));
  const marks = marksOf(of.streams, callbacks?.scripts ?? null, x);
  const plannedTo = of.plannedEnd;
  const planned =
    of.plannedStart !== null && plannedTo !== null
      ? { x: x(of.plannedStart), width: x(plannedTo) - x(of.plannedStart) }
      : null;
  return {
    from,
    to,
    lanes,
    planned,
    marks,
    ticks: ticksOf(from, to, x, offset, ticks),
    nowX: isEnded ? null : x(now),
  };
}

/**
 * @param {import("./livestreams.js").Stream} stream
 * @param {number} until
 * @param {(at: number) => number} x
 * @returns {Segment[]}
 */
function segmentsOf(stream, until, x) {
  /** @type {Segment[]} */
  const segments = [];
  stream.transitions.forEach(([state, at], index) => {
    if (state === "END") return;
    const end = Math.max(at, stream.transitions[index + 1]?.[1] ?? until);
    segments.push({ state, from: at, to: end, x: x(at), width: x(end) - x(at) });
  });
  return segments;
}

/**
 * @param {import("./livestreams.js").Stream[]} streams
 * @param {import("./livestreams.js").Callbacks["scripts"]} scripts
 * @param {(at: number) => number} x
 * @returns {Mark[]}
 */
function marksOf(streams, scripts, x) {
  /** @type {Mark[]} */
  const marks = [];
  for (const [state, at] of streams.flatMap((stream) => stream.transitions)) {
    if (state === "RECONNECTING") marks.push({ kind: "reconnect", at, x: x(at), text: "Reconnect" });
  }
  for (const [name, at] of scripts?.recent ?? [])
    marks.push({ kind: "script", at, x: x(at), text: `Paragraph ${name}` });
  if (scripts && !scripts.recent.length && scripts.at !== null) {
    marks.push({
      kind: "script",
      at: scripts.at,
      x: x(scripts.at),
      text: `${scripts.number} ${scripts.title}`,
    });
  }
  return marks;
}

/**
 * @param {number} from
 * @param {number} to
 * @param {(at: number) => number} x
 * @param {number} offset
 * @param {number} most
 */
function ticksOf(from, to, x, offset, most) {
  const step = STEPS.find((size) => (to - from) / size <= most) ?? Math.ceil((to - from) / most / DAY) * DAY;
  const ticks = [];
  for (let at = Math.ceil((from + offset) / step) * step - offset; at <= to; at += step)
    ticks.push({ at, x: x(at) });
  return ticks;
}
