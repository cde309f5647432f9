// Answers of Airflow's API, as small as the tests need them.

export const NOW = Date.parse("2026-11-28T19:31:00Z");
export const PLANNED = Date.parse("2026-11-28T19:00:00Z");

/** @param {number} at @returns {string} */
export const iso = (at) => new Date(at).toISOString();

/** @param {Record<string, unknown>} [changes] */
export function taskAnswer(changes = {}) {
  return {
    dag_id: "campaign",
    dag_display_name: "campaign",
    dag_run_id: "scheduled__1",
    task_id: "go_live",
    map_index: 3,
    rendered_map_index: null,
    operator: "StartSmartLiveJobOperator",
    state: "deferred",
    try_number: 1,
    max_tries: 2,
    start_date: iso(PLANNED + 2000),
    end_date: null,
    run_after: iso(PLANNED),
    rendered_fields: { room_id: "room-3" },
    ...changes,
  };
}

/** @param {Record<string, unknown>} [changes] */
export function jobValue(changes = {}) {
  return {
    version: 1,
    job_id: "26F06524-4f75-4b3a-a853-b649a21aaf66",
    room_id: "room-3",
    room_name: "Tea house",
    planned_start: iso(PLANNED),
    planned_end: iso(PLANNED + 2 * 3600_000),
    started_at: iso(PLANNED + 3000),
    outputs: ["rtmp://push.example.com/live/***"],
    origin: "started",
    warnings: [],
    ...changes,
  };
}

/**
 * @param {[string, number][]} transitions
 * @param {Record<string, unknown>} [job] changes of the job's part
 */
export function tableValue(transitions, job = {}) {
  /** @type {Record<string, number>} */
  const counts = {};
  for (const [state] of transitions) counts[state] = (counts[state] ?? 0) + 1;
  const state = transitions.at(-1)?.[0] ?? "CONNECTING";
  const lastUp = transitions.findLastIndex(([name]) => name === "CONNECTED");
  const down = transitions[lastUp + 1]?.[1];
  const end = transitions.find(([name]) => name === "END")?.[1];
  const stream = {
    label: "rtmp://push.example.com/live/***",
    fingerprint: "d395258a3e4a",
    state,
    ended: "END" in counts,
    first_at: iso(transitions[0]?.[1] ?? PLANNED),
    counts,
    ...(down && !end ? { down_since: iso(down) } : {}),
    transitions: transitions.map(([name, at]) => [name, iso(at)]),
  };
  const ended = end ? { ended_at: iso(end) } : {};
  const jobs = [
    { job_id: "26f065244f754b3aa853b649a21aaf66", room_id: "room-3", streams: [stream], ...ended, ...job },
  ];
  return { version: 2, jobs };
}
