/**
 * The HTTP side: one place that sends requests, learns the server's time from the replies, turns failures into
 * DropError and repeats what is worth repeating. Every call of the API is idempotent, so a lost reply is asked for again.
 */

/**
 * @typedef {'ACTIVE'|'EXPIRED'|'PURCHASED'|'RELEASED'} ReservationStatus
 * @typedef {{id: number, userId: number, dropId: number, size: string, status: ReservationStatus, expires_at: string,
 *   createdAt: string}} Reservation
 * @typedef {{id: number, reservationId: number, userId: number, dropId: number, size: string, price: number,
 *   currency: string, timestamp: string}} Purchase
 * @typedef {Record<string, string>} Headers
 *
 * @typedef {(about: {refused: boolean}) => Headers | Promise<Headers>} HeaderProvider
 *   Headers of a buyer's requests, asked for before each one. `refused`: the last ones were answered with 401, so a token
 *   that is kept should be renewed; if they are refused once more, the caller is told.
 *
 * @typedef {object} Ask
 * @property {unknown} [body]
 * @property {Headers} [headers]
 * @property {string|null} [etag]
 * @property {number} [timeout] ms
 * @property {number} [keptMs] how long a cache may keep the reply
 */

const TIMEOUT_MS = 8000;
/** The same of a snapshot: s-maxage and stale-while-revalidate of PUBLIC_CACHE in lib/http.py. */
const SNAPSHOT_KEPT_MS = 3000;
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 4000;
/** A buyer who taps at the very start may be ahead of the server by a network's delay: wait this little for them. */
const EARLY_TAP_SECONDS = 2;
/** Who is told to come back later than this decides for themselves: a page must not seem dead for a minute. */
const LONGEST_WAIT_SECONDS = 10;
const PASSING = new Set(['network', 'busy', 'database_unavailable', 'issuer_unavailable', 'bad_gateway']);

/**
 * What a reply without a code of the shop is: 429 is its host's throttle, which the request did not pass.
 * @param {number} status
 */
const codeOf = (status) => (status === 429 ? 'busy' : status >= 500 ? 'bad_gateway' : 'unexpected');

/** A request that was refused or did not get through. `code` is the API's, or `network` or `bad_gateway`. */
export class DropError extends Error {
  /** @param {{code: string, detail: string, status?: number, retryAfter?: number|null, requestId?: string|null}} about */
  constructor({ code, detail, status = 0, retryAfter = null, requestId = null }) {
    super(detail);
    this.name = 'DropError';
    this.code = code;
    this.detail = detail;
    /** HTTP status; 0 when there was no reply. */
    this.status = status;
    /** Seconds to wait, if the server said so. */
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }
}

/** @param {Response} response @param {any} body */
function errorOf(response, body) {
  const retryAfter = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
  return new DropError({
    code: body?.code ?? codeOf(response.status),
    detail: body?.detail ?? `The shop answered with status ${response.status}.`,
    status: response.status,
    retryAfter: Number.isNaN(retryAfter) ? null : retryAfter,
    requestId: body?.requestId ?? response.headers.get('X-Request-Id'),
  });
}

/** Whether asking again soon may help. @param {DropError} error */
export function isPassing(error) {
  if (error.code === 'drop_not_started') return error.retryAfter !== null && error.retryAfter <= EARLY_TAP_SECONDS;
  return PASSING.has(error.code) && (error.retryAfter ?? 0) <= LONGEST_WAIT_SECONDS;
}

/** @param {DropError} error @param {number} attempt from 0 @param {() => number} random */
function delayBefore(error, attempt, random) {
  const backoff = Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
  return Math.max((error.retryAfter ?? 0) * 1000, backoff * (0.5 + random()));
}

/** Whether a cache had kept this reply: its Date is the time at which it was made. @param {Response} response */
function wasKept({ headers }) {
  return Number(headers.get('Age') ?? 0) > 0 || /HIT|STALE/.test(headers.get('X-Vercel-Cache') ?? '');
}

/**
 * How long a cache had kept this reply at most, in ms: by its Age, which is cut down to the second, or by the rules.
 * @param {Response} response @param {number} keptMs
 */
function longestKept({ headers }, keptMs) {
  const age = Number.parseInt(headers.get('Age') ?? '', 10);
  return Number.isNaN(age) ? keptMs : (age + 1) * 1000;
}

/** The server's time to the millisecond, where a reply tells it. @param {any} json */
function exactTime(json) {
  if (json?.serverTime) return Date.parse(json.serverTime);
  // A hold's deadline less what is left of it is the time at which it was looked at.
  return json?.secondsLeft > 0 ? Date.parse(json.reservation.expires_at) - json.secondsLeft * 1000 : NaN;
}

/** @param {number} ms @returns {Promise<void>} */
const sleepFor = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Works on pages without TLS too, where crypto.randomUUID is missing. */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * @param {object} options
 * @param {string} options.api
 * @param {typeof globalThis.fetch} options.fetch
 * @param {HeaderProvider} [options.headers] added to a buyer's requests, for Authorization
 * @param {ReturnType<typeof import('./clock.js').createClock>} options.clock
 * @param {(ms: number) => Promise<void>} [options.sleep]
 * @param {() => number} [options.random]
 */
export function createCalls({ api, fetch, headers: provider, clock, sleep = sleepFor, random = Math.random }) {
  /**
   * One request. Resolves with any reply at all; throws DropError `network` without one.
   * @param {string} method @param {string} path @param {Ask} [options]
   */
  async function ask(method, path, { body, headers, etag, timeout = TIMEOUT_MS, keptMs = SNAPSHOT_KEPT_MS } = {}) {
    const sentAt = clock.localNow();
    try {
      const response = await fetch(`${api}${path}`, {
        method,
        headers: {
          ...headers,
          ...(body ? { 'Content-Type': 'application/json' } : {}),
          ...(etag ? { 'If-None-Match': etag } : {}),
        },
        body: body ? JSON.stringify(body) : undefined,
        // A browser may serve a stale copy for as long as stale-while-revalidate allows: the ETag is ours to keep.
        cache: 'no-store',
        signal: AbortSignal.timeout(timeout),
      });
      const json = response.status === 304 ? null : await response.json().catch(() => null);
      const date = Date.parse(response.headers.get('Date') ?? '');
      const receivedAt = clock.localNow();
      const isKept = wasKept(response);
      if (isKept) clock.learnKept(date, sentAt, receivedAt, longestKept(response, keptMs));
      else clock.learnDate(date, sentAt, receivedAt);
      clock.learnExact(exactTime(json), sentAt, receivedAt);
      return { response, json, date: Number.isNaN(date) ? null : date, isKept };
    } catch {
      throw new DropError({ code: 'network', detail: 'The shop could not be reached.' });
    }
  }

  /** @param {string} method @param {string} path @param {Ask} [options] */
  async function attempt(method, path, options) {
    const reply = await ask(method, path, options);
    if (!reply.response.ok && reply.response.status !== 304) throw errorOf(reply.response, reply.json);
    if (reply.response.status !== 304 && reply.json === null) throw errorOf(new Response(null, { status: 502 }), null);
    return reply;
  }

  /** @param {boolean} refused @returns {Promise<Headers|undefined>} */
  async function credentials(refused) {
    try {
      return await provider?.({ refused });
    } catch (error) {
      const detail = `No credentials: ${error instanceof Error ? error.message : error}`;
      throw new DropError({ code: 'unauthorized', detail });
    }
  }

  /**
   * A buyer's request, repeated while the failure is a passing one.
   * @param {string} method @param {string} path @param {unknown} [body]
   * @param {Headers} [more] headers beside those of the provider, the same each time
   */
  async function persist(method, path, body, more) {
    let refused = false;
    for (let tried = 0; ; tried += 1) {
      try {
        const headers = { ...(await credentials(refused)), ...more };
        const { response, json } = await attempt(method, path, { body, headers });
        return { ...json, replayed: response.headers.get('Idempotency-Replayed') === 'true' };
      } catch (error) {
        if (!(error instanceof DropError) || tried + 1 >= ATTEMPTS) throw error;
        if (provider && !refused && error.status === 401) {
          refused = true;
          continue;
        }
        if (!isPassing(error)) throw error;
        await sleep(delayBefore(error, tried, random));
      }
    }
  }

  return { attempt, persist };
}
