/**
 * Live drops for any page, with pusher-js loaded before it.
 *     const client = connect({ api: 'https://shop.example' });
 *     const stop = client.watchDrop(1, (drop) => render(drop));
 *     const { reservation } = await client.reserve(1, { userId: 7, size: '42' });
 *     await client.purchase(reservation.id, { userId: 7 });
 *
 * Snapshots over HTTP and events over the channel go through drop-client/state.js, which never lets an older stock
 * replace a newer one. Without a channel the client polls, and goes live again when the channel is back.
 */
import { createCalls, DropError } from './drop-client/calls.js';
import { createChannel } from './drop-client/channel.js';
import { createClock } from './drop-client/clock.js';
import { createSnapshots } from './drop-client/snapshots.js';
import { createStore } from './drop-client/store.js';
import { CATCH_UP_ATTEMPTS, MANY_FAILURES, spread, TIMING } from './drop-client/timing.js';
import { createEmitter, createTimers } from './drop-client/util.js';

export { DropError };
/**
 * @typedef {import('./drop-client/state.js').Drop} Drop
 * @typedef {import('./drop-client/calls.js').Reservation} Reservation
 * @typedef {import('./drop-client/calls.js').Purchase} Purchase
 * @typedef {'live'|'polling'|'offline'} ConnectionState
 */

/**
 * @param {object} [options]
 * @param {string} [options.api] origin of the API; '' for the page's own
 * @param {any} [options.Pusher] the pusher-js class; the global one by default
 * @param {typeof fetch} [options.fetch]
 * @param {() => Record<string, string>} [options.headers] e.g. () => ({ Authorization: `Bearer ${token}` })
 * @param {Partial<typeof TIMING>} [options.timing]
 */
export function connect({ api = '', Pusher, fetch = globalThis.fetch.bind(globalThis), headers, timing } = {}) {
  const client = new DropClient({ api, Pusher, fetch, headers, timing: { ...TIMING, ...timing } });
  client.start();
  return client;
}

class DropClient {
  #Pusher;
  #timing;
  #calls;
  #clock = createClock();
  #store;
  #snapshots;
  #channel = null;
  /** @type {ConnectionState|null} */
  #state = null;
  #failures = 0;
  /** Local time until which events of an outage may still come; Infinity while it lasts. */
  #lateUntil = 0;
  #timers = createTimers();
  #emitter = createEmitter();
  #closed = false;
  constructor({ api, Pusher, fetch, headers, timing }) {
    this.#Pusher = Pusher;
    this.#timing = timing;
    this.#calls = createCalls({ api, fetch, headers, clock: this.#clock });
    this.#store = createStore(() => this.serverNow());
    this.#snapshots = createSnapshots(this.#calls, this.#store);
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

  #watch(remove) {
    this.#follow();
    this.#timers.set('refresh', 0, () => this.#refresh());
    return () => {
      remove();
      this.#follow();
    };
  }

  /**
   * How the page is kept up to date: by events, by polling, or not at the moment.
   * @param {(state: ConnectionState) => void} callback @returns {() => void}
   */
  onState(callback) {
    if (this.#state) callback(this.#state);
    return this.on('state', callback);
  }

  /**
   * Raw events: `connected` {message}, `stockUpdate`, `newPurchase`, `dropChanged`, as they come, repeated ones too.
   * @param {string} event @param {(data: any) => void} callback @returns {() => void}
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
   * @param {number} dropId @param {{userId?: number, size?: string}} body
   * @returns {Promise<{message: string, reservation: Reservation, expiresAt: string, serverTime: string, replayed: boolean}>}
   * @throws {DropError}
   */
  async reserve(dropId, body) {
    const reply = await this.#calls.persist('POST', `/api/reserve/${dropId}`, body);
    this.#afterwards(dropId);
    return reply;
  }

  /**
   * Buy what is held.
   * @param {number} reservationId @param {{userId?: number}} [body]
   * @returns {Promise<{message: string, purchase: Purchase, drop: Drop, replayed: boolean}>}
   * @throws {DropError}
   */
  async purchase(reservationId, body = {}) {
    const reply = await this.#calls.persist('POST', `/api/purchase/${reservationId}`, body);
    this.#afterwards(reply.purchase.dropId);
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
    this.#afterwards(reply.reservation.dropId);
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

  /** A new user by name; DropError `username_taken` if it is not free. @param {string} username */
  createUser(username) {
    return this.#calls.persist('POST', '/api/users', { username });
  }

  /** All users; only a development server tells. @returns {Promise<{users: {id: number, username: string}[]}>} */
  users() {
    return this.#calls.persist('GET', '/api/users');
  }

  /** Without a channel nobody else would tell this page about its own sale. */
  #afterwards(dropId) {
    if (this.#state !== 'live') this.#catchUp(dropId, this.#timing.spreadMs);
  }

  start() {
    this.#openChannel();
    this.#timers.set('refresh', 0, () => this.#refresh());
    globalThis.addEventListener?.('online', this.#hurry);
    globalThis.document?.addEventListener?.('visibilitychange', this.#hurry);
  }

  /** Stop everything; the client is of no use afterwards. */
  close() {
    this.#closed = true;
    this.#timers.close();
    this.#channel?.close();
    this.#store.close();
    globalThis.removeEventListener?.('online', this.#hurry);
    globalThis.document?.removeEventListener?.('visibilitychange', this.#hurry);
  }

  #hurry = () => {
    if (globalThis.document?.hidden) return;
    this.#channel?.hurry();
    this.#timers.set('refresh', 0, () => this.#refresh());
  };

  async #openChannel() {
    const Pusher = this.#Pusher ?? globalThis.Pusher;
    try {
      if (!Pusher) throw new DropError({ code: 'not_configured', detail: 'pusher-js is not loaded.' });
      const { json: config } = await this.#calls.attempt('GET', '/api/realtime');
      if (this.#closed) return;
      this.#channel = createChannel({
        Pusher,
        config,
        onEvent: (event, data) => this.#onEvent(event, data),
        onSubscribed: () => this.#refreshSoon(),
        onStateChange: () => this.#updateState(),
        onRefused: () => this.#reopenChannelLater(),
      });
      this.#follow();
    } catch (error) {
      this.#reopenChannelLater(error.code === 'network' ? this.#timing.pollMs * 2 : this.#timing.realtimeMs);
    }
  }

  #reopenChannelLater(delay = this.#timing.realtimeMs) {
    this.#channel = null;
    this.#updateState();
    this.#timers.set('channel', spread(delay), () => this.#openChannel());
  }

  #follow() {
    this.#channel?.follow(this.#store.ids());
  }

  #onEvent(event, data) {
    if (event === 'stockUpdate' || event === 'newPurchase' || event === 'dropChanged') {
      const incomplete = this.#store.apply(event, data);
      const soldOut = event === 'stockUpdate' && data.availableStock === 0;
      if (incomplete || soldOut) this.refresh(data.dropId);
      if (event === 'dropChanged' && !this.#store.ids().includes(data.dropId)) this.#refreshSoon();
    }
    this.#emitter.emit(event, data);
  }

  /** All snapshots again, and once more when no CDN can hold an older one. */
  #refreshSoon() {
    this.#timers.set('refresh', this.#timing.spreadMs * Math.random(), () => this.#refresh(true));
  }

  /** Ask for a drop's snapshot now; events carry neither `nextExpiryAt` nor `soldCount`. @param {number} dropId */
  refresh(dropId) {
    this.#catchUp(dropId, this.#timing.spreadMs * Math.random());
  }

  /** Ask for one drop until its snapshot has caught up with the events. */
  #catchUp(dropId, delay, attempt = 0) {
    this.#timers.set(`drop ${dropId}`, delay, async () => {
      const known = await this.#snapshots.drop(dropId).catch(() => false);
      if (known) this.#follow();
      if (this.#store.lacks(dropId) && attempt < CATCH_UP_ATTEMPTS) {
        this.#catchUp(dropId, spread(this.#timing.spreadMs * 1.6 ** attempt), attempt + 1);
      }
    });
  }

  /** All snapshots that the watchers need, and the appointment for the next ones. */
  async #refresh(again = false) {
    if (this.#closed) return;
    try {
      await this.#snapshots.all();
      // The shop answers again, so the channel's long wait has no reason any more.
      if (this.#failures > 0) this.#channel?.hurry();
      this.#failures = 0;
    } catch {
      this.#failures += 1;
    }
    if (this.#closed) return;
    this.#follow();
    this.#updateState();
    this.#timers.set('refresh', again ? this.#timing.settleMs : spread(this.#pause()), () => this.#refresh());
  }

  #pause() {
    if (this.#state === 'live') return Date.now() < this.#lateUntil ? this.#timing.settleMs : this.#timing.safetyMs;
    const idle = globalThis.document?.hidden || this.#failures > MANY_FAILURES;
    return idle ? this.#timing.slowPollMs : this.#timing.pollMs;
  }

  #updateState() {
    if (this.#closed) return;
    const before = this.#state;
    if (this.#channel?.isLive()) this.#state = 'live';
    else if (this.#failures > 0) this.#state = 'offline';
    else if (this.#snapshots.seen()) this.#state = 'polling';
    if (this.#state === before) return;
    if (before === 'live') {
      this.#lateUntil = Infinity;
      // The appointment for the safety snapshot is far too late once events have stopped.
      this.#timers.set('refresh', spread(this.#timing.pollMs), () => this.#refresh());
    } else if (this.#state === 'live' && this.#lateUntil === Infinity) {
      this.#lateUntil = Date.now() + this.#timing.lateEventsMs;
    }
    this.#emitter.emit('state', this.#state);
  }
}
