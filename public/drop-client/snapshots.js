/**
 * Fetches what the watchers need, with the ETag of the last time, and hands it to the store.
 */
import { DropError } from './calls.js';

/** A storefront shows a page or two; this bounds what a client asks of a shop with a thousand drops. */
const MOST_PAGES = 5;
const FIRST_TIMEOUT_MS = 3000;
/** After a sleep the browser may send the first request into a connection that is dead. */
const WAKING_TIMEOUT_MS = 700;
const LONGEST_TIMEOUT_MS = 12000;

/** @param {string|null} link a Link header @returns {string|null} path and query of the next page */
export function nextPage(link) {
  const target = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (!target) return null;
  const url = new URL(target, 'http://relative.invalid');
  return url.pathname + url.search;
}

/**
 * What one look at the shop brought.
 * @typedef {object} Look
 * @property {boolean} isNews a newer stock than was known
 * @property {boolean} isKept a cache had kept it: a newer one may be behind it
 *
 * @typedef {{etag: string|null, ids: number[], next: string|null}} Page
 */

/**
 * The lists that a watched one is made of: a drop opens by the clock, without any event, so who watches what is live has to
 * know what is upcoming.
 * @param {string} status
 */
const partsOf = (status) => (status === 'live' ? ['live', 'upcoming'] : [status]);
/** @param {string} status */
const firstPage = (status) => (status === 'live' ? '/api/drops' : `/api/drops?status=${status}`);
/** @param {number} id */
const pathOf = (id) => `/api/drops/${id}`;

/**
 * That there is no such drop is an answer, and no sign that the shop is out of reach.
 * @param {unknown} error
 */
function ignoreMissing(error) {
  if (!(error instanceof DropError) || error.code !== 'drop_not_found') throw error;
}

/**
 * @param {ReturnType<typeof import('./calls.js').createCalls>} calls
 * @param {ReturnType<typeof import('./store.js').createStore>} store
 * @param {number} keepMs how long to remember, at least, what nobody watches any more
 */
export function createSnapshots(calls, store, keepMs) {
  /** @type {Map<string, Page>} */
  const pages = new Map();
  /** @type {Set<string|number>} paths and drops that nobody needed when forget() looked the last time */
  let unneeded = new Set();
  let lookedAt = performance.now();
  let asked = 0;
  let looks = 0;
  let seen = false;
  let timeout = FIRST_TIMEOUT_MS;

  /** @param {string} path @param {Look} look @returns {Promise<Page>} */
  async function load(path, look) {
    const source = { date: null, asked: (asked += 1) };
    const known = pages.get(path);
    const { response, json, date, isKept } = await calls.attempt('GET', path, { etag: known?.etag, timeout });
    seen = true;
    look.isKept ||= isKept;
    if (response.status === 304 && known) return known;
    const drops = Array.isArray(json) ? json : [json];
    if (store.merge(drops, { ...source, date })) look.isNews = true;
    const page = {
      etag: response.headers.get('ETag'),
      ids: drops.map((drop) => drop.id),
      next: nextPage(response.headers.get('Link')),
    };
    pages.set(path, page);
    return page;
  }

  /** @param {string} status @param {Look} look */
  async function loadList(status, look) {
    const ids = [];
    /** @type {string|null} */
    let path = firstPage(status);
    for (let count = 0; path && count < MOST_PAGES; count += 1) {
      /** @type {Page} */
      const page = await load(path, look);
      ids.push(...page.ids);
      path = page.next;
    }
    return ids;
  }

  /** @param {Look} look @param {number} number of the look: a later one may overtake it */
  async function loadLists(look, number) {
    const watched = store.lists();
    const parts = new Map([...new Set(watched.flatMap(partsOf))].map((part) => [part, loadList(part, look)]));
    await Promise.all(watched.map(async (status) => {
      const ids = await Promise.all(partsOf(status).map((part) => parts.get(part) ?? []));
      store.setList(status, ids.flat(), number);
    }));
  }

  /**
   * Drops and ETags that nobody needed at two looks in a row, so that a page can stay open for days. Who watches a drop
   * again soon sees no older stock than before.
   */
  function forget() {
    if (performance.now() - lookedAt < keepMs) return;
    lookedAt = performance.now();
    /** @type {Set<string|number>} */
    const needed = new Set([...store.ids(), ...store.ids().map(pathOf)]);
    for (const status of store.lists().flatMap(partsOf)) {
      for (let path = firstPage(status); path && !needed.has(path); path = pages.get(path)?.next ?? '') needed.add(path);
    }
    // What a kept ETag stands for has to stay known, or "not modified" would leave a hole.
    for (const [path, { ids }] of pages) if (needed.has(path)) ids.forEach((id) => needed.add(id));
    const before = unneeded;
    unneeded = new Set([...pages.keys(), ...store.known()].filter((key) => !needed.has(key)));
    for (const key of unneeded) {
      if (!before.has(key)) continue;
      if (typeof key === 'string') pages.delete(key);
      else store.forget(key);
    }
  }

  return {
    /** Whether any snapshot has ever come, or none was wanted. */
    seen: () => seen,
    /** Be quick to give the next request up. */
    beImpatient() {
      timeout = WAKING_TIMEOUT_MS;
    },
    /** One drop. @param {number} id */
    drop: (id) => load(pathOf(id), { isNews: false, isKept: false }),
    /** Every list and every drop that is watched; throws if one of them did not come. @returns {Promise<Look>} */
    async all() {
      /** @type {Look} */
      const look = { isNews: false, isKept: false };
      const number = (looks += 1);
      try {
        await loadLists(look, number);
        await Promise.all(store.idsOutsideLists().map((id) => load(pathOf(id), look).catch(ignoreMissing)));
        timeout = FIRST_TIMEOUT_MS;
        seen = true;
      } catch (error) {
        // A reply that is cut off hangs; a slow network needs longer. Start impatient, end patient.
        timeout = Math.min(timeout * 1.5, LONGEST_TIMEOUT_MS);
        throw error;
      }
      forget();
      return look;
    },
  };
}
