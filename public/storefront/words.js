/** Numbers, prices and times in words that a shopper understands. */

const formats = new Map();

function format(currency) {
  try {
    return new Intl.NumberFormat(undefined, { style: 'currency', currency, trailingZeroDisplay: 'stripIfInteger' });
  } catch {
    return { format: (amount) => `${amount} ${currency}` }; // no currency that browsers know
  }
}

/** @param {number} amount @param {string} currency */
export function money(amount, currency) {
  if (!formats.has(currency)) formats.set(currency, format(currency));
  return formats.get(currency).format(amount);
}

const numbers = new Intl.NumberFormat();
export const count = (number) => numbers.format(number);

const pad = (number) => String(number).padStart(2, '0');

/** "0:47", "1:02:03", "3 d 04:05:06". Rounded up, so that it reads 0:00 only when the time is over. */
export function clockTime(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const days = Math.floor(seconds / 86400);
  const hours = Math.floor(seconds / 3600) % 24;
  const minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${pad(hours)}:${pad(minutes)}:${pad(seconds % 60)}`;
  if (hours) return `${hours}:${pad(minutes)}:${pad(seconds % 60)}`;
  return `${minutes}:${pad(seconds % 60)}`;
}

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'narrow' });

/** "just now", "3 min. ago". */
export function ago(ms) {
  const seconds = Math.round(ms / 1000);
  if (seconds < 10) return 'just now';
  if (seconds < 60) return relative.format(-seconds, 'second');
  if (seconds < 3600) return relative.format(-Math.floor(seconds / 60), 'minute');
  if (seconds < 86400) return relative.format(-Math.floor(seconds / 3600), 'hour');
  return relative.format(-Math.floor(seconds / 86400), 'day');
}

/** "Sat, Nov 22, 10:00 AM". @param {string} iso */
export const when = (iso) => new Date(iso).toLocaleString(undefined, {
  weekday: 'short', month: 'short', day: 'numeric', hour: 'numeric', minute: '2-digit',
});

export const STATUS = {
  UPCOMING: 'Soon',
  LIVE: 'Live',
  SOLD_OUT: 'Sold out',
  PAUSED: 'Paused',
  ENDED: 'Ended',
  CANCELLED: 'Cancelled',
};
