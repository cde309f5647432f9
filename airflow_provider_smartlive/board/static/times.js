// Times and durations as people read them. Pure.

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** @type {Map<string, Intl.DateTimeFormat>} Making a formatter is slow, using one is not. */
const formatters = new Map();

/**
 * @param {string} zone
 * @param {Intl.DateTimeFormatOptions} options
 */
function formatter(zone, options) {
  const key = `${zone} ${JSON.stringify(options)}`;
  let made = formatters.get(key);
  if (made === undefined) {
    try {
      made = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone });
    } catch {
      made = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" });
    }
    formatters.set(key, made);
  }
  return made;
}

/**
 * Read a time of Airflow or of the callback table.
 *
 * @param {unknown} value ISO 8601 with a zone
 * @returns {number | null} milliseconds since 1970; null if it is no time
 */
export function instant(value) {
  if (typeof value !== "string" || value.length > 64) return null;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : at;
}

/**
 * @param {number} milliseconds
 * @returns {string} such as "42 s", "7 min", "1 h 05 min" or "3 d 4 h"
 */
export function duration(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / SECOND));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 5) return seconds % 60 ? `${minutes} min ${seconds % 60} s` : `${minutes} min`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/**
 * @param {number} milliseconds
 * @returns {string} such as "0:42", "31:07" or "1:05:09"
 */
export function stopwatch(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / SECOND));
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/**
 * @param {number} at
 * @param {string} zone an IANA name, as Airflow's UI keeps it
 * @returns {string} such as "19:00:08"
 */
export function clock(at, zone) {
  return formatter(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(
    at,
  );
}

/**
 * @param {number} at
 * @param {string} zone
 * @param {number} now
 * @returns {string} such as "19:00"; with the day if that is not today's: "Sat 28 Nov 19:00"
 */
export function shortTime(at, zone, now) {
  const time = formatter(zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
  if (dayOf(at, zone) === dayOf(now, zone)) return time;
  const day = formatter(zone, { weekday: "short", day: "numeric", month: "short" }).format(at);
  return `${day.replace(",", "")} ${time}`;
}

/**
 * @param {number} at
 * @param {string} zone
 * @returns {string} such as "2026-11-28 19:00:08"
 */
export function fullTime(at, zone) {
  return `${dayOf(at, zone)} ${clock(at, zone)}`;
}

/**
 * @param {number} at
 * @param {string} zone
 * @returns {string} such as "2026-11-28"
 */
export function dayOf(at, zone) {
  const parts = formatter(zone, { year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(at);
  const of = (/** @type {string} */ type) => parts.find((part) => part.type === type)?.value ?? "";
  return `${of("year")}-${of("month")}-${of("day")}`;
}

/**
 * @param {string} zone
 * @param {number} at
 * @returns {number} milliseconds by which the zone's clocks are ahead of UTC at that time
 */
export function zoneOffset(zone, at) {
  const second = Math.floor(at / SECOND) * SECOND;
  return Date.parse(`${fullTime(second, zone).replace(" ", "T")}Z`) - second;
}

/**
 * @param {string} day such as "2026-11-28"
 * @param {string} zone
 * @returns {{from: number, to: number} | null} the day's beginning and end in the zone; null if it is no day
 */
export function dayRange(day, zone) {
  const midnight = /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(`${day}T00:00:00Z`) : NaN;
  if (Number.isNaN(midnight)) return null;
  const begin = (/** @type {number} */ utc) => utc - zoneOffset(zone, utc - zoneOffset(zone, utc));
  return { from: begin(midnight), to: begin(midnight + DAY) };
}
