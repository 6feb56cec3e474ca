/** Pages that stay open for long, clocks that are wrong, and watchers that come, go and fail. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import v8 from 'node:v8';
import vm from 'node:vm';
import { aDrop, fakePusher, FakeShop, QUICK, until, wait } from './fakes.mjs';
import { load } from './load.mjs';

const { connect } = await load('drop-client.js');

const HOUR_MS = 3_600_000;

function open(t, shop, timing = {}) {
  const { Pusher, network } = fakePusher();
  const client = connect({ fetch: shop.fetch, Pusher, timing: { ...QUICK, ...timing } });
  t.after(() => client.close());
  return { client, network };
}

async function seen(client, id) {
  let drop = null;
  const stop = client.watchDrop(id, (now) => (drop = now));
  await until(() => drop, `drop ${id}`);
  stop();
  return drop;
}

test('a page that has shown a thousand drops keeps none of them', async (t) => {
  v8.setFlagsFromString('--expose-gc');
  const gc = vm.runInNewContext('gc');
  const shop = new FakeShop();
  shop.records = false;
  shop.ordinaryAnswer = (path) => {
    const id = Number(path.split('/').at(-1));
    const body = path === '/api/realtime' ? shop.realtime : aDrop({ id, name: `${id} `.repeat(2000) });
    return new Response(JSON.stringify(body), { headers: { ETag: `"${id}"` } });
  };
  const { client } = open(t, shop, { keepMs: 1 });
  const used = async (from, to) => {
    for (let id = from; id < to; id += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => seen(client, id + i)));
    }
    gc();
    return process.memoryUsage().heapUsed;
  };
  await used(1, 200);
  const before = await used(201, 400);
  const after = await used(401, 1400);
  // Kept, a thousand names of some 10 kB would be 10 MB.
  assert.ok(after - before < 4_000_000, `grew by ${after - before} bytes`);
});

test('who comes back soon sees no older stock than before, even from a cache', async (t) => {
  const shop = new FakeShop(aDrop(), aDrop({ id: 2 }), aDrop({ id: 3 }));
  const { client, network } = open(t, shop, { keepMs: 1000 });
  let drop = null;
  const stop = client.watchDrop(1, (now) => (drop = now));
  await until(() => drop && network.instances[0]?.channels.has('cache-drop-1'), 'watched');
  network.publish('cache-drop-1', 'stockUpdate', { dropId: 1, version: 9, stockVersion: 9, availableStock: 2 });
  await until(() => drop.availableStock === 2, 'the event');
  await wait(1100); // so that the next look is one at which things are forgotten
  stop();
  await seen(client, 2);
  await seen(client, 3);
  await wait(20);
  network.cached.clear(); // or the channel would replay the event
  assert.equal((await seen(client, 1)).availableStock, 2); // the shop still answers 10
});

test('changes of drops that nobody watches are not remembered, and only the lists are asked for', async (t) => {
  const shop = new FakeShop(aDrop());
  const { client, network } = open(t, shop);
  client.watchDrop(1, () => {});
  await until(() => network.instances[0]?.channels.has('drop-1'), 'watched');
  await wait(40);
  for (let id = 100; id < 200; id += 1) {
    network.publish('drops', 'dropChanged', { dropId: id, status: 'LIVE', version: 2 });
  }
  await wait(60);
  assert.deepEqual(shop.requests.filter(({ path }) => /drops\/1\d\d/.test(path)), []);
});

test('a countdown is right on a clock that is wrong by hours', async (t) => {
  const shop = new FakeShop(aDrop({
    status: 'UPCOMING', dropStartTime: new Date(Date.now() + 3 * HOUR_MS + 1500).toISOString(),
  }));
  shop.answer = (path, headers) => {
    const answer = shop.ordinaryAnswer(path, headers);
    answer.headers.set('Date', new Date(Date.now() + 3 * HOUR_MS).toUTCString());
    return answer;
  };
  const { client } = open(t, shop);
  let drop = null;
  client.watchDrop(1, (now) => (drop = now));
  await until(() => drop?.status === 'UPCOMING', 'upcoming');
  assert.ok(Math.abs(client.serverNow() - Date.now() - 3 * HOUR_MS) < 1000);
  await until(() => drop.status === 'LIVE', 'open');
});

test('a start is not missed on a slow clock where a cache has every reply', async (t) => {
  const startsAt = Date.now() + HOUR_MS + 1500;
  const shop = new FakeShop(aDrop({ status: 'UPCOMING', dropStartTime: new Date(startsAt).toISOString() }));
  shop.answer = (path, headers) => {
    const answer = shop.ordinaryAnswer(path, headers);
    answer.headers.set('Date', new Date(Date.now() + HOUR_MS).toUTCString());
    answer.headers.set('X-Vercel-Cache', 'HIT');
    return answer;
  };
  const { client } = open(t, shop);
  let drop = null;
  client.watchDrop(1, (now) => (drop = now));
  await until(() => drop, 'the drop');
  await until(() => drop.status === 'LIVE', 'open', 4500); // the shop goes on saying that it is upcoming
});

test('without a Date header the local clock serves, and everything else works', async (t) => {
  const shop = new FakeShop(aDrop({ dropStartTime: new Date(Date.now() - 1000).toISOString() }));
  shop.headers = { Date: null };
  const { client, network } = open(t, shop);
  const drop = await seen(client, 1);
  assert.equal(drop.status, 'LIVE');
  assert.ok(Math.abs(client.serverNow() - Date.now()) < 50);
  assert.equal(network.instances.length, 1);
});

test('a start that passed while the device slept shows when it wakes', async (t) => {
  const shop = new FakeShop(aDrop({
    status: 'UPCOMING', dropStartTime: new Date(Date.now() + HOUR_MS).toISOString(),
  }));
  shop.headers = { Date: null };
  const { client } = open(t, shop, { safetyMs: 20 });
  let drop = null;
  client.watchDrop(1, (now) => (drop = now));
  await until(() => drop?.status === 'UPCOMING', 'upcoming');
  const { now } = Date;
  t.after(() => (Date.now = now));
  Date.now = () => now() + 2 * HOUR_MS;
  await until(() => drop.status === 'LIVE', 'open'); // though its timer has an hour to go
});

test('a watcher that throws keeps the news from no other one', async (t) => {
  const reported = [];
  globalThis.reportError = (error) => reported.push(error.message);
  t.after(() => delete globalThis.reportError);
  const { client } = open(t, new FakeShop(aDrop()));
  let told = 0;
  client.watchDrop(1, () => {
    throw new Error('of the page');
  });
  client.watchDrop(1, () => (told += 1));
  await until(() => told > 0, 'the other one');
  assert.equal(reported[0], 'of the page');
});

test('a client that was closed while it asked leaves no timer behind', async (t) => {
  const shop = new FakeShop(aDrop({ status: 'UPCOMING', dropStartTime: new Date(Date.now() + HOUR_MS).toISOString() }));
  const { fetch } = shop;
  shop.fetch = (...request) => fetch(...request).finally(() => wait(20));
  const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  await wait(50); // those of the tests before
  const before = timers();
  const { client } = open(t, shop);
  const shown = [];
  client.watchDrop(1, (drop) => shown.push(drop));
  await until(() => shop.paths('/api/drops/1').length > 0, 'asked');
  client.close();
  await wait(50);
  assert.deepEqual(shown, []);
  assert.equal(timers(), before);
});
