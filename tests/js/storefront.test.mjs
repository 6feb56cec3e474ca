import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { offerOf } = await load('storefront/offer.js');
const { titleOf } = await load('storefront/title.js');
const { clockTime, money } = await load('storefront/words.js');
const { failure } = await load('storefront/failures.js');

const NOW = Date.parse('2026-11-22T10:00:00Z');
const at = (seconds) => new Date(NOW + seconds * 1000).toISOString();
const drop = (more) => ({
  name: 'Deck Shoe', status: 'LIVE', dropStartTime: at(-60), dropEndTime: null, holdSeconds: 60, maxPerUser: null,
  nextExpiryAt: null, ...more,
});

test('a time reads zero only when it is over', () => {
  assert.deepEqual(
    [0, 1, 999, 1000, 59_001, 3_600_000, 3_599_999, 90_061_000].map(clockTime),
    ['0:00', '0:01', '0:01', '0:01', '1:00', '1:00:00', '1:00:00', '1 d 01:01:01'],
  );
});

test('the button is armed from the start on, and fills up in the last minute before it', () => {
  const upcoming = (seconds) => offerOf(drop({ status: 'UPCOMING', dropStartTime: at(seconds) }), NOW);
  assert.deepEqual([120, 60, 30, 0].map((seconds) => upcoming(seconds).arming), [0, 0, 0.5, 1]);
  assert.equal(upcoming(30).armed, false);
  assert.equal(upcoming(30).label, 'Opens in 0:30');
  assert.equal(offerOf(drop(), NOW).armed, true);
});

test('sold out tells when the next hold ends, and from then on lets one try', () => {
  const soldOut = (seconds) => offerOf(drop({ status: 'SOLD_OUT', nextExpiryAt: at(seconds) }), NOW);
  assert.equal(soldOut(23).hint, 'Units may return: next hold ends in 0:23');
  assert.deepEqual([soldOut(23).armed, soldOut(0).armed], [false, true]);
  const gone = offerOf(drop({ status: 'SOLD_OUT' }), NOW);
  assert.equal(gone.armed, false);
  assert.match(gone.hint, /has been bought/);
});

test('sold out or not, who got no answer may try again: the last unit may be theirs', () => {
  const offer = (more, isUnheard = true) => offerOf(drop({ status: 'SOLD_OUT', ...more }), NOW, { isUnheard });
  for (const more of [{}, { nextExpiryAt: at(23) }]) {
    assert.deepEqual([offer(more).label, offer(more).armed, offer(more, false).armed], ['Try again', true, false]);
  }
  assert.equal(offer({ nextExpiryAt: at(0) }).label, 'Try for a returned one');
  assert.equal(offer({ status: 'PAUSED' }).armed, false);
});

test('who waits long for an answer is told that the page still asks', () => {
  assert.match(offerOf(drop(), NOW, { askingMs: 2500 }).hint, /Still asking/);
  assert.doesNotMatch(offerOf(drop(), NOW, { askingMs: 500 }).hint, /Still asking/);
});

test('a closed drop says so in each of its ways, and sells nothing', () => {
  for (const status of ['PAUSED', 'ENDED', 'CANCELLED']) {
    const { armed, title, hint } = offerOf(drop({ status, dropEndTime: at(-5) }), NOW);
    assert.equal(armed, false);
    assert.ok(title && hint, status);
  }
});

test('the title counts the hold that ends first, else what the page shows', () => {
  const shoe = drop();
  assert.equal(titleOf({ left: 47_000, name: 'Deck Shoe' }, shoe, NOW), '0:47 to buy · Deck Shoe');
  assert.equal(titleOf(null, shoe, NOW), 'Deck Shoe · Holdfast');
  assert.equal(titleOf(null, null, NOW), 'Holdfast · Limited drops');
  assert.equal(titleOf(null, drop({ status: 'UPCOMING', dropStartTime: at(65) }), NOW), '1:05 to open · Deck Shoe');
  assert.equal(titleOf(null, drop({ status: 'UPCOMING', dropStartTime: at(86_400) }), NOW), 'Deck Shoe · Holdfast');
});

test('prices have the decimals of their currency, and an odd currency breaks nothing', () => {
  assert.match(money(12_000, 'JPY'), /12,?.?000$/);
  assert.doesNotMatch(money(12_000, 'JPY'), /\.00/);
  assert.match(money(149.5, 'USD'), /149[.,]50/);
  assert.equal(money(5, '???'), '5 ???');
});

test('a fault of the shop comes with the number under which the shop finds it', () => {
  assert.match(failure({ code: 'internal_error', requestId: '0123456789abcdef' }), /Report no\. 01234567\.$/);
  assert.doesNotMatch(failure({ code: 'sold_out', requestId: '0123456789abcdef' }), /Report/);
});
