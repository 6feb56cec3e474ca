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
const ASK_AGAIN_MS = 3000;
const ASKING = 'Asking the shop what became of your hold.';

/** Nothing that the shop itself has said: what was asked of it may have been done all the same. */
const isUnanswered = ({ status }) => status === 0 || status === 429 || status >= 500;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

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
  /** Who tapped last. */
  let asker = null;
  /** Counts what the shop is asked and what it has told: an answer to something older must not undo it. */
  let turn = 0;
  /** Something was asked about the hold after the shop's last word on it: its deadline then decides nothing. */
  let unsure = false;

  function become(next) {
    const since = next.phase && next.phase !== state.phase ? performance.now() : state.since;
    state = { ...state, message: '', code: null, tone: 'plain', since, ...next };
    onChange(state);
  }

  /** Whether the window is still theirs: the name may change, here or in another tab, while the shop is asked. */
  const isHere = (user) => session.user?.id === user?.id;

  /** What the shop says of a user's hold is remembered for that one, and shown to nobody else. */
  function keep(hold, next, user = session.user) {
    session.setHold(dropId, hold, user?.id);
    if (!isHere(user)) return;
    turn += 1;
    unsure = false;
    become({ hold, ...next });
  }

  const isWaiting = () => state.phase === 'asking' || state.phase === 'buying';

  function wait(phase, user, more = {}) {
    asker = user;
    turn += 1;
    become({ phase, ...more });
    return turn;
  }

  function holdOf(reservation) {
    return {
      reservationId: reservation.id,
      size: reservation.size || null,
      expiresAt: Date.parse(reservation.expires_at),
    };
  }

  const told = (error) => ({ message: failure(error), code: error?.code ?? null, tone: 'bad' });

  function fail(error, next) {
    become({ ...next, ...told(error) });
    if (error?.code === 'user_not_found') session.setUser(null);
  }

  /** A refused purchase or release: the server says what has become of the hold. */
  async function settle(error, mine) {
    if (mine !== turn) return;
    if (OVER.has(error.code)) return void (await recall(told(error)));
    unsure = true;
    fail(error, { phase: 'held' });
  }

  async function reserve(size) {
    if (state.phase !== 'none') return;
    const user = await who.require();
    // Choosing a name has already looked for a hold of that name.
    if (!user || state.phase !== 'none') return;
    const mine = wait('asking', user);
    try {
      const { reservation, replayed } = await client.reserve(dropId, { ...session.claim(user), ...(size ? { size } : {}) });
      tappedAt = performance.now();
      warned = Infinity;
      keep(holdOf(reservation), { phase: 'held' }, user);
      if (!isHere(user)) return;
      if (size) session.size = size;
      const left = clockTime(state.hold.expiresAt - client.serverNow());
      announce(`${replayed ? 'You already hold one' : 'Reserved'}. ${left} left to buy.`);
    } catch (error) {
      if (mine === turn) fail(error, { phase: 'none' });
    }
  }

  const isSettled = () => performance.now() - tappedAt >= SETTLE_MS;

  async function purchase() {
    if (state.phase !== 'held' || !isSettled()) return;
    const { user } = session;
    const { hold } = state;
    const mine = wait('buying', user);
    try {
      const { purchase: receipt } = await client.purchase(hold.reservationId, session.claim(user));
      keep({ ...hold, receipt }, { phase: 'bought' }, user);
      if (isHere(user)) announce('Bought. It is yours.');
    } catch (error) {
      await settle(error, mine);
    }
  }

  async function release() {
    if (state.phase !== 'held') return;
    const { user } = session;
    const mine = wait('buying', user);
    try {
      await client.release(state.hold.reservationId, session.claim(user));
      keep(null, { phase: 'none', message: 'Released. It is back on sale.' }, user);
    } catch (error) {
      await settle(error, mine);
    }
  }

  /**
   * What the session remembers, shown at once and checked with the server: after a reload, in another tab, as another.
   * @param {Partial<HoldState>} [over] what to say where the hold is over
   */
  async function recall(over = {}) {
    const mine = (turn += 1);
    const known = session.hold(dropId);
    if (!known) {
      if (state.phase !== 'none') become({ phase: 'none', hold: null, ...over });
      return;
    }
    if (known.receipt) return void become({ phase: 'bought', hold: known });
    if (state.hold?.reservationId !== known.reservationId) {
      become(known.expiresAt > client.serverNow() ? { phase: 'held', hold: known } : { phase: 'none', hold: null });
    }
    const { user } = session;
    unsure = true;
    const answer = await client.reservation(known.reservationId, session.claim(user)).catch((error) => ({ error }));
    if (mine !== turn) return;
    if (answer.reservation) await take(answer.reservation, user, mine, over);
    else await doubt(answer.error, known, over);
  }

  /** What the server says of a hold that this page did not make just now. */
  async function take(reservation, user, mine, over) {
    if (reservation.status === 'ACTIVE') return keep(holdOf(reservation), { phase: 'held' });
    if (reservation.status !== 'PURCHASED') return keep(null, { phase: 'none', ...over });
    // It is bought: asking again buys nothing and gives the receipt once more.
    const again = await client.purchase(reservation.id, session.claim(user)).catch(() => ({}));
    if (mine === turn) keep({ ...holdOf(reservation), receipt: again.purchase ?? {} }, { phase: 'bought' }, user);
  }

  /** What has become of a hold is not to be learned now. It may still be good: its deadline decides, and then the shop. */
  async function doubt(error, known, over) {
    if (error.status === 403 || error.status === 404) return keep(null, { phase: 'none', ...over });
    if (known.expiresAt > client.serverNow()) return become({ phase: 'held', hold: known, ...over });
    // Who has to sign in first is told so, and the hold is kept until then.
    if (!isUnanswered(error)) return fail(error, { phase: 'none', hold: null });
    const mine = wait('buying', session.user, { hold: known, message: ASKING });
    await pause(ASK_AGAIN_MS);
    if (mine === turn) await recall(over);
  }

  /** The hold is over. A purchase that nobody answered may have been in time: only the shop knows. */
  function end(over) {
    if (!unsure) return void keep(null, { phase: 'none', ...over });
    wait('buying', session.user, { message: ASKING });
    recall(over);
  }

  function expire() {
    const code = 'reservation_expired';
    if (!unsure) announce('Your hold ran out.');
    end({ message: failure({ code }), code });
  }

  /** Called a few times a second. @returns {number} ms left of the hold, 0 without one */
  function tick() {
    if (state.phase !== 'held' && state.phase !== 'buying') return 0;
    const left = state.hold.expiresAt - client.serverNow();
    // A purchase under way may have been in time: its answer decides.
    if (left <= 0 && state.phase === 'held') {
      expire();
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
    reserve, purchase, release, tick, isSettled,
    /** The user or a hold has changed; where their own request is under way, its answer says what to show. */
    async restore() {
      if (!isWaiting() || !isHere(asker)) await recall();
    },
    /** A live hold that the server has found: made on another device. */
    adopt(reservation) {
      if (state.phase === 'none') keep(holdOf(reservation), { phase: 'held' });
    },
    say: (message) => become({ message, tone: 'bad' }),
    hush: () => state.message && become({}),
    /** The drop is cancelled, and the hold with it. */
    cancel: () => end({ message: failure({ code: 'drop_cancelled' }), tone: 'bad' }),
    /** Put the receipt away. */
    dismiss: () => keep(null, { phase: 'none' }),
    /** @returns {HoldState} */
    get state() {
      return state;
    },
  };
}
