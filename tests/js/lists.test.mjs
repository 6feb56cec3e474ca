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
