/**
 * A shopper's own hold on one drop: none, asking, held, buying, bought. It calls the API, keeps what it learns in the session
 * and tells the card to draw itself again.
 */
import { announce } from './dom.js';
import { failure } from './failures.js';
import { clockTime } from './words.js';

/**
 * @typedef {object} HoldState
 * @property {'none'|'asking'|'held'|'buying'|'bought'} phase
 * @property {any} hold
 * @property {string} message what went wrong, or well, with what to do
 * @property {string|null} code of the failure that it tells of
 * @property {'plain'|'bad'} tone
 * @property {number} since local time in ms at which the phase began
 */

/** Said aloud when this many seconds are left. */
const WARNINGS = [30, 10];
/** Buy comes where Reserve was: the second tap of a hurried double tap is no purchase. */
const SETTLE_MS = 700;
const OVER = new Set(['reservation_expired', 'reservation_not_found', 'reservation_closed']);

/**
 * @param {object} options
 * @param {any} options.client
 * @param {ReturnType<import('./session.js').createSession>} options.session
 * @param {{require: () => Promise<any>}} options.who
 * @param {number} options.dropId
 * @param {(state: HoldState) => void} options.onChange
 */
export function createHold({ client, session, who, dropId, onChange }) {
  /** @type {HoldState} */
  let state = { phase: 'none', hold: null, message: '', code: null, tone: 'plain', since: 0 };
  let warned = Infinity;
  let tappedAt = -Infinity;

  function become(next) {
    const since = next.phase && next.phase !== state.phase ? performance.now() : state.since;
    state = { ...state, message: '', code: null, tone: 'plain', since, ...next };
    onChange(state);
  }

  function keep(hold, next) {
    session.setHold(dropId, hold);
    become({ hold, ...next });
  }

  function holdOf(reservation) {
    return {
      reservationId: reservation.id,
      size: reservation.size || null,
      expiresAt: Date.parse(reservation.expires_at),
    };
  }

  function hold(reservation) {
    warned = Infinity;
    keep(holdOf(reservation), { phase: 'held' });
  }

  function fail(error, next) {
    become({ ...next, message: failure(error), code: error?.code ?? null, tone: 'bad' });
    if (error?.code === 'user_not_found') session.setUser(null);
  }

  /** A refused purchase or release: the server says what has become of the hold. */
  async function settle(error) {
    if (!OVER.has(error.code)) return fail(error, { phase: 'held' });
    await restore();
    if (state.phase !== 'bought') fail(error, {});
    return undefined;
  }

  async function reserve(size) {
    if (state.phase !== 'none') return;
    const user = await who.require();
    // Choosing a name has already looked for a hold of that name.
    if (!user || state.phase !== 'none') return;
    become({ phase: 'asking' });
    try {
      const { reservation, replayed } = await client.reserve(dropId, { ...session.claim(user), ...(size ? { size } : {}) });
      tappedAt = performance.now();
      hold(reservation);
      if (size) session.size = size;
      const left = clockTime(state.hold.expiresAt - client.serverNow());
      announce(`${replayed ? 'You already hold one' : 'Reserved'}. ${left} left to buy.`);
    } catch (error) {
      fail(error, { phase: 'none' });
    }
  }

  const isSettled = () => performance.now() - tappedAt >= SETTLE_MS;

  async function purchase() {
    if (state.phase !== 'held' || !isSettled()) return;
    become({ phase: 'buying' });
    try {
      const { purchase: receipt } = await client.purchase(state.hold.reservationId, session.claim());
      keep({ ...state.hold, receipt }, { phase: 'bought' });
      announce('Bought. It is yours.');
    } catch (error) {
      await settle(error);
    }
  }

  async function release() {
    if (state.phase !== 'held') return;
    become({ phase: 'buying' });
    try {
      await client.release(state.hold.reservationId, session.claim());
      keep(null, { phase: 'none', message: 'Released. It is back on sale.' });
    } catch (error) {
      await settle(error);
    }
  }

  /** What the session remembers, shown at once and checked with the server: after a reload, in another tab, as another. */
  async function restore() {
    const known = session.hold(dropId);
    if (!known) {
      if (state.phase !== 'none') become({ phase: 'none', hold: null });
      return;
    }
    if (known.receipt) return void become({ phase: 'bought', hold: known });
    if (state.phase === 'none' && known.expiresAt > client.serverNow()) become({ phase: 'held', hold: known });
    const { user } = session;
    try {
      const { reservation } = await client.reservation(known.reservationId, session.claim(user));
      if (session.user?.id === user.id) await take(reservation, user);
    } catch (error) {
      // Out of reach, the hold may still be good: its deadline decides.
      if (error.status === 0 || error.status >= 500) become({ phase: 'held', hold: known });
      else keep(null, { phase: 'none' });
    }
  }

  /** What the server says of a hold that this page did not make just now. */
  async function take(reservation, user) {
    if (reservation.status === 'ACTIVE') keep(holdOf(reservation), { phase: 'held' });
    else if (reservation.status !== 'PURCHASED') keep(null, { phase: 'none' });
    else {
      // It is bought: asking again buys nothing and gives the receipt once more.
      const again = await client.purchase(reservation.id, session.claim(user)).catch(() => ({}));
      keep({ ...holdOf(reservation), receipt: again.purchase ?? {} }, { phase: 'bought' });
    }
  }

  /** Called a few times a second. @returns {number} ms left of the hold, 0 without one */
  function tick() {
    if (state.phase !== 'held' && state.phase !== 'buying') return 0;
    const left = state.hold.expiresAt - client.serverNow();
    // A purchase under way may have been in time: its answer decides.
    if (left <= 0 && state.phase === 'held') {
      announce('Your hold ran out.');
      const code = 'reservation_expired';
      keep(null, { phase: 'none', message: failure({ code }), code });
      return 0;
    }
    const due = WARNINGS.filter((seconds) => left <= seconds * 1000 && seconds < warned);
    if (due.length) {
      warned = Math.min(...due);
      if (left > (warned - 5) * 1000) announce(`${warned} seconds left to buy.`);
    }
    return Math.max(left, 0);
  }

  return {
    reserve, purchase, release, restore, tick, isSettled,
    /** A live hold that the server has found: made on another device. */
    adopt(reservation) {
      if (state.phase === 'none') keep(holdOf(reservation), { phase: 'held' });
    },
    say: (message) => become({ message, tone: 'bad' }),
    hush: () => state.message && become({}),
    /** The drop is cancelled, and the hold with it. */
    cancel: () => keep(null, { phase: 'none', message: failure({ code: 'drop_cancelled' }), tone: 'bad' }),
    /** Put the receipt away. */
    dismiss: () => keep(null, { phase: 'none' }),
    /** @returns {HoldState} */
    get state() {
      return state;
    },
  };
}
