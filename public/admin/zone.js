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

const full = () => new Intl.DateTimeFormat(undefined, {
  weekday: 'short', day: 'numeric', month: 'short', year: 'numeric', hour: 'numeric', minute: '2-digit', second: '2-digit',
});

/** "Tue, Nov 24, 2026, 10:00:00 AM". @param {string} iso */
export const fullTime = (iso) => full().format(new Date(iso));
