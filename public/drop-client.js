/**
 * Live drops for any page, with pusher-js loaded before it.
 *     const client = connect({ api: 'https://shop.example' });
 *     const stop = client.watchDrop(1, (drop) => render(drop));
 *     const { reservation } = await client.reserve(1, { userId: 7, size: '42' });
 *     await client.purchase(reservation.id, { userId: 7 });
 *
 * Snapshots over HTTP and events over the channel go through drop-client/state.js, which never lets an older stock
 * replace a newer one. Without a channel the client polls, and goes live again when the channel is back
 * (drop-client/sync.js).
 */
import { createCalls, DropError, randomKey } from './drop-client/calls.js';
import { createClock } from './drop-client/clock.js';
import { createStore } from './drop-client/store.js';
import { Sync } from './drop-client/sync.js';
import { TIMING } from './drop-client/timing.js';
import { createEmitter } from './drop-client/util.js';

export { DropError };
/**
 * @typedef {import('./drop-client/state.js').Drop} Drop
 * @typedef {import('./drop-client/state.js').DropSize} DropSize
 * @typedef {import('./drop-client/state.js').DropStatus} DropStatus
 * @typedef {import('./drop-client/state.js').Purchaser} Purchaser
 * @typedef {import('./drop-client/calls.js').Reservation} Reservation
 * @typedef {import('./drop-client/calls.js').Purchase} Purchase
 * @typedef {import('./drop-client/calls.js').HeaderProvider} HeaderProvider
 * @typedef {import('./drop-client/sync.js').ConnectionState} ConnectionState
 *
 * @typedef {Pick<Drop, 'id'|'name'|'imageUrl'|'price'|'currency'|'totalStock'|'availableStock'|'dropStartTime'|'version'>}
 *   PurchasedDrop The drop as it was at the purchase.
 *
 * @typedef {object} EventMap What `on` tells, by event.
 * @property {{message: string}} connected
 * @property {import('./drop-client/state.js').StockUpdate} stockUpdate
 * @property {{dropId: number, userId: number, username: string, timestamp: string, purchaseId: number}} newPurchase
 * @property {{dropId: number, status: DropStatus, version: number}} dropChanged
 * @property {ConnectionState} state
 *
 * @typedef {object} Options
 * @property {string} [api] origin of the API; '' for the page's own
 * @property {any} [Pusher] the pusher-js class; the global one by default
 * @property {typeof globalThis.fetch} [fetch]
 * @property {HeaderProvider} [headers] for a buyer's requests (not for snapshots, which caches share), at once or as a
 *   promise; e.g. `async ({ refused }) => ({ Authorization: `Bearer ${await token({ renew: refused })}` })`
 * @property {boolean} [feed] false: do not subscribe to purchases. They are most of a hot drop's messages; `recentPurchases`
 *   then comes with snapshots only, and `newPurchase` not at all.
 * @property {Partial<typeof TIMING>} [timing]
 *
 * @typedef {DropClient} Client
 */

/**
 * @param {Options} [options]
 * @returns {DropClient}
 */
export function connect(options = {}) {
  return new DropClient(options);
}

class DropClient {
  #calls;
  #clock = createClock();
  #store;
  #sync;
  #emitter = createEmitter();

  /** @param {Options} options */
  constructor({ api = '', Pusher, fetch = globalThis.fetch.bind(globalThis), headers, feed = true, timing }) {
    this.#calls = createCalls({ api, fetch, headers, clock: this.#clock });
    this.#store = createStore(() => this.serverNow());
    this.#sync = new Sync({
      Pusher,
      calls: this.#calls,
      store: this.#store,
      timing: { ...TIMING, ...timing },
      feed,
      emit: this.#emitter.emit,
    });
    this.#sync.start();
  }

  /**
   * Follow a list of drops, as GET /api/drops gives it.
   * @param {(drops: Drop[]) => void} callback at once when known, and after each change
   * @param {{status?: 'live'|'upcoming'|'ended'|'all'}} [options]
   * @returns {() => void} stops it
   */
  watchDrops(callback, { status = 'live' } = {}) {
    return this.#watch(this.#store.addList(status, callback));
  }

  /** Follow one drop. @param {number} id @param {(drop: Drop) => void} callback @returns {() => void} stops it */
  watchDrop(id, callback) {
    return this.#watch(this.#store.addDrop(id, callback));
  }

  /** @param {() => void} remove */
  #watch(remove) {
    this.#sync.follow();
    this.#sync.lookIn(0);
    return () => {
      remove();
      this.#sync.follow();
    };
  }

  /**
   * How the page is kept up to date: by events, by polling, or not at the moment.
   * @param {(state: ConnectionState) => void} callback @returns {() => void}
   */
  onState(callback) {
    if (this.#sync.state) callback(this.#sync.state);
    return this.on('state', callback);
  }

  /**
   * Raw events: `connected` {message}, `stockUpdate`, `newPurchase`, `dropChanged`, as they come, repeated ones too.
   * @template {keyof EventMap} Name
   * @param {Name} event @param {(data: EventMap[Name]) => void} callback @returns {() => void}
   */
  on(event, callback) {
    return this.#emitter.on(event, callback);
  }

  /** The server's time in ms, right even where the local clock is wrong. */
  serverNow() {
    return this.#clock.now();
  }

  // ---- buying; each may be repeated without a second effect, and is, when a reply is lost ----

  /**
   * Hold one unit. Gives the hold that the user already has, if there is one (`replayed`).
   * @param {number} dropId @param {{userId?: number, size?: string}} [body]
   * @returns {Promise<{message: string, reservation: Reservation, expiresAt: string, serverTime: string, replayed: boolean}>}
   * @throws {DropError}
   */
  async reserve(dropId, body = {}) {
    const reply = await this.#calls.persist('POST', `/api/reserve/${dropId}`, body);
    this.#sync.sold(dropId);
    return reply;
  }

  /**
   * Buy what is held.
   * @param {number} reservationId @param {{userId?: number}} [body]
   * @returns {Promise<{message: string, purchase: Purchase, drop: PurchasedDrop, replayed: boolean}>}
   * @throws {DropError}
   */
  async purchase(reservationId, body = {}) {
    const reply = await this.#calls.persist('POST', `/api/purchase/${reservationId}`, body);
    this.#sync.sold(reply.purchase.dropId);
    return reply;
  }

  /**
   * Give a hold back.
   * @param {number} reservationId @param {{userId?: number}} [body]
   * @returns {Promise<{reservation: Reservation, replayed: boolean}>}
   * @throws {DropError}
   */
  async release(reservationId, body = {}) {
    const reply = await this.#calls.persist('DELETE', `/api/reservations/${reservationId}`, body);
    this.#sync.sold(reply.reservation.dropId);
    return reply;
  }

  /**
   * A hold of one's own as it is now.
   * @param {number} reservationId @param {{userId?: number}} [who]
   * @returns {Promise<{reservation: Reservation, secondsLeft: number}>}
   * @throws {DropError}
   */
  reservation(reservationId, { userId } = {}) {
    const query = userId === undefined ? '' : `?userId=${encodeURIComponent(userId)}`;
    return this.#calls.persist('GET', `/api/reservations/${reservationId}${query}`);
  }

  /**
   * One's own holds in these drops that are still good: also those that another device made.
   * @param {number[]} dropIds at most 50 @param {{userId?: number}} [who]
   * @returns {Promise<{reservations: Reservation[]}>}
   * @throws {DropError}
   */
  reservations(dropIds, { userId } = {}) {
    const query = new URLSearchParams(dropIds.map((id) => ['dropId', String(id)]));
    if (userId !== undefined) query.set('userId', String(userId));
    return this.#calls.persist('GET', `/api/reservations?${query}`);
  }

  /**
   * A new user by name; DropError `username_taken` if it is not free.
   * @param {string} username
   * @param {{key?: string}} [options] the Idempotency-Key: a call that got no reply, made again with its key, gives the
   *   user that it had made. Without one each call is another wish.
   * @returns {Promise<{message: string, user: {id: number, username: string}, replayed: boolean}>}
   * @throws {DropError}
   */
  createUser(username, { key = randomKey() } = {}) {
    return this.#calls.persist('POST', '/api/users', { username }, { 'Idempotency-Key': key });
  }

  /** All users; only a development server tells. @returns {Promise<{users: {id: number, username: string}[]}>} */
  users() {
    return this.#calls.persist('GET', '/api/users');
  }

  /** Ask for a drop's snapshot now; events carry neither `nextExpiryAt` nor `soldCount`. @param {number} dropId */
  refresh(dropId) {
    this.#sync.refresh(dropId);
  }

  /** Stop everything; the client is of no use afterwards. */
  close() {
    this.#sync.close();
    this.#store.close();
  }
}
