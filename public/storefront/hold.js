/**
 * A shopper's own hold on one drop: none, asking, held, bought. It calls the API, keeps what it learns in the session
 * and tells the card to draw itself again.
 */
import { announce } from './dom.js';
import { clockTime, failure } from './words.js';

/** @typedef {{phase: 'none'|'asking'|'held'|'buying'|'bought', hold: any, message: string, tone: 'plain'|'bad'}} HoldState */

/** Said aloud when this many seconds are left. */
const WARNINGS = [30, 10];

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
  let state = { phase: 'none', hold: null, message: '', tone: 'plain' };
  let warned = Infinity;

  function become(next) {
    state = { ...state, message: '', tone: 'plain', ...next };
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

  function hold(next) {
    warned = Infinity;
    keep(next, { phase: 'held' });
  }

  function fail(error, next) {
    become({ ...next, message: failure(error), tone: 'bad' });
  }

  /** A refused purchase or release: the server says what has become of the hold. */
  async function settle(error) {
    const over = ['reservation_expired', 'reservation_not_found', 'reservation_closed'].includes(error.code);
    if (!over) return fail(error, { phase: 'held' });
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
      const { reservation, replayed } = await client.reserve(dropId, { userId: user.id, ...(size ? { size } : {}) });
      hold(holdOf(reservation));
      const left = clockTime(state.hold.expiresAt - client.serverNow());
      announce(`${replayed ? 'You already hold one' : 'Reserved'}. ${left} left to buy.`);
    } catch (error) {
      fail(error, { phase: 'none' });
    }
  }

  async function purchase() {
    if (state.phase !== 'held') return;
    become({ phase: 'buying' });
    try {
      const { purchase: receipt } = await client.purchase(state.hold.reservationId, { userId: session.user.id });
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
      await client.release(state.hold.reservationId, { userId: session.user.id });
      keep(null, { phase: 'none', message: 'Released. It is back on sale.' });
    } catch (error) {
      await settle(error);
    }
  }

  /** What the session remembers, checked with the server: after a reload, in another tab, under another name. */
  async function restore() {
    const known = session.hold(dropId);
    if (!known) {
      if (state.phase !== 'none') become({ phase: 'none', hold: null });
      return;
    }
    if (known.receipt) return void become({ phase: 'bought', hold: known });
    const { user } = session;
    try {
      const { reservation } = await client.reservation(known.reservationId, { userId: user.id });
      if (session.user?.id !== user.id) return;
      if (reservation.status === 'ACTIVE') become({ phase: 'held', hold: { ...known, ...holdOf(reservation) } });
      else if (reservation.status === 'PURCHASED') keep({ ...known, receipt: {} }, { phase: 'bought' });
      else keep(null, { phase: 'none' });
    } catch (error) {
      // Out of reach, the hold may still be good: its deadline decides.
      if (error.status === 0 || error.status >= 500) become({ phase: 'held', hold: known });
      else keep(null, { phase: 'none' });
    }
  }

  /** Called a few times a second. @returns {number} ms left of the hold, 0 without one */
  function tick() {
    if (state.phase !== 'held' && state.phase !== 'buying') return 0;
    const left = state.hold.expiresAt - client.serverNow();
    // A purchase under way may have been in time: its answer decides.
    if (left <= 0 && state.phase === 'held') {
      announce('Your hold ran out.');
      keep(null, { phase: 'none', message: failure({ code: 'reservation_expired' }) });
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
    reserve, purchase, release, restore, tick,
    say: (message) => become({ message, tone: 'bad' }),
    /** The drop is cancelled, and the hold with it. */
    cancel: () => keep(null, { phase: 'none', message: failure({ code: 'drop_cancelled' }), tone: 'bad' }),
    /** Put the receipt away. */
    dismiss: () => keep(null, { phase: 'none' }),
    get state() {
      return state;
    },
  };
}
