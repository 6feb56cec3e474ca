/**
 * The HTTP side: one place that sends requests, learns the server's time from the replies, turns failures into
 * DropError and repeats what is worth repeating. Every call of the API is idempotent, so a lost reply is asked for again.
 */

/**
 * @typedef {{id: number, userId: number, dropId: number, size: string|null, status: string, expires_at: string}} Reservation
 * @typedef {{id: number, reservationId: number, userId: number, dropId: number, size: string|null, price: number,
 *   currency: string, timestamp: string}} Purchase
 */

const TIMEOUT_MS = 8000;
const ATTEMPTS = 5;
const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 4000;
/** A buyer who taps at the very start may be ahead of the server by a network's delay: wait this little for them. */
const EARLY_TAP_SECONDS = 2;
const PASSING = new Set(['network', 'busy', 'database_unavailable', 'bad_gateway']);

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
    code: body?.code ?? (response.status >= 500 ? 'bad_gateway' : 'unexpected'),
    detail: body?.detail ?? body?.error ?? `The shop answered with status ${response.status}.`,
    status: response.status,
    retryAfter: Number.isNaN(retryAfter) ? null : retryAfter,
    requestId: body?.requestId ?? response.headers.get('X-Request-Id'),
  });
}

/** @param {DropError} error */
function isPassing(error) {
  if (error.code === 'drop_not_started') return error.retryAfter !== null && error.retryAfter <= EARLY_TAP_SECONDS;
  return PASSING.has(error.code);
}

/** @param {DropError} error @param {number} attempt from 0 */
function delayBefore(error, attempt, random) {
  const backoff = Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
  return Math.max((error.retryAfter ?? 0) * 1000, backoff * (0.5 + random()));
}

/** A CDN's kept reply carries the time at which it was made, not the time now. @param {Headers} headers */
function isFresh(headers) {
  return Number(headers.get('Age') ?? 0) === 0 && !/HIT|STALE/.test(headers.get('X-Vercel-Cache') ?? '');
}

/** The server's time to the millisecond, where a reply tells it. */
function exactTime(json) {
  if (json?.serverTime) return Date.parse(json.serverTime);
  // A hold's deadline less what is left of it is the time at which it was looked at.
  return json?.secondsLeft > 0 ? Date.parse(json.reservation.expires_at) - json.secondsLeft * 1000 : NaN;
}

const sleepFor = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * @param {object} options
 * @param {string} options.api
 * @param {typeof fetch} options.fetch
 * @param {() => Record<string, string>} [options.headers] added to every request, for Authorization
 * @param {ReturnType<import('./clock.js').createClock>} options.clock
 * @param {(ms: number) => Promise<void>} [options.sleep]
 * @param {() => number} [options.random]
 */
export function createCalls({ api, fetch, headers = () => ({}), clock, sleep = sleepFor, random = Math.random }) {
  /** One request. Resolves with any reply at all; throws DropError `network` without one. */
  async function ask(method, path, { body, etag, timeout = TIMEOUT_MS } = {}) {
    const sentAt = clock.localNow();
    try {
      const response = await fetch(`${api}${path}`, {
        method,
        headers: {
          ...headers(),
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
      if (isFresh(response.headers)) clock.learnDate(date, sentAt, receivedAt);
      clock.learnExact(exactTime(json), sentAt, receivedAt);
      return { response, json, date: Number.isNaN(date) ? null : date };
    } catch {
      throw new DropError({ code: 'network', detail: 'The shop could not be reached.' });
    }
  }

  async function attempt(method, path, options) {
    const reply = await ask(method, path, options);
    if (!reply.response.ok && reply.response.status !== 304) throw errorOf(reply.response, reply.json);
    if (reply.response.status !== 304 && reply.json === null) throw errorOf(new Response(null, { status: 502 }), null);
    return reply;
  }

  /** A request that is repeated while the failure is a passing one. */
  async function persist(method, path, body) {
    for (let tried = 0; ; tried += 1) {
      try {
        const { response, json } = await attempt(method, path, { body });
        return { ...json, replayed: response.status === 200 && response.headers.get('Idempotency-Replayed') === 'true' };
      } catch (error) {
        if (tried + 1 >= ATTEMPTS || !isPassing(error)) throw error;
        await sleep(delayBefore(error, tried, random));
      }
    }
  }

  return { attempt, persist };
}
