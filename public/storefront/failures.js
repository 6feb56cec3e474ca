/**
 * Every failure in plain words, with what to do. The keys are the codes of the API, and two of the client's own: `network`
 * (no reply) and `bad_gateway` (a reply that is not the shop's). A test holds them against the API's list.
 */

const OUT_OF_STEP = 'This page and the shop do not understand each other. Reload the page.';

export const FAILURES = {
  network: 'No answer from the shop. Check your connection and tap again: you cannot be charged twice.',
  bad_gateway: 'The shop stumbled. Tap again: you cannot be charged twice.',
  busy: 'Very busy right now, and not sold out. Tap again.',
  issuer_unavailable: 'We cannot check who you are for a moment. Tap again shortly.',
  database_unavailable: 'The shop is out of reach for a moment. Tap again shortly: a hold stays good until its time is up.',
  internal_error: 'Something broke in the shop. Tap again: you cannot be charged twice.',
  not_configured: 'The shop is not ready to sell yet. Come back a little later.',

  sold_out: 'Someone was a moment faster. Stay here: a unit may come back.',
  drop_not_started: 'Not open yet. Stay here: the button arms itself.',
  drop_ended: 'This drop has ended. Look at the other drops.',
  drop_paused: 'The shop has paused this drop. Stay here: it opens again by itself.',
  drop_cancelled: 'The shop has cancelled this drop. You were not charged; look at the other drops.',
  drop_not_found: 'The shop has no such drop. Look at the other drops.',
  size_required: 'Choose a size first.',
  unknown_size: 'That size is not offered any more. Choose another.',
  limit_reached: 'You have all that one person may buy here. Look at the other drops.',
  rate_limited: 'That was very often in a short time. Wait a minute, then tap again.',
  stock_committed: 'Those units are held or sold. Try fewer.',

  reservation_expired: 'Your hold ran out and went back on sale. Reserve again if there is one left.',
  reservation_closed: 'This hold is over already. Reserve again if you want one more.',
  reservation_not_found: 'The shop does not know this hold. Reserve again.',
  not_owner: 'This hold is somebody else’s. Check the name at the top of the page.',

  user_not_found: 'The shop does not know you any more. Tap again and choose a name.',
  username_taken: 'That name is taken. Choose another.',
  unauthorized: 'The shop needs to know who you are. Sign in, then tap again.',
  forbidden: 'This name may not do that. Choose another at the top of the page.',

  validation_failed: OUT_OF_STEP,
  malformed_json: OUT_OF_STEP,
  too_large: OUT_OF_STEP,
  method_not_allowed: OUT_OF_STEP,
  not_found: OUT_OF_STEP,
  idempotency_mismatch: OUT_OF_STEP,
};

/** Where the shop itself is at fault it needs to find the request again. */
const REPORTED = new Set(['internal_error', 'bad_gateway', 'not_configured']);

/** @param {unknown} error a DropError, or a fault of this page */
export function failure(error) {
  const words = FAILURES[error?.code] ?? error?.detail ?? 'Something went wrong on this page. Reload it and try again.';
  return REPORTED.has(error?.code) && error.requestId ? `${words} Report no. ${error.requestId.slice(0, 8)}.` : words;
}
