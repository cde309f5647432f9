// What both stores share: whom they ask for, how often, and what they do after errors.

import { AirflowError } from "./airflow.js";
import { MINUTE, SECOND } from "./times.js";

/** Milliseconds between two polls, and the longest pause after errors. */
export const INTERVAL = 5 * SECOND;
const LONGEST_PAUSE = MINUTE;

/** Milliseconds after which what changes seldom is read again. */
export const SELDOM = MINUTE;

/** Rows of one answer, which is also Airflow's own limit. */
export const PAGE = 100;

export const OPERATOR = "StartSmartLiveJobOperator";
export const CALLBACKS_KEY = "smartlive_callbacks";
export const JOB_KEY = "smartlive_job";
export const RESULT_KEY = "return_value";

/** @param {unknown} error @returns {AirflowError} */
export function asProblem(error) {
  return error instanceof AirflowError
    ? error
    : new AirflowError("unavailable", `An answer is odd: ${error}`);
}

/** @param {AirflowError} problem @param {number} failures in a row @returns {number} milliseconds to wait */
export function backOff(problem, failures) {
  return Math.max(problem.retryAfter, Math.min(LONGEST_PAUSE, INTERVAL * 2 ** (failures - 1)));
}
