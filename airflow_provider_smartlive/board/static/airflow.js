// Airflow's public REST API, asked with the session of whoever looks.

/** Requests that are under way at the same time, at most: the API server also takes MetaStudio's callbacks. */
const TOGETHER = 4;

/** Milliseconds that one answer may take. */
const TIMEOUT = 30_000;

/** @typedef {"signed out" | "forbidden" | "missing" | "unavailable"} Trouble */

/** An answer that is none, and what that means for the page. */
export class AirflowError extends Error {
  /**
   * @param {Trouble} trouble
   * @param {string} message
   * @param {number} [retryAfter] milliseconds that Airflow wants to be left alone
   */
  constructor(trouble, message, retryAfter = 0) {
    super(message);
    this.trouble = trouble;
    this.retryAfter = retryAfter;
  }
}

/** @typedef {Record<string, string | number | boolean | readonly string[] | undefined>} Query */

export class Airflow {
  /**
   * @param {object} [options]
   * @param {string} [options.base] URL of the UI, with its path prefix
   * @param {typeof fetch} [options.fetch]
   */
  constructor({ base = document.baseURI, fetch = globalThis.fetch.bind(globalThis) } = {}) {
    this.base = base;
    this.requests = 0;
    /** Milliseconds by which the server's clock is ahead of this one. */
    this.clockOffset = 0;
    this._fetch = fetch;
    this._underWay = 0;
    /** @type {(() => void)[]} */
    this._waiting = [];
  }

  /** @returns {number} the time by the server's clock */
  now() {
    return Date.now() + this.clockOffset;
  }

  /**
   * @param {readonly (string | number)[]} path segments below `api/v2`
   * @param {Query} [query]
   * @param {AbortSignal} [signal]
   * @returns {Promise<Record<string, any>>} the answer
   * @throws {AirflowError}
   */
  async get(path, query = {}, signal) {
    await this._turn();
    try {
      return await this._ask(path, query, signal);
    } finally {
      this._underWay -= 1;
      this._waiting.shift()?.();
    }
  }

  async _turn() {
    while (this._underWay >= TOGETHER) {
      await new Promise((resolve) => this._waiting.push(() => resolve(undefined)));
    }
    this._underWay += 1;
  }

  /**
   * @param {readonly (string | number)[]} path
   * @param {Query} query
   * @param {AbortSignal | undefined} signal
   */
  async _ask(path, query, signal) {
    const url = new URL(`api/v2/${path.map((part) => encodeURIComponent(part)).join("/")}`, this.base);
    for (const [name, value] of Object.entries(query)) {
      if (value === undefined) continue;
      for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
    }
    const limit = AbortSignal.timeout(TIMEOUT);
    this.requests += 1;
    /** @type {Response} */
    let response;
    try {
      response = await this._fetch(url, {
        credentials: "same-origin",
        headers: { Accept: "application/json" },
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw new AirflowError(
        "unavailable",
        `Airflow cannot be reached (${error instanceof Error ? error.name : "error"}).`,
      );
    }
    this._adjustClock(response);
    if (!response.ok) throw refusal(response);
    try {
      return await response.json();
    } catch {
      signal?.throwIfAborted();
      throw new AirflowError("unavailable", "Airflow's answer cannot be read.");
    }
  }

  /** @param {Response} response */
  _adjustClock(response) {
    const at = Date.parse(response.headers.get("Date") ?? "");
    // The header has whole seconds: on average the server's clock is half a second ahead of it.
    if (!Number.isNaN(at)) {
      const offset = at + 500 - Date.now();
      if (Math.abs(offset - this.clockOffset) > 1500) this.clockOffset = Math.abs(offset) > 1500 ? offset : 0;
    }
  }
}

/** @param {Response} response @returns {AirflowError} */
function refusal(response) {
  if (response.status === 401) return new AirflowError("signed out", "Your session has ended.");
  if (response.status === 403) return new AirflowError("forbidden", "Airflow does not let you read this.");
  if (response.status === 404) return new AirflowError("missing", "Airflow answers with 404.");
  const seconds = Number(response.headers.get("Retry-After") ?? 0);
  const pause = Number.isFinite(seconds) ? Math.min(seconds, 300) * 1000 : 0;
  return new AirflowError("unavailable", `Airflow answers with ${response.status}.`, pause);
}
