import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aDrop } from './fakes.mjs';
import { load } from './load.mjs';

const {
  applyChange, applyPurchase, applySnapshot, applyStockUpdate, emptyEntry, needsSnapshot, nextBoundary,
  showsGap, viewOf,
} = await load('drop-client/state.js');

const NOW = Date.parse('2026-06-01T12:00:00Z');
const from = (asked, date = null) => ({ asked, date });
const known = (over) => applySnapshot(emptyEntry(1), aDrop(over), from(1));
const stock = (entry) => viewOf(entry, NOW).availableStock;

test('nothing is shown before the first snapshot, and an event before it is kept', () => {
  const early = applyStockUpdate(emptyEntry(1), { availableStock: 3, version: 7, stockVersion: 20 });
  assert.equal(viewOf(early, NOW), null);
  assert.equal(needsSnapshot(early), true);
  assert.equal(stock(applySnapshot(early, aDrop({ version: 5, stockVersion: 18 }), from(1))), 3);
  assert.equal(stock(applySnapshot(early, aDrop({ version: 7, stockVersion: 21, availableStock: 2 }), from(1))), 2);
});

test('an old, repeated or overtaken event changes nothing', () => {
  const entry = applyStockUpdate(known({ version: 5, stockVersion: 10 }), { availableStock: 4, version: 8, stockVersion: 14 });
  for (const [version, stockVersion] of [[5, 10], [7, 13], [8, 14]]) {
    assert.equal(applyStockUpdate(entry, { availableStock: 9, version, stockVersion }), entry);
  }
  assert.equal(stock(applyStockUpdate(entry, { availableStock: 0, version: 9, stockVersion: 15 })), 0);
});

test('events in any order end with the newest stock', () => {
  const events = [2, 3, 4, 5].map((n) => ({ version: n, stockVersion: n * 3, availableStock: 10 - n }));
  for (const order of [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [3, 3, 0, 0]]) {
    const end = order.reduce((entry, i) => applyStockUpdate(entry, events[i]), known());
    assert.equal(stock(end), 5);
    assert.equal(viewOf(end, NOW).version, 5);
  }
});

test('an older snapshot is ignored, and never takes a newer stock away', () => {
  const entry = applyStockUpdate(known({ version: 5, stockVersion: 10 }), { availableStock: 4, version: 8, stockVersion: 14 });
  const behind = applySnapshot(entry, aDrop({ version: 6, stockVersion: 12, availableStock: 6, name: 'Renamed' }), from(2));
  assert.equal(stock(behind), 4);
  assert.equal(viewOf(behind, NOW).name, 'Renamed');
  assert.equal(applySnapshot(behind, aDrop({ version: 5, stockVersion: 12 }), from(3)), behind);
  const ahead = applySnapshot(entry, aDrop({ version: 8, stockVersion: 15, availableStock: 3 }), from(2));
  assert.equal(stock(ahead), 3);
});

test('a snapshot that was read while an event was made keeps its newer stock', () => {
  const snapshot = applySnapshot(known({ version: 5 }), aDrop({ version: 5, stockVersion: 12, availableStock: 3 }), from(2));
  const told = applyStockUpdate(snapshot, { availableStock: 4, version: 6, stockVersion: 11 });
  assert.equal(stock(told), 3);
  assert.equal(viewOf(told, NOW).version, 6);
});

test('of two snapshots of one stock the later answer counts, by Date and else by the order of asking', () => {
  const name = (entry) => viewOf(entry, NOW).name;
  const entry = applySnapshot(emptyEntry(1), aDrop({ name: 'b' }), from(2, 2000));
  assert.equal(applySnapshot(entry, aDrop({ name: 'a' }), from(3, 1000)), entry);
  assert.equal(applySnapshot(entry, aDrop({ name: 'a' }), from(1, 2000)), entry);
  assert.equal(name(applySnapshot(entry, aDrop({ name: 'c' }), from(1, 3000))), 'c');
  assert.equal(name(applySnapshot(entry, aDrop({ name: 'c' }), from(3, null))), 'c');
});

test('an event two versions on shows that one was lost; a repeated or late one does not', () => {
  const entry = known({ version: 5 });
  assert.equal(showsGap(entry, { version: 6 }), false);
  assert.equal(showsGap(entry, { version: 7 }), true);
  const late = applyStockUpdate(entry, { availableStock: 4, version: 7, stockVersion: 9 });
  for (const version of [5, 6, 7, 8]) assert.equal(showsGap(late, { version }), false);
  assert.equal(showsGap(late, {}), false); // a purchase has no version
  assert.equal(showsGap(emptyEntry(1), { version: 7 }), false);
});

test('sizes follow events, and a snapshot is asked for when an event leaves them out', () => {
  const sizes = [{ size: '41', totalStock: 4, availableStock: 4 }, { size: '42', totalStock: 6, availableStock: 6 }];
  const entry = known({ sizes });
  const told = applyStockUpdate(entry, {
    availableStock: 7, version: 2, stockVersion: 4, sizes: [{ size: '42', availableStock: 3 }],
  });
  assert.deepEqual(viewOf(told, NOW).sizes.map((one) => one.availableStock), [4, 3]);
  assert.equal(needsSnapshot(told), false);
  const untold = applyStockUpdate(told, { availableStock: 1, version: 3, stockVersion: 10 });
  assert.equal(stock(untold), 1);
  assert.equal(needsSnapshot(untold), true);
  assert.equal(needsSnapshot(applySnapshot(untold, aDrop({ sizes, version: 3, stockVersion: 10 }), from(2))), false);
});

test('the unnamed size of a drop without sizes is not offered, and no event waits for it', () => {
  const entry = known({ sizes: [{ size: '', totalStock: 10, availableStock: 10 }] });
  assert.deepEqual(viewOf(entry, NOW).sizes, []);
  const told = applyStockUpdate(entry, {
    availableStock: 9, version: 2, stockVersion: 2, sizes: [{ size: '', availableStock: 9 }],
  });
  assert.equal(needsSnapshot(applyStockUpdate(told, { availableStock: 8, version: 3, stockVersion: 3 })), false);
});

test('the feed keeps the newest three and shows no purchase twice', () => {
  const bought = (purchaseId) => ({
    userId: purchaseId, username: `u${purchaseId}`, timestamp: `2026-06-01T11:00:0${purchaseId}Z`, purchaseId,
  });
  let entry = known({ recentPurchases: [{ userId: 1, username: 'u1', timestamp: '2026-06-01T11:00:01.000Z' }] });
  assert.equal(applyPurchase(entry, bought(1)), entry);
  for (const id of [4, 2, 4, 3]) entry = applyPurchase(entry, bought(id));
  assert.deepEqual(viewOf(entry, NOW).recentPurchases.map((one) => one.username), ['u4', 'u3', 'u2']);
  assert.equal(applyPurchase(entry, bought(1)), entry);
});

test('a change of status shows at once and asks for a snapshot until one has caught up', () => {
  const paused = applyChange(known({ version: 5 }), { status: 'PAUSED', version: 6 });
  assert.equal(viewOf(paused, NOW).status, 'PAUSED');
  assert.equal(needsSnapshot(applySnapshot(paused, aDrop({ version: 5 }), from(2))), true);
  const caughtUp = applySnapshot(paused, aDrop({ version: 7, status: 'LIVE' }), from(3));
  assert.equal(viewOf(caughtUp, NOW).status, 'LIVE');
  assert.equal(needsSnapshot(caughtUp), false);
  assert.equal(applyChange(caughtUp, { status: 'PAUSED', version: 6 }), caughtUp);
});

test('the clock opens and ends a drop, and the stock tells live from sold out', () => {
  const start = Date.parse('2026-06-01T12:00:10Z');
  const entry = known({
    status: 'UPCOMING', dropStartTime: '2026-06-01T12:00:10Z', dropEndTime: '2026-06-01T13:00:00Z',
  });
  assert.equal(viewOf(entry, start - 1).status, 'UPCOMING');
  assert.equal(viewOf(entry, start).status, 'LIVE');
  assert.equal(viewOf(applyStockUpdate(entry, { availableStock: 0, version: 2, stockVersion: 9 }), start).status, 'SOLD_OUT');
  assert.equal(viewOf(entry, Date.parse('2026-06-01T13:00:00Z')).status, 'ENDED');
  assert.equal(nextBoundary(entry, NOW), start);
  assert.equal(nextBoundary(entry, start), Date.parse('2026-06-01T13:00:00Z'));
  assert.equal(nextBoundary(entry, Date.parse('2026-06-02T00:00:00Z')), null);
});
