/** Numbers, times and failures in words that a shopper understands. */

const formats = new Map();

/** @param {number} amount @param {string} currency */
export function money(amount, currency) {
  if (!formats.has(currency)) {
    formats.set(currency, new Intl.NumberFormat(undefined, {
      style: 'currency', currency, trailingZeroDisplay: 'stripIfInteger',
    }));
  }
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

const FAILURES = {
  network: 'We cannot reach the shop. Check your connection and try again: you will not be charged twice.',
  bad_gateway: 'The shop did not answer properly. Try again: you will not be charged twice.',
  busy: 'Many people are buying this very second, and it is not sold out. Try again.',
  database_unavailable: 'The shop is out of reach for a moment. Try again shortly; your hold is safe until its time is up.',
  sold_out: 'Someone was a moment faster. Units come back when holds run out; this page shows it at once.',
  drop_not_started: 'This drop is not open yet. The button opens by itself.',
  drop_ended: 'This drop has ended.',
  drop_paused: 'The shop has paused this drop. It opens here again by itself.',
  drop_cancelled: 'The shop has cancelled this drop.',
  size_required: 'Choose a size first.',
  unknown_size: 'That size is no longer offered. Choose another.',
  limit_reached: 'You already have as many as one person may buy here.',
  reservation_expired: 'Your hold ran out and the unit went to the next in line. You can reserve again if there is stock.',
  reservation_closed: 'This hold is already closed.',
  reservation_not_found: 'The shop does not know this hold any more. Reserve again.',
  not_owner: 'This hold belongs to somebody else. Check the name at the top of the page.',
  user_not_found: 'The shop does not know you any more. Choose a name at the top of the page.',
  unauthorized: 'Please sign in, then try again.',
  username_taken: 'That name is taken. Choose another.',
};

/** @param {unknown} error a DropError, or a fault of this page */
export function failure(error) {
  return FAILURES[error?.code] ?? error?.detail ?? 'Something went wrong on this page. Reload it and try again.';
}
