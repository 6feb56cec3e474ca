/**
 * What is known of one drop, and how snapshots and events change it. Pure functions: no clock, no network.
 *
 * Stocks come in snapshots (GET /api/drops/{id}) and in events, in any order. Each carries `stockVersion`, which the
 * database counts up with every change: the higher one is the newer stock. `version` counts the drop's events: a snapshot
 * has what events up to its version told, and an event two versions on means that one was lost.
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
 * @property {number} version counts the drop's events
 * @property {number} stockVersion counts the changes of its stock
 * @property {string|null} nextExpiryAt when the next hold ends, as of the last snapshot
 * @property {Purchaser[]} recentPurchases the newest three
 *
 * @typedef {object} StockUpdate
 * @property {number} dropId
 * @property {number} availableStock
 * @property {number} version
 * @property {number} stockVersion
 * @property {{size: string, availableStock: number}[]} [sizes]
 *
 * @typedef {object} SnapshotSource Where a snapshot stands among others of the same version.
 * @property {number|null} date the reply's Date header, in ms; null when it cannot be read
 * @property {number} asked counts requests up, so that replies that overtake each other can be put in order
 *
 * @typedef {object} Entry
 * @property {number} id
 * @property {Drop|null} drop the newest snapshot
 * @property {SnapshotSource|null} source of that snapshot
 * @property {Stock|null} stock
 * @property {{version: number, status: DropStatus}|null} change a dropChanged that no snapshot has caught up with
 * @property {Purchaser[]} purchases the newest three
 * @property {number} heard the highest version seen; -1 before any
 *
 * @typedef {{stockVersion: number, availableStock: number, sizes: Map<string, number>, complete: boolean}} Stock
 */

const FEED_LENGTH = 3;
const CLOSED = new Set(['PAUSED', 'CANCELLED', 'ENDED']);

/** @param {number} id @returns {Entry} */
export function emptyEntry(id) {
  return { id, drop: null, source: null, stock: null, change: null, purchases: [], heard: -1 };
}

/** @param {SnapshotSource} source @param {SnapshotSource|null} other */
function isOlder(source, other) {
  if (!other) return false;
  // The Date header names the second in which the origin answered, even when a CDN kept the reply for a while.
  if (source.date !== null && other.date !== null && source.date !== other.date) return source.date < other.date;
  return source.asked < other.asked;
}

/** @param {Drop} drop @returns {Stock} */
function stockOf({ stockVersion, availableStock, sizes }) {
  return {
    stockVersion,
    availableStock,
    sizes: new Map(sizes.map((one) => [one.size, one.availableStock])),
    complete: true,
  };
}

/** A drop without sizes keeps its units under a size named '', which is nobody's choice. @param {{size: string}} one */
const isNamed = ({ size }) => size !== '';

/** Whether this snapshot was read before the one that is known. @param {Entry} entry @param {Drop} drop @param {SnapshotSource} source */
function isOutdated({ drop: known, source: other }, drop, source) {
  if (!known) return false;
  if (drop.version !== known.version) return drop.version < known.version;
  if (drop.stockVersion !== known.stockVersion) return drop.stockVersion < known.stockVersion;
  return isOlder(source, other);
}

/** @param {Entry} entry @param {Drop} snapshot @param {SnapshotSource} source @returns {Entry} */
export function applySnapshot(entry, snapshot, source) {
  const drop = { ...snapshot, sizes: snapshot.sizes.filter(isNamed) };
  if (isOutdated(entry, drop, source)) return entry;
  const stockIsAsNew = !entry.stock || drop.stockVersion >= entry.stock.stockVersion;
  return {
    ...entry,
    drop,
    source,
    stock: stockIsAsNew ? stockOf(drop) : entry.stock,
    heard: Math.max(entry.heard, drop.version),
    change: entry.change && entry.change.version > drop.version ? entry.change : null,
    purchases: newest([...entry.purchases, ...drop.recentPurchases]),
  };
}

/**
 * @param {Entry} entry
 * @param {StockUpdate} event
 * @returns {Entry}
 */
export function applyStockUpdate(entry, event) {
  const heard = Math.max(entry.heard, event.version);
  if (entry.stock && event.stockVersion <= entry.stock.stockVersion) return heard === entry.heard ? entry : { ...entry, heard };
  const sizes = new Map(entry.stock?.sizes);
  for (const { size, availableStock } of (event.sizes ?? []).filter(isNamed)) sizes.set(size, availableStock);
  const stock = {
    stockVersion: event.stockVersion,
    availableStock: event.availableStock,
    sizes,
    // A list of sizes that would not fit into one message is left out: a snapshot has to bring it.
    complete: Boolean(event.sizes) || sizes.size === 0,
  };
  return { ...entry, stock, heard };
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
  const heard = Math.max(entry.heard, event.version);
  return { ...entry, change: { version: event.version, status: event.status }, heard };
}

/** Whether an event before this one was never seen. @param {Entry} entry @param {{version?: number}} event */
export function showsGap(entry, event) {
  return entry.heard >= 0 && event.version !== undefined && event.version > entry.heard + 1;
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

/** @param {Drop} drop @param {Stock} stock @param {Entry['change']} change @param {number} now server time in ms */
function statusAt(drop, stock, change, now) {
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
  const { drop, stock, change, purchases } = entry;
  if (!drop || !stock) return null;
  return {
    ...drop,
    availableStock: stock.availableStock,
    sizes: drop.sizes.map((one) => ({ ...one, availableStock: stock.sizes.get(one.size) ?? one.availableStock })),
    status: statusAt(drop, stock, change, now),
    version: entry.heard,
    stockVersion: stock.stockVersion,
    recentPurchases: purchases,
  };
}

/**
 * The list that a drop is in, as GET /api/drops has them. @param {Drop} drop as it is now @param {number} now server time in ms
 * @returns {'live'|'upcoming'|'ended'}
 */
export function phaseOf({ status, dropStartTime, dropEndTime }, now) {
  if (status === 'UPCOMING') return 'upcoming';
  if (status === 'ENDED' || status === 'CANCELLED') return 'ended';
  if (status !== 'PAUSED') return 'live';
  if (dropEndTime && Date.parse(dropEndTime) <= now) return 'ended';
  return Date.parse(dropStartTime) > now ? 'upcoming' : 'live';
}

/** When the clock alone will next change the view (start or end), or null. @param {Entry} entry @param {number} now */
export function nextBoundary(entry, now) {
  const times = [entry.drop?.dropStartTime, entry.drop?.dropEndTime].map((time) => Date.parse(time ?? ''));
  const ahead = times.filter((time) => time > now);
  return ahead.length ? Math.min(...ahead) : null;
}
