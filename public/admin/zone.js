/** Times as the shop's owner writes them, in the time zone of this computer; the API has them in UTC. */

/** "Europe/Berlin" */
export const zoneName = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** "Europe/Berlin, UTC+1 now". @param {Date} [at] */
export function zoneLabel(at = new Date()) {
  const minutes = -at.getTimezoneOffset();
  const hours = Math.floor(Math.abs(minutes) / 60);
  const rest = Math.abs(minutes) % 60;
  const offset = minutes === 0 ? 'UTC' : `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
  return `${zoneName()}, ${offset} now`;
}

const pad = (number, digits = 2) => String(number).padStart(digits, '0');

/** What <input type="datetime-local"> shows for an instant: to the minute, or to the second if it has some. @param {string|null} iso */
export function toLocal(iso) {
  if (!iso) return '';
  const at = new Date(iso);
  const day = `${pad(at.getFullYear(), 4)}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}`;
  const seconds = at.getSeconds() ? `:${pad(at.getSeconds())}` : '';
  return `${day}T${pad(at.getHours())}:${pad(at.getMinutes())}${seconds}`;
}

/**
 * The instant that such an input means. An hour that the clocks skip in spring is the one after; one that comes twice in
 * autumn is the first.
 * @param {string} local @returns {string|null} ISO 8601 in UTC; null for an empty or impossible one
 */
export function toInstant(local) {
  const at = new Date(local);
  return local === '' || Number.isNaN(at.getTime()) ? null : at.toISOString();
}

const DAY = { weekday: 'short', day: 'numeric', month: 'short' };
const TIME = { hour: 'numeric', minute: '2-digit' };

/** @param {Date} at @param {Intl.DateTimeFormatOptions} time */
function format(at, time) {
  const year = at.getFullYear() === new Date().getFullYear() ? {} : { year: 'numeric' };
  return new Intl.DateTimeFormat(undefined, { ...DAY, ...year, ...time }).format(at);
}

/** "Tue, Nov 24, 10:00 AM"; with the year if it is another. @param {string} iso */
export const dayAndTime = (iso) => format(new Date(iso), TIME);

/** The same to the second. @param {string} iso */
export const toTheSecond = (iso) => format(new Date(iso), { ...TIME, second: '2-digit' });
