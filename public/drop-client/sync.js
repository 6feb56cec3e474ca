/**
 * Keeps the store up to date: by events while there is a channel, by polling while there is none, and by snapshots
 * whenever an event may be missing.
 */
import { DropError, isPassing } from './calls.js';
import { createChannel } from './channel.js';
import { createSnapshots } from './snapshots.js';
import { CATCH_UP_ATTEMPTS, MANY_FAILURES, spread } from './timing.js';
import { createTimers } from './util.js';
import { watchForWaking } from './wake.js';

/** The s-maxage of api/realtime.py. */
const REALTIME_KEPT_MS = 60_000;

/**
 * @typedef {'live'|'polling'|'offline'} ConnectionState
 *
 * @typedef {object} Parts
 * @property {any} Pusher the pusher-js class; the global one where it is missing
 * @property {ReturnType<typeof import('./calls.js').createCalls>} calls
 * @property {ReturnType<typeof import('./store.js').createStore>} store
 * @property {typeof import('./timing.js').TIMING} timing
 * @property {boolean} feed
 * @property {(event: string, data: any) => void} emit
 */

export class Sync {
  #Pusher;
  #calls;
  #store;
  #snapshots;
  #timing;
  #feed;
  #emit;
  #timers = createTimers();
  /** @type {ReturnType<typeof createChannel>|null} */
  #channel = null;
  /** @type {ConnectionState|null} */
  #state = null;
  #failures = 0;
  /** Time (performance.now) until which events of an outage may still come; Infinity while it lasts. */
  #lateUntil = 0;
  #wasLive = false;
  /** Whether a cache's reply is good enough for the next look. */
  #mustBeFresh = false;
  #stopWaking = () => {};
  #closed = false;

  /** @param {Parts} parts */
  constructor({ Pusher, calls, store, timing, feed, emit }) {
    this.#Pusher = Pusher;
    this.#calls = calls;
    this.#store = store;
    this.#snapshots = createSnapshots(calls, store, timing.keepMs);
    this.#timing = timing;
    this.#feed = feed;
    this.#emit = emit;
  }

  get state() {
    return this.#state;
  }

  start() {
    this.#openChannel();
    this.lookIn(0);
    this.#stopWaking = watchForWaking((slept) => {
      this.#channel?.hurry(slept);
      this.#snapshots.beImpatient();
      this.#look(true);
    });
  }

  close() {
    this.#closed = true;
    this.#stopWaking();
    this.#timers.close();
    this.#channel?.close();
  }

  /** Subscribe to what is watched, and to nothing else. */
  follow() {
    this.#channel?.follow(this.#store.ids());
  }

  /** This page's own sale: without a channel nobody else would tell it. @param {number} dropId */
  sold(dropId) {
    if (this.#state !== 'live') this.#catchUp(dropId, this.#timing.spreadMs);
  }

  /** Ask for a drop's snapshot soon. @param {number} dropId */
  refresh(dropId) {
    this.#catchUp(dropId, this.#timing.spreadMs * Math.random());
  }

  // ---- the channel ----

  async #openChannel() {
    const Pusher = this.#Pusher ?? Reflect.get(globalThis, 'Pusher');
    try {
      if (!Pusher) throw new DropError({ code: 'not_configured', detail: 'pusher-js is not loaded.' });
      const { json: config } = await this.#calls.attempt('GET', '/api/realtime', { keptMs: REALTIME_KEPT_MS });
      if (this.#closed) return;
      this.#channel = createChannel({
        Pusher,
        config,
        timing: this.#timing,
        feed: this.#feed,
        onEvent: (event, data) => this.#onEvent(event, data),
        onSubscribed: () => this.#lookSoon(),
        onStateChange: () => this.#updateState(),
        onRefused: () => this.#openChannelLater(this.#timing.realtimeMs),
      });
      this.follow();
    } catch (error) {
      const isSoonOver = error instanceof DropError && isPassing(error);
      this.#openChannelLater(isSoonOver ? this.#timing.pollMs * 2 : this.#timing.realtimeMs);
    }
  }

  /** @param {number} delay */
  #openChannelLater(delay) {
    this.#channel = null;
    this.#updateState();
    this.#timers.set('channel', spread(delay), () => this.#openChannel());
  }

  /** @param {string} event @param {any} data */
  #onEvent(event, data) {
    if (event === 'stockUpdate' || event === 'newPurchase' || event === 'dropChanged') {
      const isWatched = this.#store.isWatched(data.dropId);
      const isIncomplete = isWatched && this.#store.apply(event, data);
      const isSoldOut = event === 'stockUpdate' && data.availableStock === 0;
      if (isIncomplete || (isWatched && isSoldOut)) this.refresh(data.dropId);
      if (!isWatched && event === 'dropChanged') this.#lookSoon();
      if (isWatched) this.#lookWhenQuiet();
    }
    this.#emit(event, data);
  }

  // ---- snapshots ----

  /** Fetch what is watched, this soon. @param {number} delay */
  lookIn(delay) {
    this.#timers.soon('look', delay, () => this.#look());
  }

  /** All snapshots again, spread over the viewers, and not what a CDN had kept. */
  #lookSoon() {
    this.#mustBeFresh = true;
    this.lookIn(this.#timing.spreadMs * Math.random());
  }

  /** The event that got lost may be the last: then no other one shows the gap. Nobody looks at a hidden page. */
  #lookWhenQuiet() {
    if (this.#state !== 'live' || globalThis.document?.hidden || this.#timing.quietMs === Infinity) return;
    this.#timers.set('quiet', this.#timing.quietMs + this.#timing.spreadMs * Math.random(), () => this.#look(true));
  }

  /** All snapshots that the watchers need, and the appointment for the next ones. */
  async #look(mustBeFresh = this.#mustBeFresh) {
    if (this.#closed) return;
    this.#mustBeFresh = false;
    let isStale = false;
    try {
      const { isNews, isKept } = await this.#snapshots.all();
      isStale = mustBeFresh && isKept;
      // The shop answers again, so the channel's long wait has no reason any more.
      if (this.#failures > 0) this.#channel?.hurry();
      this.#failures = 0;
      if (isNews) this.#doubtChannel();
    } catch {
      this.#failures += 1;
      // What asked for a fresh reply has not got one.
      this.#mustBeFresh ||= mustBeFresh;
    }
    if (this.#closed) return;
    this.#store.recheck();
    this.follow();
    this.#updateState();
    // News may have asked for one sooner while this one was on its way.
    this.lookIn(isStale ? this.#timing.settleMs : spread(this.#pause()));
  }

  /** A snapshot knew more than the events have told: either they are on their way, or the channel loses them. */
  #doubtChannel() {
    if (this.#state !== 'live') return;
    this.#channel?.hurry();
    this.#lookWhenQuiet();
  }

  #pause() {
    const { pollMs, retryMs, settleMs, safetyMs, slowPollMs } = this.#timing;
    const isLive = this.#state === 'live';
    if (isLive && this.#failures === 0) return performance.now() < this.#lateUntil ? settleMs : safetyMs;
    if (globalThis.document?.hidden || this.#failures > MANY_FAILURES) return slowPollMs;
    // Events go on telling a live page what changes, so that it can wait longer for a shop in trouble.
    return this.#failures > 0 ? Math.min(retryMs * 2 ** (this.#failures - 1), isLive ? slowPollMs : pollMs) : pollMs;
  }

  /** Ask for one drop until its snapshot has caught up with the events. */
  #catchUp(/** @type {number} */ dropId, /** @type {number} */ delay, attempt = 0) {
    this.#timers.soon(`drop ${dropId}`, delay, async () => {
      const isKnown = await this.#snapshots.drop(dropId).then(() => true, () => false);
      if (isKnown) this.follow();
      if (this.#store.lacks(dropId) && attempt < CATCH_UP_ATTEMPTS) {
        this.#catchUp(dropId, spread(this.#timing.spreadMs * 1.6 ** attempt), attempt + 1);
      }
    });
  }

  #updateState() {
    if (this.#closed) return;
    const before = this.#state;
    // Events tell of changes: without one snapshot there is nothing that they could change.
    if (this.#channel?.isLive() && this.#snapshots.seen()) this.#state = 'live';
    else if (this.#failures > 0) this.#state = 'offline';
    else if (this.#snapshots.seen()) this.#state = 'polling';
    // One more channel on its way is no outage: nothing was lost that could come late.
    if (this.#wasLive && !this.#channel?.isConnected()) this.#lateUntil = Infinity;
    this.#wasLive ||= this.#state === 'live';
    if (this.#state === before) return;
    if (before === 'live') {
      // The appointment for the safety snapshot is far too late once events have stopped. All viewers may be here at once.
      this.lookIn(this.#timing.pollMs * (0.2 + 0.8 * Math.random()));
    } else if (this.#state === 'live' && this.#lateUntil === Infinity) {
      this.#lateUntil = performance.now() + this.#timing.lateEventsMs;
    }
    this.#emit('state', this.#state);
  }
}
