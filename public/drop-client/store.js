/**
 * The drops that are known, and who watches them. Watchers are told once a turn, however much has changed in it.
 */
import {
  applyChange, applyPurchase, applySnapshot, applyStockUpdate, emptyEntry, needsSnapshot, nextBoundary, phaseOf, showsGap,
  viewOf,
} from './state.js';
import { tell } from './util.js';

const APPLY = { stockUpdate: applyStockUpdate, newPurchase: applyPurchase, dropChanged: applyChange };
/** setTimeout counts in 32 bits; a drop may start later than that. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** A list that a cache keeps (3 s at most) may be of before a drop's start, and this clock is not that of who made it. */
const NEAR_START_MS = 5000;

/**
 * @typedef {import('./state.js').Drop} Drop
 * @typedef {import('./state.js').Entry} Entry
 * @typedef {(drops: Drop[]) => void} ListWatcher
 * @typedef {(drop: Drop) => void} DropWatcher
 * @typedef {{ids: number[]|null, look: number, watchers: Set<ListWatcher>}} List `ids` are the drops that may be in it, by
 *   the clock; null until the list has come. `look` is the number of the look that brought it.
 */

/** @param {() => number} serverNow ms */
export function createStore(serverNow) {
  /** @type {Map<number, Entry>} */
  const entries = new Map();
  /** @type {Map<string, List>} by status filter */
  const lists = new Map();
  /** @type {Map<number, Set<DropWatcher>>} */
  const dropWatchers = new Map();
  /** @type {Set<number>} */
  const changed = new Set();
  /** @type {Set<string>} */
  const changedLists = new Set();
  let flushPlanned = false;
  let closed = false;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let boundaryTimer;
  /** The time as of which the watchers know every status. */
  let viewedAt = serverNow();

  const entryOf = (/** @type {number} */ id) => entries.get(id) ?? emptyEntry(id);
  const view = (/** @type {number} */ id) => viewOf(entryOf(id), serverNow());

  /** @param {string} status @param {number[]} ids */
  function viewList(status, ids) {
    const now = serverNow();
    return ids.map(view).filter((drop) => drop !== null).filter((drop) => status === 'all' || phaseOf(drop, now) === status);
  }

  /** @param {number} id */
  function opensAboutNow(id) {
    return Math.abs(serverNow() - Date.parse(entries.get(id)?.drop?.dropStartTime ?? '')) < NEAR_START_MS;
  }

  /** @param {Entry} entry */
  function put(entry) {
    if (entries.get(entry.id) === entry) return;
    entries.set(entry.id, entry);
    changed.add(entry.id);
    plan();
  }

  function plan() {
    if (flushPlanned) return;
    flushPlanned = true;
    queueMicrotask(flush);
  }

  function flush() {
    flushPlanned = false;
    const ids = new Set(changed);
    const statuses = new Set(changedLists);
    changed.clear();
    changedLists.clear();
    for (const id of ids) {
      const drop = view(id);
      if (drop) dropWatchers.get(id)?.forEach((callback) => tell(callback, drop));
    }
    for (const [status, list] of lists) {
      if (!list.ids || !(statuses.has(status) || list.ids.some((id) => ids.has(id)))) continue;
      const drops = viewList(status, list.ids);
      list.watchers.forEach((callback) => tell(callback, drops));
    }
    recheck();
  }

  /** A drop opens and ends by the clock, without any event. The clock may also jump: it was set, or the device slept. */
  function recheck() {
    const now = serverNow();
    const [from, to] = [Math.min(viewedAt, now), Math.max(viewedAt, now)];
    viewedAt = now;
    let soonest = Infinity;
    for (const entry of entries.values()) {
      if ((nextBoundary(entry, from) ?? Infinity) <= to) changed.add(entry.id);
      soonest = Math.min(soonest, nextBoundary(entry, now) ?? Infinity);
    }
    if (changed.size > 0) plan();
    clearTimeout(boundaryTimer);
    if (soonest < Infinity && !closed) boundaryTimer = setTimeout(recheck, Math.min(soonest - now + 1, LONGEST_TIMER_MS));
  }

  /**
   * The first call comes in a later turn, so that the caller has its stop function by then.
   * @template Value
   * @param {(value: Value) => void} callback @param {() => Value|null|false} current
   */
  function tellFirst(callback, current) {
    queueMicrotask(() => {
      const value = current();
      if (value) tell(callback, value);
    });
  }

  return {
    /** @param {string} status @param {ListWatcher} callback @returns {() => void} */
    addList(status, callback) {
      /** @type {List} */
      const list = lists.get(status) ?? { ids: null, look: 0, watchers: new Set() };
      lists.set(status, list);
      list.watchers.add(callback);
      tellFirst(callback, () => list.watchers.has(callback) && list.ids && viewList(status, list.ids));
      return () => {
        list.watchers.delete(callback);
        if (list.watchers.size === 0 && lists.get(status) === list) lists.delete(status);
      };
    },
    /** @param {number} id @param {DropWatcher} callback @returns {() => void} */
    addDrop(id, callback) {
      /** @type {Set<DropWatcher>} */
      const watchers = dropWatchers.get(id) ?? new Set();
      dropWatchers.set(id, watchers.add(callback));
      tellFirst(callback, () => watchers.has(callback) && view(id));
      return () => {
        watchers.delete(callback);
        if (watchers.size === 0 && dropWatchers.get(id) === watchers) dropWatchers.delete(id);
      };
    },
    recheck,
    /** Statuses of the watched lists. */
    lists: () => [...lists.keys()],
    /** Every drop that somebody sees. */
    ids: () => [...new Set([...[...lists.values()].flatMap((list) => list.ids ?? []), ...dropWatchers.keys()])],
    /** @param {number} id */
    isWatched: (id) => dropWatchers.has(id) || [...lists.values()].some((list) => list.ids?.includes(id)),
    idsOutsideLists() {
      const listed = new Set([...lists.values()].flatMap((list) => list.ids ?? []));
      return [...dropWatchers.keys()].filter((id) => !listed.has(id));
    },
    /**
     * @param {string} status @param {number[]} listed drops that are in the list, or may come into it by the clock
     * @param {number} look counts up: an answer may overtake another
     */
    setList(status, listed, look) {
      const list = lists.get(status);
      if (!list || look < list.look) return;
      list.look = look;
      // Newest first, as the API has them.
      const ids = [...new Set([...listed, ...(list.ids ?? []).filter(opensAboutNow)])].sort((a, b) => b - a);
      if (list.ids && list.ids.length === ids.length && list.ids.every((id, i) => id === ids[i])) return;
      list.ids = ids;
      changedLists.add(status);
      plan();
    },
    /**
     * Take in snapshots.
     * @param {import('./state.js').Drop[]} drops @param {import('./state.js').SnapshotSource} source
     * @returns {boolean} whether one of them has a newer stock than was known: no event has told of it, yet or at all
     */
    merge(drops, source) {
      let isNews = false;
      for (const drop of drops) {
        const before = entryOf(drop.id);
        const after = applySnapshot(before, drop, source);
        if (before.stock && after.stock && after.stock.stockVersion > before.stock.stockVersion) isNews = true;
        put(after);
      }
      return isNews;
    },
    /**
     * Take in an event of a watched drop.
     * @param {keyof typeof APPLY} event @param {any} data
     * @returns {boolean} whether a snapshot has to complete it: something is missing, or an event before it is
     */
    apply(event, data) {
      const before = entryOf(data.dropId);
      const after = APPLY[event](before, data);
      put(after);
      return (after !== before && needsSnapshot(after)) || showsGap(before, data);
    },
    /** The drops that are remembered, watched or not. */
    known: () => [...entries.keys()],
    /** @param {number} id */
    forget: (id) => entries.delete(id),
    /** Whether a drop's snapshot lags behind its events. */
    lacks: (/** @type {number} */ id) => entries.has(id) && needsSnapshot(entryOf(id)),
    close() {
      // A reply may still come.
      closed = true;
      clearTimeout(boundaryTimer);
      lists.clear();
      dropWatchers.clear();
    },
  };
}
