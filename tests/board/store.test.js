import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Airflow, AirflowError } from "../../airflow_provider_smartlive/board/static/airflow.js";
import { backOff } from "../../airflow_provider_smartlive/board/static/polling.js";
import { LivestreamStore } from "../../airflow_provider_smartlive/board/static/store.js";
import { TaskStore } from "../../airflow_provider_smartlive/board/static/task_store.js";
import { PLANNED, iso, jobValue, tableValue, taskAnswer } from "./samples.js";

/** @type {Set<() => void>} */
const visibilityListeners = new Set();
const page = {
  hidden: false,
  baseURI: "http://airflow.test/ops/",
  addEventListener: (/** @type {string} */ _, /** @type {() => void} */ listener) =>
    visibilityListeners.add(listener),
  removeEventListener: (/** @type {string} */ _, /** @type {() => void} */ listener) =>
    visibilityListeners.delete(listener),
};
Object.assign(globalThis, { document: page });

/** An Airflow of which the tests say what it holds. */
class FakeAirflow {
  constructor() {
    /** @type {any[]} */
    this.tasks = [];
    /** @type {{key: string, task: any, value: any, timestamp: string}[]} */
    this.xcoms = [];
    /** @type {string[]} */
    this.asked = [];
    this.status = 200;
    this.underWay = 0;
    this.most = 0;
  }

  /** @param {any} task @param {string} key @param {any} value @param {string} [timestamp] */
  push(task, key, value, timestamp = iso(PLANNED)) {
    this.xcoms = this.xcoms.filter((xcom) => !(xcom.key === key && xcom.task === task));
    this.xcoms.push({ key, task, value, timestamp });
  }

  fetch = async (/** @type {URL} */ url) => {
    this.asked.push(`${url.pathname}${url.search}`);
    this.underWay += 1;
    this.most = Math.max(this.most, this.underWay);
    await Promise.resolve();
    this.underWay -= 1;
    const headers = { Date: new Date().toUTCString() };
    if (this.status !== 200) return new Response("{}", { status: this.status, headers });
    return new Response(JSON.stringify(this.answer(url)), { headers });
  };

  /** @param {URL} url @returns {unknown} */
  answer(url) {
    const path = url.pathname.replace("/ops/api/v2/", "").split("/").map(decodeURIComponent);
    const { searchParams: query } = url;
    const offset = Number(query.get("offset") ?? 0);
    const limit = Number(query.get("limit") ?? 50);
    if (path.at(-1) === "taskInstances") {
      const states = query.getAll("state").map((state) => (state === "no_status" ? null : state));
      const operators = query.getAll("operator");
      const found = this.tasks.filter(
        (task) =>
          (!states.length || states.includes(task.state)) &&
          (!operators.length || operators.includes(task.operator)),
      );
      return { task_instances: found.slice(offset, offset + limit), total_entries: found.length };
    }
    if (path.at(-1) === "xcomEntries") {
      const found = query.has("xcom_key")
        ? this.xcoms.filter((xcom) => xcom.key === query.get("xcom_key"))
        : this.xcoms.filter((xcom) => xcom.task.map_index === Number(query.get("map_index")));
      found.sort((one, other) => other.timestamp.localeCompare(one.timestamp));
      const entries = found.map(({ key, task, timestamp }) => ({
        ...task,
        run_id: task.dag_run_id,
        key,
        timestamp,
      }));
      return { xcom_entries: entries.slice(offset, offset + limit), total_entries: found.length };
    }
    if (path.includes("xcomEntries")) {
      const index = Number(query.get("map_index"));
      return this.xcoms.find((xcom) => xcom.key === path.at(-1) && xcom.task.map_index === index) ?? {};
    }
    if (path.includes("taskInstances"))
      return this.tasks.find((task) => task.map_index === Number(path.at(-1)));
    return path[0] === "dags" && path.length === 1 ? { dags: [], total_entries: 0 } : { is_paused: true };
  }

  /** @param {number} count of livestreams that are on the air */
  fill(count) {
    for (let index = 0; index < count; index += 1) {
      const task = taskAnswer({ map_index: index });
      this.tasks.push(task);
      this.push(task, "smartlive_job", jobValue());
      this.push(task, "smartlive_callbacks", tableValue([["CONNECTED", PLANNED + 6000]]));
    }
  }

  values() {
    return this.asked.filter((url) => /xcomEntries\//.test(url)).length;
  }
}

/** @type {FakeAirflow} */
let fake;
/** @type {LivestreamStore} */
let store;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  page.hidden = false;
  fake = new FakeAirflow();
  store = new LivestreamStore(new Airflow({ base: page.baseURI, fetch: /** @type {any} */ (fake.fetch) }));
});

/** As a page does that has room for all rows. */
function showAll() {
  store.subscribe(() => store.show(store.snapshot.active.map((row) => row.task.key)));
}

/** Let everything happen that waits for nothing but an answer. */
async function settle() {
  for (let turn = 0; turn < 2000; turn += 1) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 2000; turn += 1) await Promise.resolve();
}

/** @param {number} [milliseconds] */
async function pass(milliseconds = 5000) {
  fake.asked = [];
  mock.timers.tick(milliseconds);
  await settle();
  await settle();
}

test("a poll without news is two requests and reads no value", async () => {
  fake.fill(20);
  showAll();
  store.start();
  await pass(1);
  assert.equal(store.snapshot.phase, "ready");
  assert.equal(store.snapshot.active.length, 20);
  assert.equal(fake.values(), 40);
  assert.ok(
    store.snapshot.active.every((row) => row.isRead && row.job?.roomName === "Tea house" && row.callbacks),
  );
  await pass();
  assert.equal(fake.asked.length, 2);
  assert.equal(store.snapshot.requests, 2);
  store.stop();
});

test("requests go below the path prefix, and never more than four at once", async () => {
  fake.fill(60);
  store.start();
  await pass(1);
  assert.ok(fake.asked.every((url) => url.startsWith("/ops/api/v2/dags")));
  assert.equal(fake.most, 4);
  store.stop();
});

test("only the value is read that changed", async () => {
  fake.fill(20);
  showAll();
  store.start();
  await pass(1);
  const down = tableValue([
    ["CONNECTED", PLANNED + 6000],
    ["DISCONNECTED", PLANNED + 60_000],
  ]);
  fake.push(fake.tasks[7], "smartlive_callbacks", down, iso(PLANNED + 60_000));
  await pass();
  assert.equal(fake.values(), 1);
  const row = store.snapshot.active.find(({ task }) => task.mapIndex === 7);
  assert.equal(row?.callbacks?.streams[0]?.state, "DISCONNECTED");
  store.stop();
});

test("who has left the active ones is looked for among the ended ones", async () => {
  fake.fill(3);
  store.start();
  await pass(1);
  Object.assign(fake.tasks[1], { state: "success", end_date: iso(PLANNED + 60_000) });
  fake.push(fake.tasks[1], "return_value", { outcome: "the job succeeded", room_name: "Tea house" });
  await pass();
  assert.equal(store.snapshot.active.length, 2);
  assert.deepEqual(
    store.snapshot.ended.map((row) => row.summary?.outcome),
    ["the job succeeded"],
  );
  store.stop();
});

test("a room is called what an ended livestream called it", async () => {
  fake.fill(2);
  fake.push(fake.tasks[0], "smartlive_job", jobValue({ room_name: null }));
  Object.assign(fake.tasks[1], { state: "success", end_date: iso(PLANNED + 60_000) });
  fake.push(fake.tasks[1], "return_value", {
    outcome: "the job succeeded",
    room_id: "room-3",
    room_name: "Tea house",
  });
  store.start();
  await pass(1);
  assert.equal(store.snapshot.active[0]?.knownName, "Tea house");
  store.stop();
});

test("a new try forgets what the one before had", async () => {
  fake.fill(1);
  store.start();
  await pass(1);
  Object.assign(fake.tasks[0], { state: "running", try_number: 2 });
  fake.xcoms = [];
  await pass();
  assert.equal(store.snapshot.active[0]?.job, null);
  assert.equal(store.snapshot.active[0]?.callbacks, null);
  store.stop();
});

test("subclasses of the operator are found by our XComs", async () => {
  fake.fill(1);
  fake.tasks[0].operator = "GoLiveOperator";
  store.start();
  await pass(1);
  assert.equal(store.snapshot.active.length, 0);
  await pass();
  assert.deepEqual(
    store.snapshot.active.map((row) => row.task.operator),
    ["GoLiveOperator"],
  );
  store.stop();
});

test("hundreds are read in pages; a poll of them stays small, and each is seen in turn", async () => {
  fake.fill(300);
  store.start();
  await pass(1);
  assert.equal(store.snapshot.active.length, 300);
  store.show(["nobody"]);
  for (let poll = 0; poll < 31; poll += 1) await pass();
  assert.ok(store.snapshot.active.every((row) => row.isRead));
  await pass();
  assert.ok(fake.asked.length <= 4, fake.asked.join("\n"));
  fake.tasks.splice(155, 1);
  for (let poll = 0; poll < 7; poll += 1) await pass();
  assert.equal(store.snapshot.active.length, 299);
  store.stop();
});

test("nobody is asked while the page is hidden, and at once when it is seen again", async () => {
  fake.fill(1);
  store.start();
  await pass(1);
  page.hidden = true;
  for (const listener of visibilityListeners) listener();
  await pass(600_000);
  assert.equal(fake.asked.length, 0);
  page.hidden = false;
  for (const listener of visibilityListeners) listener();
  await pass(1);
  assert.ok(fake.asked.length >= 2);
  store.stop();
});

test("after errors it waits longer and longer, and keeps what it knew", async () => {
  fake.fill(2);
  store.start();
  await pass(1);
  fake.status = 503;
  await pass();
  assert.match(store.snapshot.error, /503/);
  assert.equal(store.snapshot.active.length, 2);
  await pass(4999);
  assert.equal(fake.asked.length, 0);
  await pass(1);
  assert.equal(fake.asked.length, 1);
  await pass(9999);
  assert.equal(fake.asked.length, 0);
  fake.status = 200;
  await pass(1);
  assert.equal(store.snapshot.error, "");
  const away = new AirflowError("unavailable", "", 90_000);
  assert.deepEqual(
    [1, 2, 3, 4, 5, 9].map((failures) => backOff(new AirflowError("unavailable", ""), failures) / 1000),
    [5, 10, 20, 40, 60, 60],
  );
  assert.equal(backOff(away, 1), 90_000);
  store.stop();
});

test("who may not read anything sees nothing, and asks no more", async () => {
  fake.status = 403;
  store.start();
  await pass(1);
  assert.deepEqual([store.snapshot.phase, store.snapshot.active], ["forbidden", []]);
  await pass(600_000);
  assert.equal(fake.asked.length, 0);
  store.stop();
});

test("a session that ends takes what is shown with it", async () => {
  fake.fill(2);
  store.start();
  await pass(1);
  fake.status = 401;
  await pass();
  assert.deepEqual(
    [store.snapshot.phase, store.snapshot.active, store.snapshot.ended],
    ["signed out", [], []],
  );
  store.stop();
});

/** @param {number} mapIndex */
function tabOf(mapIndex) {
  const airflow = new Airflow({ base: page.baseURI, fetch: /** @type {any} */ (fake.fetch) });
  return new TaskStore(airflow, { dagId: "campaign", runId: "scheduled__1", taskId: "go_live", mapIndex });
}

test("the tab shows the livestream of its task, and reads again only what changed", async () => {
  fake.fill(3);
  const tab = tabOf(1);
  tab.start();
  await pass(1);
  assert.equal(tab.snapshot.phase, "ready");
  assert.equal(tab.snapshot.livestream?.task.mapIndex, 1);
  assert.equal(tab.snapshot.livestream?.job?.roomName, "Tea house");
  await pass();
  assert.deepEqual([fake.asked.length, fake.values()], [2, 0]);
  tab.stop();
});

test("the tab of any other task says so", async () => {
  fake.tasks.push(taskAnswer({ map_index: 0, operator: "BashOperator" }));
  const tab = tabOf(0);
  tab.start();
  await pass(1);
  assert.deepEqual([tab.snapshot.phase, tab.snapshot.livestream], ["none", null]);
  fake.status = 403;
  await pass(60_000);
  assert.equal(tab.snapshot.phase, "forbidden");
  tab.stop();
});
