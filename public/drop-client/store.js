/**
 * The drops that are known, and who watches them. Watchers are told once a turn, however much has changed in it.
 */
import {
  applyChange, applyPurchase, applySnapshot, applyStockUpdate, emptyEntry, needsSnapshot, nextBoundary, viewOf,
} from './state.js';

const APPLY = { stockUpdate: applyStockUpdate, newPurchase: applyPurchase, dropChanged: applyChange };
/** setTimeout counts in 32 bits; a drop may start later than that. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** @param {() => number} serverNow ms */
export function createStore(serverNow) {
  /** @type {Map<number, import('./state.js').Entry>} */
  const entries = new Map();
  /** @type {Map<string, {ids: number[]|null, watchers: Set<Function>}>} by status filter */
  const lists = new Map();
  /** @type {Map<number, Set<Function>>} */
  const dropWatchers = new Map();
  const changed = new Set();
  const changedLists = new Set();
  let flushPlanned = false;
  let boundaryTimer = null;

  const entryOf = (id) => entries.get(id) ?? emptyEntry(id);
  const view = (id) => (entries.has(id) ? viewOf(entries.get(id), serverNow()) : null);
  const viewList = (list) => list.ids.map(view).filter(Boolean);

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
      if (drop) dropWatchers.get(id)?.forEach((callback) => callback(drop));
    }
    for (const [status, list] of lists) {
      if (!list.ids || !(statuses.has(status) || list.ids.some((id) => ids.has(id)))) continue;
      const drops = viewList(list);
      list.watchers.forEach((callback) => callback(drops));
    }
    planBoundary();
  }

  /** A drop opens and ends by the clock, without any event. */
  function planBoundary() {
    clearTimeout(boundaryTimer);
    const now = serverNow();
    const due = [...entries.values()].map((entry) => [entry.id, nextBoundary(entry, now)]).filter(([, time]) => time);
    if (due.length === 0) return;
    const soonest = Math.min(...due.map(([, time]) => time));
    boundaryTimer = setTimeout(() => {
      due.filter(([, time]) => time <= serverNow()).forEach(([id]) => changed.add(id));
      plan();
    }, Math.min(Math.max(soonest - now, 0) + 1, LONGEST_TIMER_MS));
  }

  /** The first call comes in a later turn, so that the caller has its stop function by then. */
  function tellFirst(callback, current) {
    queueMicrotask(() => {
      const value = current();
      if (value) callback(value);
    });
  }

  return {
    addList(status, callback) {
      if (!lists.has(status)) lists.set(status, { ids: null, watchers: new Set() });
      const list = lists.get(status);
      list.watchers.add(callback);
      tellFirst(callback, () => list.watchers.has(callback) && list.ids && viewList(list));
      return () => {
        list.watchers.delete(callback);
        if (list.watchers.size === 0 && lists.get(status) === list) lists.delete(status);
      };
    },
    addDrop(id, callback) {
      if (!dropWatchers.has(id)) dropWatchers.set(id, new Set());
      const watchers = dropWatchers.get(id);
      watchers.add(callback);
      tellFirst(callback, () => watchers.has(callback) && view(id));
      return () => {
        watchers.delete(callback);
        if (watchers.size === 0 && dropWatchers.get(id) === watchers) dropWatchers.delete(id);
      };
    },
    /** Statuses of the watched lists. */
    lists: () => [...lists.keys()],
    /** Every drop that somebody sees. */
    ids: () => [...new Set([...[...lists.values()].flatMap((list) => list.ids ?? []), ...dropWatchers.keys()])],
    idsOutsideLists() {
      const listed = new Set([...lists.values()].flatMap((list) => list.ids ?? []));
      return [...dropWatchers.keys()].filter((id) => !listed.has(id));
    },
    setList(status, ids) {
      const list = lists.get(status);
      if (!list || (list.ids && list.ids.length === ids.length && list.ids.every((id, i) => id === ids[i]))) return;
      list.ids = ids;
      changedLists.add(status);
      plan();
    },
    merge(drops, source) {
      for (const drop of drops) put(applySnapshot(entryOf(drop.id), drop, source));
    },
    /** Take in an event. @returns {boolean} whether a snapshot has to complete it */
    apply(event, data) {
      const before = entryOf(data.dropId);
      const after = APPLY[event](before, data);
      put(after);
      return after !== before && needsSnapshot(after);
    },
    /** Whether a drop's snapshot lags behind its events. */
    lacks: (id) => entries.has(id) && needsSnapshot(entries.get(id)),
    close() {
      clearTimeout(boundaryTimer);
      lists.clear();
      dropWatchers.clear();
    },
  };
}
