/**
 * What is known of one drop, and how snapshots and events change it. Pure functions: no clock, no network.
 *
 * A snapshot is the whole drop (GET /api/drops/{id}); its stock is at least as new as its version says, for the
 * server numbers a stock when it publishes it. So a snapshot of the same version may replace an event, and an event
 * must have a higher version than anything seen before.
 */

/**
 * @typedef {'UPCOMING'|'LIVE'|'SOLD_OUT'|'PAUSED'|'ENDED'|'CANCELLED'} DropStatus
 * @typedef {{size: string, totalStock: number, availableStock: number}} DropSize
 * @typedef {{userId: number, username: string, timestamp: string, purchaseId?: number}} Purchaser
 *
 * @typedef {object} Drop A drop as it is now.
 * @property {number} id
 * @property {string} name
 * @property {string|null} imageUrl
 * @property {number} price
 * @property {string} currency ISO 4217
 * @property {number} totalStock
 * @property {number} availableStock
 * @property {number} soldCount as of the last snapshot; events do not carry it
 * @property {DropStatus} status
 * @property {string} dropStartTime ISO 8601
 * @property {string|null} dropEndTime
 * @property {number} holdSeconds
 * @property {number|null} maxPerUser
 * @property {DropSize[]} sizes empty for a drop without sizes
 * @property {number} version
 * @property {string|null} nextExpiryAt when the next hold ends, as of the last snapshot
 * @property {Purchaser[]} recentPurchases the newest three
 *
 * @typedef {object} SnapshotSource Where a snapshot stands among others of the same version.
 * @property {number|null} date the reply's Date header, in ms; null when it cannot be read
 * @property {number} asked counts requests up, so that replies that overtake each other can be put in order
 *
 * @typedef {object} Entry
 * @property {number} id
 * @property {Drop|null} drop the newest snapshot
 * @property {SnapshotSource|null} source of that snapshot
 * @property {{version: number, availableStock: number, sizes: Map<string, number>, complete: boolean}|null} stock
 * @property {{version: number, status: DropStatus}|null} change a dropChanged that no snapshot has caught up with
 * @property {Purchaser[]} purchases the newest three
 */

const FEED_LENGTH = 3;
const CLOSED = new Set(['PAUSED', 'CANCELLED', 'ENDED']);

/** @param {number} id @returns {Entry} */
export function emptyEntry(id) {
  return { id, drop: null, source: null, stock: null, change: null, purchases: [] };
}

/** @param {SnapshotSource} source @param {SnapshotSource|null} other */
function isOlder(source, other) {
  if (!other) return false;
  const comparable = source.date !== null && other.date !== null && source.date !== other.date;
  // The Date header names the second in which the origin answered, even when a CDN kept the reply for a while.
  return comparable ? source.date < other.date : source.asked < other.asked;
}

/** @param {Drop} drop */
function stockOf(drop) {
  const sizes = new Map(drop.sizes.map(({ size, availableStock }) => [size, availableStock]));
  return { version: drop.version, availableStock: drop.availableStock, sizes, complete: true };
}

/** A drop without sizes keeps its units under a size named '', which is nobody's choice. */
const isNamed = ({ size }) => size !== '';

/** @param {Entry} entry @param {Drop} snapshot @param {SnapshotSource} source @returns {Entry} */
export function applySnapshot(entry, snapshot, source) {
  const known = entry.drop;
  const drop = { ...snapshot, sizes: snapshot.sizes.filter(isNamed) };
  if (known && drop.version < known.version) return entry;
  if (known && drop.version === known.version && isOlder(source, entry.source)) return entry;
  const stockIsNewer = !entry.stock || drop.version >= entry.stock.version;
  return {
    ...entry,
    drop,
    source,
    stock: stockIsNewer ? stockOf(drop) : entry.stock,
    change: entry.change && entry.change.version > drop.version ? entry.change : null,
    purchases: newest([...entry.purchases, ...drop.recentPurchases]),
  };
}

/**
 * @param {Entry} entry
 * @param {{availableStock: number, version: number, sizes?: {size: string, availableStock: number}[]}} event
 * @returns {Entry}
 */
export function applyStockUpdate(entry, event) {
  if (entry.stock && event.version <= entry.stock.version) return entry;
  const sizes = new Map(entry.stock?.sizes);
  for (const { size, availableStock } of (event.sizes ?? []).filter(isNamed)) sizes.set(size, availableStock);
  const stock = {
    version: event.version,
    availableStock: event.availableStock,
    sizes,
    // A list of sizes that would not fit into one message is left out: a snapshot has to bring it.
    complete: Boolean(event.sizes) || sizes.size === 0,
  };
  return { ...entry, stock };
}

/** @param {Entry} entry @param {Purchaser} event @returns {Entry} */
export function applyPurchase(entry, event) {
  const purchases = newest([...entry.purchases, event]);
  const same = purchases.length === entry.purchases.length && purchases.every((one, i) => one === entry.purchases[i]);
  return same ? entry : { ...entry, purchases };
}

/** @param {Entry} entry @param {{status: DropStatus, version: number}} event @returns {Entry} */
export function applyChange(entry, event) {
  const known = Math.max(entry.drop?.version ?? -1, entry.change?.version ?? -1);
  if (event.version <= known) return entry;
  return { ...entry, change: { version: event.version, status: event.status } };
}

/** Whether only a fresh snapshot can complete what is known. @param {Entry} entry */
export function needsSnapshot(entry) {
  return !entry.drop || entry.change !== null || !entry.stock?.complete;
}

/**
 * The newest three, each once. A purchase from a snapshot has no purchaseId, so buyer and time stand in for it.
 * @param {Purchaser[]} purchases @returns {Purchaser[]}
 */
function newest(purchases) {
  const seen = new Set();
  const unique = purchases.filter((purchase) => {
    const keys = [`${purchase.userId} ${Date.parse(purchase.timestamp)}`];
    if (purchase.purchaseId !== undefined) keys.push(`#${purchase.purchaseId}`);
    const repeated = keys.some((key) => seen.has(key));
    keys.forEach((key) => seen.add(key));
    return !repeated;
  });
  return unique.sort(byTimeDescending).slice(0, FEED_LENGTH);
}

/** @param {Purchaser} a @param {Purchaser} b */
function byTimeDescending(a, b) {
  return Date.parse(b.timestamp) - Date.parse(a.timestamp) || (b.purchaseId ?? 0) - (a.purchaseId ?? 0);
}

/** @param {Entry} entry @param {number} now server time in ms @returns {DropStatus} */
function statusAt(entry, now) {
  const { drop, stock, change } = entry;
  const told = change?.status ?? drop.status;
  if (CLOSED.has(told)) return told;
  if (told === 'UPCOMING' && Date.parse(drop.dropStartTime) > now) return 'UPCOMING';
  if (drop.dropEndTime && Date.parse(drop.dropEndTime) <= now) return 'ENDED';
  return stock.availableStock > 0 ? 'LIVE' : 'SOLD_OUT';
}

/**
 * The drop as it is now: newest snapshot, newer stock laid over it, the status as the clock has it.
 * @param {Entry} entry @param {number} now server time in ms @returns {Drop|null} null before the first snapshot
 */
export function viewOf(entry, now) {
  const { drop, stock, purchases } = entry;
  if (!drop) return null;
  return {
    ...drop,
    availableStock: stock.availableStock,
    sizes: drop.sizes.map((one) => ({ ...one, availableStock: stock.sizes.get(one.size) ?? one.availableStock })),
    status: statusAt(entry, now),
    version: Math.max(drop.version, stock.version),
    recentPurchases: purchases,
  };
}

/** When the clock alone will next change the view (start or end), or null. @param {Entry} entry @param {number} now */
export function nextBoundary(entry, now) {
  const times = [entry.drop?.dropStartTime, entry.drop?.dropEndTime].filter(Boolean).map((time) => Date.parse(time));
  const ahead = times.filter((time) => time > now);
  return ahead.length ? Math.min(...ahead) : null;
}
