/**
 * The HTTP side of the console: the token goes with every request, a failure becomes an ApiError, and what may be repeated
 * is repeated. Every request here may be: reads, PATCH, and POST with its Idempotency-Key.
 */
const TIMEOUT_MS = 10_000;
/** A part of a file is long, and networks are slow. */
const PART_TIMEOUT_MS = 60_000;
const ATTEMPTS = 4;
const FIRST_DELAY_MS = 300;
/** A host's throttle may ask for more; then whoever sits there decides. */
const LONGEST_WAIT_SECONDS = 10;
const PASSING = new Set(['network', 'busy', 'database_unavailable', 'bad_gateway']);

const WORDS = {
  network: 'The server cannot be reached. Check your connection, then try again: nothing is done twice.',
  bad_gateway: 'The server did not answer properly. Try again: nothing is done twice.',
  busy: 'The shop is very busy at this moment. Try again: nothing is done twice.',
  database_unavailable: 'The database does not answer. Try again in a moment: nothing is done twice.',
};

/** A request that was refused or got no reply. `fields`: what is wrong with which field, as the API names it. */
export class ApiError extends Error {
  /**
   * @param {{code: string, detail: string, status?: number, fields?: {field: string, message: string}[],
   *   retryAfter?: number}} about
   */
  constructor({ code, detail, status = 0, fields = [], retryAfter = 0 }) {
    super(WORDS[code] ?? detail);
    this.name = 'ApiError';
    this.code = code;
    /** HTTP status; 0 when there was no reply. */
    this.status = status;
    this.fields = fields;
    /** Seconds. */
    this.retryAfter = retryAfter;
  }
}

/** A key that no other request has. */
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What a reply without a code of the shop is: 429 is its host's throttle. @param {number} status */
const codeOf = (status) => (status === 429 ? 'busy' : status >= 500 ? 'bad_gateway' : 'unexpected');

/** @param {ApiError} error */
const isPassing = ({ code, retryAfter }) => PASSING.has(code) && retryAfter <= LONGEST_WAIT_SECONDS;

/** @param {string} text @returns {any} null for what is no JSON */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** @param {Response} response @param {any} body null where it is none of the shop's */
function errorOf(response, body) {
  return new ApiError({
    code: body?.code ?? (response.ok ? 'bad_gateway' : codeOf(response.status)),
    detail: body?.detail ?? `The server answered with status ${response.status}.`,
    status: response.status,
    fields: body?.errors ?? [],
    retryAfter: Number.parseInt(response.headers.get('Retry-After') ?? '0', 10) || 0,
  });
}

/** The address of the next page. @param {Response} response @returns {string|null} */
function nextOf(response) {
  return /<([^>]+)>; rel="next"/.exec(response.headers.get('Link') ?? '')?.[1] ?? null;
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * @param {object} options
 * @param {string} options.base origin of the API; '' for the page's own
 * @param {() => string|null} options.token
 * @param {(error: ApiError) => void} options.onUnauthorized the token is not, or no longer, the right one
 */
export function createApi({ base, token, onUnauthorized }) {
  /**
   * One request. The reply is there when its body is: one that is cut off, or takes too long, is none.
   * @param {string} method @param {string} path
   * @param {{body?: object, key?: string, signal?: AbortSignal, isFile?: boolean}} [options] `isFile`: the reply is no JSON
   */
  async function once(method, path, { body, key, signal, isFile = false } = {}) {
    const headers = {
      ...(token() ? { Authorization: `Bearer ${token()}` } : {}),
      ...(body ? { 'Content-Type': 'application/json' } : {}),
      ...(key ? { 'Idempotency-Key': key } : {}),
    };
    const limit = AbortSignal.timeout(isFile ? PART_TIMEOUT_MS : TIMEOUT_MS);
    let response;
    let data;
    try {
      response = await fetch(base + path, {
        method,
        headers,
        body: body ? JSON.stringify(body) : undefined,
        cache: 'no-store',
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
      });
      data = isFile && response.ok ? await response.blob() : parse(await response.text());
    } catch {
      throw new ApiError({ code: signal?.aborted ? 'aborted' : 'network', detail: 'The request was given up.' });
    }
    if (!response.ok || data === null) throw errorOf(response, data);
    return { data, next: nextOf(response) };
  }

  async function call(method, path, options) {
    for (let tried = 1; ; tried += 1) {
      try {
        return await once(method, path, options);
      } catch (error) {
        if (error.status === 401) onUnauthorized(error);
        if (tried === ATTEMPTS || !isPassing(error)) throw error;
        await sleep(Math.max(error.retryAfter * 1000, FIRST_DELAY_MS * 2 ** tried * (0.5 + Math.random() / 2)));
      }
    }
  }

  const json = async (method, path, options) => (await call(method, path, options)).data;

  return {
    get: (path, options) => json('GET', path, options),
    /** One page of a list, and the address of the next. @returns {Promise<{json: any, next: string|null}>} */
    async page(path, options) {
      const { data, next } = await call('GET', path, options);
      return { json: data, next };
    },
    /** One part of a file. @returns {Promise<{blob: Blob, next: string|null}>} */
    async part(path, options) {
      const { data, next } = await call('GET', path, { ...options, isFile: true });
      return { blob: data, next };
    },
    /** `key` stays the same for as long as it is the same wish, so that a double click makes one. */
    post: (path, body, key) => json('POST', path, { body, key }),
    patch: (path, body) => json('PATCH', path, { body }),
  };
}
