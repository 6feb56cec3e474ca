import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aDrop, fakePusher, FakeShop, problem, QUICK, until, wait } from './fakes.mjs';
import { load } from './load.mjs';

const { connect } = await load('drop-client.js');

/** A client on a fake shop and a fake channel, with everything it showed and every state it was in. */
function open(t, shop = new FakeShop(aDrop()), { pusher = fakePusher(), Pusher = pusher.Pusher } = {}) {
  const client = connect({ fetch: shop.fetch, Pusher, timing: QUICK });
  t.after(() => client.close());
  const shown = [];
  const states = [];
  client.onState((state) => states.push(state));
  client.watchDrop(1, (drop) => shown.push(drop));
  const stock = () => shown.at(-1)?.availableStock;
  const state = () => states.at(-1);
  return { client, shop, network: pusher.network, shown, states, stock, state };
}

const stockUpdate = (version, availableStock) => ({ dropId: 1, version, stockVersion: version, availableStock });

test('a watcher gets a snapshot, then events, live', async (t) => {
  const { client, network, stock, state } = open(t);
  const greetings = [];
  client.on('connected', (data) => greetings.push(data));
  await until(() => state() === 'live' && stock() === 10, 'live');
  assert.equal(typeof greetings[0].message, 'string');
  network.publish('cache-drop-1', 'stockUpdate', stockUpdate(2, 9));
  await until(() => stock() === 9, 'the event');
});

test('a repeated or old event never shows an older stock', async (t) => {
  const { network, stock, shown, state } = open(t);
  await until(() => state() === 'live', 'live');
  for (const [version, left] of [[5, 6], [4, 7], [5, 6], [3, 8], [6, 5]]) {
    network.publish('cache-drop-1', 'stockUpdate', stockUpdate(version, left));
    await wait(1);
  }
  await until(() => stock() === 5, 'the last stock');
  const stocks = shown.map((drop) => drop.availableStock);
  assert.deepEqual(stocks, [...stocks].sort((a, b) => b - a));
});

test('after a lost connection the client has the stock that it missed', async (t) => {
  const { shop, network, stock, state, states } = open(t);
  await until(() => state() === 'live', 'live');
  network.up = false;
  network.instances[0].drop();
  shop.change(1, { availableStock: 4, version: 9 });
  await until(() => stock() === 4, 'the stock by polling');
  assert.equal(state(), 'polling');
  network.up = true;
  await until(() => state() === 'live', 'live again', 6000);
  assert.ok(states.includes('polling'));
});

test('events that fail with the channel may come late, so snapshots stand in for them after a reconnect', async (t) => {
  const { shop, network, stock, state } = open(t);
  await until(() => state() === 'live', 'live');
  await wait(60); // the first snapshots are over
  shop.change(1, { availableStock: 9, version: 2 });
  await wait(60);
  assert.equal(stock(), 10); // before an outage, an event has to tell
  network.instances[0].drop();
  await until(() => state() !== 'live', 'the loss');
  network.instances[0].connect();
  await until(() => state() === 'live' && stock() === 9, 'live again');
  await wait(60);
  shop.change(1, { availableStock: 8, version: 3 });
  await until(() => stock() === 8, 'the stock without an event');
});

test('without a channel it polls with the ETag, and goes live when there is one', async (t) => {
  const shop = new FakeShop(aDrop());
  const { realtime } = shop;
  shop.realtime = null;
  const { stock, state } = open(t, shop);
  await until(() => state() === 'polling', 'polling');
  shop.change(1, { availableStock: 7 });
  await until(() => stock() === 7, 'polled stock');
  assert.ok(shop.paths('/api/drops/1').some(({ headers }) => headers['If-None-Match']));
  shop.realtime = realtime;
  await until(() => state() === 'live', 'live');
});

test('without pusher-js it polls', async (t) => {
  const shop = new FakeShop(aDrop());
  const client = connect({ fetch: shop.fetch, timing: QUICK });
  t.after(() => client.close());
  const states = [];
  client.onState((state) => states.push(state));
  client.watchDrops(() => {});
  await until(() => states.at(-1) === 'polling', 'polling');
});

test("a gateway's failure does not cost the channel for long", async (t) => {
  const shop = new FakeShop(aDrop());
  const isRealtime = (path) => path === '/api/realtime';
  let failures = 1;
  shop.answer = (path, headers) =>
    isRealtime(path) && failures-- > 0 ? new Response('', { status: 504 }) : FakeShop.prototype.answer.call(shop, path, headers);
  const client = connect({ fetch: shop.fetch, Pusher: fakePusher().Pusher, timing: { ...QUICK, realtimeMs: 60_000 } });
  t.after(() => client.close());
  let state = null;
  client.onState((now) => (state = now));
  await until(() => state === 'live', 'live');
});

test('a channel that sends the client away (4004) leaves it polling, and is tried again later', async (t) => {
  const { network, state } = open(t);
  await until(() => state() === 'live', 'live');
  network.instances[0].refuse(4004);
  assert.equal(state(), 'polling');
  await until(() => state() === 'live', 'live again');
  assert.equal(network.instances.length, 2);
});

test('nothing reachable is offline; the page keeps what it had and recovers', async (t) => {
  const { shop, network, stock, state } = open(t);
  await until(() => state() === 'live', 'live');
  network.up = false;
  shop.down = true;
  network.instances[0].drop();
  await until(() => state() === 'offline', 'offline');
  assert.equal(stock(), 10);
  shop.change(1, { availableStock: 2, version: 3 });
  shop.down = false;
  await until(() => stock() === 2, 'the stock after it');
});

test('a first look that fails is repeated soon, however live the channel is, and the page is not called live without it', async (t) => {
  const shop = new FakeShop(aDrop());
  let refusals = 0;
  const { ordinaryAnswer } = shop;
  shop.ordinaryAnswer = (path, headers) => {
    if (path !== '/api/drops/1' || refusals === 4) return ordinaryAnswer.call(shop, path, headers);
    refusals += 1;
    return problem(503, 'database_unavailable');
  };
  const { states, stock } = open(t, shop);
  await until(() => stock() === 10, 'the drop');
  await until(() => states.at(-1) === 'live', 'live');
  assert.equal(refusals, 4);
  assert.deepEqual(states, ['offline', 'live']);
});

test('a drop that is not there says nothing about the shop: the page is live, and has the drop when it is there', async (t) => {
  const shop = new FakeShop();
  const { network, states, stock } = open(t, shop);
  await until(() => states.at(-1) === 'live', 'live');
  await wait(60);
  assert.ok(!states.includes('offline'));
  assert.ok(shop.paths('/api/drops/1').length < 5, 'and no storm of requests');
  shop.put(aDrop());
  network.publish('drops', 'dropChanged', { dropId: 1, status: 'LIVE', version: 1 });
  await until(() => stock() === 10, 'the drop');
});

test('a live page whose looks fail shows what events tell, and goes on looking', async (t) => {
  const { network, shop, state, stock } = open(t);
  await until(() => state() === 'live' && stock() === 10, 'live');
  await wait(30);
  shop.down = true;
  network.publish('cache-drop-1', 'stockUpdate', stockUpdate(5, 9)); // a gap: a snapshot has to fill it
  network.publish('drops', 'dropChanged', { dropId: 2, status: 'LIVE', version: 1 }); // and a list to be looked at
  await until(() => stock() === 9, 'the event');
  await wait(60);
  assert.equal(state(), 'live');
  shop.change(1, { availableStock: 3, stockVersion: 6, version: 6 });
  shop.down = false;
  await until(() => stock() === 3, 'the snapshot');
});

test('a dropChanged shows at once and is followed by the snapshot, however late that is', async (t) => {
  const { shop, network, shown, state } = open(t);
  await until(() => state() === 'live', 'live');
  network.publish('drop-1', 'dropChanged', { dropId: 1, status: 'PAUSED', version: 4 });
  await until(() => shown.at(-1).status === 'PAUSED', 'paused');
  await wait(20);
  shop.change(1, { status: 'PAUSED', price: 150, version: 4 });
  await until(() => shown.at(-1).price === 150, 'the new price');
});

test('a new drop joins a watched list', async (t) => {
  const shop = new FakeShop(aDrop());
  const { client, network, state } = open(t, shop);
  const lists = [];
  client.watchDrops((drops) => lists.push(drops.map(({ id }) => id)));
  await until(() => state() === 'live' && lists.length > 0, 'live list');
  shop.put(aDrop({ id: 2 }));
  network.publish('drops', 'dropChanged', { dropId: 2, status: 'LIVE', version: 1 });
  await until(() => lists.at(-1).length === 2, 'the new drop');
  await until(() => network.instances[0].channels.has('cache-drop-2'), 'its channel');
});

test('an upcoming drop opens by the clock alone', async (t) => {
  const dropStartTime = new Date(Date.now() + 1500).toISOString();
  const { shown } = open(t, new FakeShop(aDrop({ status: 'UPCOMING', dropStartTime })));
  await until(() => shown.at(-1)?.status === 'UPCOMING', 'upcoming');
  await until(() => shown.at(-1).status === 'LIVE', 'open');
});

test('purchases appear in the feed once', async (t) => {
  const { network, shown, state } = open(t);
  await until(() => state() === 'live', 'live');
  const bought = { dropId: 1, userId: 3, username: 'ana', timestamp: '2026-06-01T12:00:00Z', purchaseId: 8 };
  network.publish('drop-1', 'newPurchase', bought);
  network.publish('drop-1', 'newPurchase', bought);
  await until(() => shown.at(-1).recentPurchases.length === 1, 'the purchase');
  await wait(10);
  assert.equal(shown.at(-1).recentPurchases.length, 1);
});

test('a page without a feed does not pay for purchases, and still hears of changes', async (t) => {
  const { Pusher, network } = fakePusher();
  const client = connect({ fetch: new FakeShop(aDrop()).fetch, Pusher, feed: false, timing: QUICK });
  t.after(() => client.close());
  let drop = null;
  let state = null;
  client.onState((now) => (state = now));
  client.watchDrop(1, (now) => (drop = now));
  await until(() => drop && state === 'live', 'live');
  assert.deepEqual([...network.instances[0].channels.keys()].sort(), ['cache-drop-1', 'drops']);
  network.publish('drops', 'dropChanged', { dropId: 1, status: 'PAUSED', version: 2 });
  await until(() => drop.status === 'PAUSED', 'paused');
});

test('who stops watching hears nothing more, and its channels are left', async (t) => {
  const shop = new FakeShop(aDrop());
  const pusher = fakePusher();
  const client = connect({ fetch: shop.fetch, Pusher: pusher.Pusher, timing: QUICK });
  t.after(() => client.close());
  let calls = 0;
  const stop = client.watchDrop(1, () => (calls += 1));
  let state = null;
  client.onState((now) => (state = now));
  await until(() => pusher.network.instances[0]?.channels.has('cache-drop-1') && state === 'live', 'subscribed');
  stop();
  const before = calls;
  assert.equal(pusher.network.instances[0].channels.has('cache-drop-1'), false);
  pusher.network.publish('cache-drop-1', 'stockUpdate', stockUpdate(5, 1));
  await wait(10);
  assert.equal(calls, before);
});
