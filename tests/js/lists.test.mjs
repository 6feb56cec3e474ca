/** Watched lists: what comes into them and leaves them, by news, by the clock, and in whatever order the answers come. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aDrop, fakePusher, FakeShop, QUICK, reply, until, wait } from './fakes.mjs';
import { load } from './load.mjs';

const { connect } = await load('drop-client.js');

/** A client that watches a list, with the ids that it showed each time; the first look and those of the channel are over. */
async function watching(t, shop, options, timing = {}) {
  const { Pusher, network } = fakePusher();
  const client = connect({ fetch: shop.fetch, Pusher, timing: { ...QUICK, ...timing } });
  t.after(() => client.close());
  let state = null;
  client.onState((now) => (state = now));
  const lists = [];
  client.watchDrops((drops) => lists.push(drops.map(({ id }) => id)), options);
  await until(() => state === 'live' && lists.length > 0, 'live');
  await wait(60);
  return { client, network, lists, shown: () => lists.at(-1) };
}

const isNew = (id) => ({ dropId: id, status: 'LIVE', version: 1 });

/** Lists wait until they are let through, each with what the shop had when it was asked. */
function holdLists(shop) {
  const held = [];
  const { fetch } = shop;
  shop.fetch = async (url, options) => {
    const answer = await fetch(url, options);
    if (/\/api\/drops(\?|$)/.test(url) && held.on) await new Promise((letThrough) => held.push(letThrough));
    return answer;
  };
  return held;
}

test('a new drop that is told of while the list is on its way shows at once, not with the next safety snapshot', async (t) => {
  const shop = new FakeShop(aDrop());
  const held = holdLists(shop);
  const { network, shown } = await watching(t, shop, { status: 'all' }, { spreadMs: 100 });
  held.on = true;
  network.publish('drops', 'dropChanged', isNew(7)); // one that the shop does not list yet
  await until(() => held.length === 1, 'a look');
  shop.put(aDrop({ id: 2 }));
  network.publish('drops', 'dropChanged', isNew(2));
  held.on = false;
  held.forEach((letThrough) => letThrough());
  await until(() => shown().length === 2, 'the new drop');
});

test('of two looks that overlap the one that began later says what is in the list', async (t) => {
  const shop = new FakeShop(aDrop());
  const held = holdLists(shop);
  const { network, lists, shown } = await watching(t, shop, { status: 'all' });
  held.on = true;
  network.publish('drops', 'dropChanged', isNew(2));
  await until(() => held.length === 1, 'the first look');
  shop.put(aDrop({ id: 2 }));
  network.publish('drops', 'dropChanged', isNew(2));
  await until(() => held.length === 2, 'the second look');
  held[1]();
  await until(() => shown().length === 2, 'the new drop');
  const before = lists.length;
  held[0]();
  await wait(40);
  assert.deepEqual(lists.slice(before).filter((ids) => ids.length === 1), []);
});

const HOUR_MS = 3_600_000;
const from = (ms) => new Date(Date.now() + ms).toISOString();
const startOf = (drop) => Date.parse(drop.dropStartTime);
const endOf = (drop) => Date.parse(drop.dropEndTime ?? from(HOUR_MS));

/** A shop whose lists are those of the API: by start and end, as of `now`, newest first. */
function shopOf(...drops) {
  const shop = new FakeShop(...drops);
  const { ordinaryAnswer } = shop;
  const isIn = {
    live: (drop, now) => startOf(drop) <= now && endOf(drop) > now,
    upcoming: (drop, now) => startOf(drop) > now,
    ended: (drop, now) => endOf(drop) <= now,
  };
  shop.now = () => Date.now();
  shop.ordinaryAnswer = (path, headers) => {
    const [, status = 'live'] = /^\/api\/drops(?:\?status=(\w+))?$/.exec(path) ?? [null, null];
    if (!isIn[status]) return ordinaryAnswer.call(shop, path, headers);
    const listed = [...shop.drops.values()].filter((drop) => isIn[status](drop, shop.now()));
    return reply(200, listed.sort((a, b) => b.id - a.id));
  };
  return shop;
}

const soon = () => aDrop({ id: 3, status: 'UPCOMING', dropStartTime: from(1500) });

test('a drop that opens by the clock joins the live list, in its place', async (t) => {
  const shop = shopOf(aDrop(), soon(), aDrop({ id: 9 }), aDrop({ id: 4, status: 'UPCOMING', dropStartTime: from(HOUR_MS) }));
  const { shown, network } = await watching(t, shop);
  assert.deepEqual(shown(), [9, 1]);
  // Its stock is followed from the start on, not from the next snapshot on.
  assert.ok(network.instances[0].channels.has('cache-drop-3'));
  await until(() => shown().length === 3, 'open');
  assert.deepEqual(shown(), [9, 3, 1]);
});

test('a drop that opens by the clock leaves the upcoming list, and one that ends the live list', async (t) => {
  const upcoming = await watching(t, shopOf(soon()), { status: 'upcoming' });
  const live = await watching(t, shopOf(aDrop(), aDrop({ id: 2, dropEndTime: from(1500) })));
  assert.deepEqual([upcoming.shown(), live.shown()], [[3], [2, 1]]);
  await until(() => upcoming.shown().length === 0, 'opened');
  await until(() => live.shown().length === 1, 'ended');
  assert.deepEqual(live.shown(), [1]);
});

test('a list that a cache has kept since before the start does not take the drop away again', async (t) => {
  const shop = shopOf(aDrop(), soon());
  shop.headers = { Date: null }; // so that its clock is this one, to the millisecond
  const { client, lists, shown } = await watching(t, shop);
  await until(() => shown().length === 2, 'open');
  const before = lists.length;
  const { ordinaryAnswer } = shop;
  const start = startOf(shop.drops.get(3));
  shop.ordinaryAnswer = (path, headers) => {
    shop.now = () => (path === '/api/drops' ? start - 1 : start + 1);
    return ordinaryAnswer(path, headers);
  };
  shop.put(aDrop({ id: 1, name: 'Renamed', version: 2 }));
  const asked = shop.paths('/api/drops').length;
  client.watchDrops(() => {}, { status: 'live' }); // which looks
  await until(() => shop.paths('/api/drops').length >= asked + 2 && lists.length > before, 'a look');
  await wait(40);
  assert.deepEqual(lists.slice(before).filter((ids) => !ids.includes(3)), []);
});

test('a cancelled drop leaves the live list with the event', async (t) => {
  const { network, shown } = await watching(t, shopOf(aDrop(), aDrop({ id: 2 })));
  network.publish('drops', 'dropChanged', { dropId: 2, status: 'CANCELLED', version: 5 });
  await until(() => shown().length === 1, 'gone');
  assert.deepEqual(shown(), [1]);
});

test('a paused drop is in the list that its times say', async () => {
  const { phaseOf } = await load('drop-client/state.js');
  const phase = (over) => phaseOf(aDrop({ status: 'PAUSED', ...over }), Date.now());
  const phases = [{}, { dropStartTime: from(HOUR_MS) }, { dropEndTime: from(-HOUR_MS) }].map(phase);
  assert.deepEqual(phases, ['live', 'upcoming', 'ended']);
});
