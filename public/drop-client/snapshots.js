/**
 * Fetches what the watchers need, with the ETag of the last time, and hands it to the store.
 */

/** A storefront shows a page or two; this bounds what a client asks of a shop with a thousand drops. */
const MOST_PAGES = 5;
const FIRST_TIMEOUT_MS = 3000;
const LONGEST_TIMEOUT_MS = 12000;

/** @param {string|null} link a Link header @returns {string|null} path and query of the next page */
export function nextPage(link) {
  const target = /<([^>]+)>\s*;[^,]*\brel="?next"?/.exec(link ?? '')?.[1];
  if (!target) return null;
  const url = new URL(target, 'http://relative.invalid');
  return url.pathname + url.search;
}

/**
 * @param {ReturnType<import('./calls.js').createCalls>} calls
 * @param {ReturnType<import('./store.js').createStore>} store
 */
export function createSnapshots(calls, store) {
  /** @type {Map<string, {etag: string|null, ids: number[], next: string|null}>} */
  const pages = new Map();
  let asked = 0;
  let seen = false;
  let timeout = FIRST_TIMEOUT_MS;

  async function load(path) {
    const source = { date: null, asked: (asked += 1) };
    const known = pages.get(path);
    const { response, json, date } = await calls.attempt('GET', path, { etag: known?.etag, timeout });
    seen = true;
    if (response.status === 304) return known;
    const drops = Array.isArray(json) ? json : [json];
    store.merge(drops, { ...source, date });
    const page = {
      etag: response.headers.get('ETag'),
      ids: drops.map((drop) => drop.id),
      next: nextPage(response.headers.get('Link')),
    };
    pages.set(path, page);
    return page;
  }

  async function list(status) {
    const ids = [];
    let path = status === 'live' ? '/api/drops' : `/api/drops?status=${status}`;
    for (let count = 0; path && count < MOST_PAGES; count += 1) {
      const page = await load(path);
      ids.push(...page.ids);
      path = page.next;
    }
    store.setList(status, ids);
  }

  return {
    /** Whether any snapshot has ever come. */
    seen: () => seen,
    /** One drop. */
    drop: (id) => load(`/api/drops/${id}`).then(() => true),
    /** Every list and every drop that is watched; throws if one of them did not come. */
    async all() {
      try {
        await Promise.all(store.lists().map(list));
        await Promise.all(store.idsOutsideLists().map((id) => load(`/api/drops/${id}`)));
        timeout = FIRST_TIMEOUT_MS;
      } catch (error) {
        // A reply that is cut off hangs; a slow network needs longer. Start impatient, end patient.
        timeout = Math.min(timeout * 1.5, LONGEST_TIMEOUT_MS);
        throw error;
      }
    },
  };
}
