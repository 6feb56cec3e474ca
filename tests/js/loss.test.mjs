/** Events and connections that get lost without anybody saying so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aDrop, fakePusher, FakeShop, problem, QUICK, reply, until, wait } from './fakes.mjs';
import { load } from './load.mjs';

const { connect } = await load('drop-client.js');
const { watchForWaking } = await load('drop-client/wake.js');

/** A client that is live on a fake shop and a fake channel, its first snapshots over. */
async function live(t, timing = {}) {
  const shop = new FakeShop(aDrop());
  const { Pusher, network } = fakePusher();
  const client = connect({ fetch: shop.fetch, Pusher, timing: { ...QUICK, ...timing } });
  t.after(() => client.close());
  const shown = [];
  const states = [];
  client.onState((state) => states.push(state));
  client.watchDrop(1, (drop) => shown.push(drop));
  await until(() => states.at(-1) === 'live' && shown.length > 0, 'live');
  await wait(60);
  const publish = (version, availableStock) =>
    network.publish('cache-drop-1', 'stockUpdate', { dropId: 1, version, stockVersion: version, availableStock });
  return { client, shop, network, shown, states, publish, stock: () => shown.at(-1).availableStock };
}

test('when the last event of several is lost, a snapshot soon after the others brings its stock', async (t) => {
  const { shop, publish, stock } = await live(t, { quietMs: 30 });
  publish(2, 9);
  shop.change(1, { availableStock: 8, stockVersion: 3, version: 3 });
  await until(() => stock() === 8, 'the stock that no event told');
});

test('a channel that has lost an event is looked after until it has nothing to hide', async (t) => {
  const { shop, publish, stock } = await live(t, { quietMs: 30 });
  shop.change(1, { availableStock: 9 });
  publish(2, 9);
  for (const left of [8, 7, 6]) {
    shop.change(1, { availableStock: left });
    await until(() => stock() === left, `the stock ${left}, without any event`);
  }
  await wait(400);
  const asked = shop.requests.length;
  await wait(200);
  assert.equal(shop.requests.length, asked);
});

test('events that come one after the other cost no snapshot between them', async (t) => {
  const { shop, publish } = await live(t, { quietMs: 600 });
  const asked = shop.requests.length;
  for (let version = 2; version < 22; version += 1) {
    publish(version, 10);
    await wait(10);
  }
  assert.equal(shop.requests.length, asked);
});

test('nobody looks at a hidden page, so a lost event can wait there', async (t) => {
  const { shop, publish } = await live(t, { quietMs: 20 });
  t.after(() => delete globalThis.document);
  globalThis.document = { hidden: true };
  const asked = shop.requests.length;
  publish(2, 9);
  await wait(80);
  assert.equal(shop.requests.length, asked);
});

test('a gap between events is filled by a snapshot: the lost one may have been a change', async (t) => {
  const { shop, publish, shown } = await live(t);
  shop.change(1, { status: 'PAUSED', version: 2 });
  shop.change(1, { availableStock: 9, version: 3, stockVersion: 3 });
  publish(3, 9);
  await until(() => shown.at(-1).status === 'PAUSED', 'the change that no event told');
});

test('a connection that died without a word is found out and made anew', async (t) => {
  const { shop, network, publish, stock, states } = await live(t, { safetyMs: 30 });
  network.instances[0].silence();
  shop.change(1, { availableStock: 7, stockVersion: 2 });
  await until(() => stock() === 7, 'the stock, by a snapshot');
  await until(() => states.length > 1 && states.at(-1) === 'live', 'live again');
  publish(3, 6);
  await until(() => stock() === 6, 'events again');
});

test('a connection that answers is left alone', async (t) => {
  const { shop, network, stock, states } = await live(t, { safetyMs: 30 });
  shop.change(1, { availableStock: 7 });
  await until(() => stock() === 7, 'the stock, by a snapshot');
  await wait(60);
  assert.deepEqual(states.slice(states.indexOf('live')), ['live']);
  assert.equal(network.connects, 1);
});

test('a look at what a cache had kept is followed by one more', async (t) => {
  const { shop, publish } = await live(t, { quietMs: 20 });
  shop.headers = { Age: '1' };
  const before = shop.requests.length;
  publish(2, 9);
  await until(() => shop.requests.length === before + 2, 'two looks');
  await wait(100);
  assert.equal(shop.requests.length, before + 2);
});

test('a look that fails leaves the next one as much in need of a fresh reply', async (t) => {
  const { shop, publish, stock } = await live(t, { quietMs: 20 });
  const old = shop.drops.get(1);
  shop.change(1, { availableStock: 8, version: 3, stockVersion: 3 });
  const { ordinaryAnswer } = shop;
  // The look fails, the one after it gets what a cache had kept, and then the cache has let it go.
  const answers = [() => problem(503, 'busy'), () => reply(200, old, { Age: '1' })];
  shop.ordinaryAnswer = (...request) => answers.shift()?.() ?? ordinaryAnswer.apply(shop, request);
  publish(2, 9); // the event of the other sale is lost
  await until(() => stock() === 8, 'the stock behind the cache');
});

test('a cache channel with nothing to replay, by itself, is a reason to look', async (t) => {
  const { shop, network } = await live(t);
  const asked = shop.requests.length;
  network.instances[0].channels.get('cache-drop-1').emit('pusher:cache_miss', {});
  await until(() => shop.requests.length === asked + 1, 'one more look');
});

test('ten thousand events in one burst end with the last one, and bring no storm of requests', async (t) => {
  const { shop, publish, shown, stock } = await live(t, { quietMs: 30 });
  const asked = shop.requests.length;
  shop.change(1, { availableStock: 3, stockVersion: 10_001, version: 10_001 });
  for (let version = 2; version <= 10_000; version += 1) publish(version, 20_000 - version);
  publish(10_001, 3);
  await until(() => stock() === 3, 'the last event');
  assert.ok(shown.length < 20, `told ${shown.length} times`); // the burst was one turn
  await wait(100);
  assert.ok(shop.requests.length - asked <= 2, `${shop.requests.length - asked} requests`);
});

test('sold out over and over does not put off the snapshot that tells when units return', async (t) => {
  const { shop, publish, shown } = await live(t, { spreadMs: 60 });
  t.mock.method(Math, 'random', () => 0.5); // or now and then a wait would be shorter than the flapping
  shop.change(1, { availableStock: 0, stockVersion: 900, version: 900, nextExpiryAt: '2026-06-01T12:00:00Z' });
  const flapping = setInterval(() => publish((shown.at(-1).version ?? 1) + 1, 0), 5);
  t.after(() => clearInterval(flapping));
  await until(() => shown.at(-1).nextExpiryAt, 'the snapshot', 1000);
});

test('one more drop is no outage: a live page does not go on asking for what its connection may have lost', async (t) => {
  const { client, shop, states } = await live(t);
  shop.put(aDrop({ id: 2 }));
  const asked = shop.requests.length;
  t.after(client.watchDrop(2, () => {}));
  await until(() => shop.paths('/api/drops/2').length > 0 && states.at(-1) === 'live', 'live with both');
  await wait(400); // more than ten times settleMs
  assert.ok(shop.requests.length - asked <= 8, `${shop.requests.length - asked} requests`);
});

test('an outage that begins while one more channel is on its way is one', async (t) => {
  const { client, shop, network, states } = await live(t, { restartMs: 20 });
  shop.put(aDrop({ id: 2 }));
  network.confirms = false;
  t.after(client.watchDrop(2, () => {}));
  await until(() => states.at(-1) === 'polling', 'on its way');
  network.confirms = true;
  network.instances[0].drop();
  await until(() => states.at(-1) === 'live', 'live again');
  const asked = shop.requests.length;
  await until(() => shop.requests.length - asked > 12, 'looks for events that come late');
});

test('a channel that was left on its way, when the connection broke, does not come back with the next connection', async (t) => {
  const { client, shop, network, states } = await live(t, { restartMs: 20 });
  const pusher = network.instances[0];
  shop.put(aDrop({ id: 2 }));
  network.confirms = false;
  const stop = client.watchDrop(2, () => {});
  await until(() => pusher.pending.has('drop-2'), 'asked for');
  stop();
  network.confirms = true;
  pusher.drop();
  await until(() => states.at(-1) === 'live' && pusher.connection.state === 'connected', 'live again');
  await until(() => pusher.pending.size === 0, 'confirmed');
  assert.deepEqual([...pusher.channels.keys()].sort(), ['cache-drop-1', 'drop-1', 'drops']);
});

test('waking is told after a sleep, once, and not for a beat that is a little late', (t) => {
  let now = 0;
  t.mock.timers.enable({ apis: ['setInterval'] });
  t.mock.method(Date, 'now', () => now);
  let woken = 0;
  const stop = watchForWaking(() => (woken += 1));
  const beat = (ms) => {
    now += ms;
    t.mock.timers.tick(1000);
  };
  [1000, 1100, 2900, 1000].forEach(beat);
  assert.equal(woken, 0);
  beat(3_600_000); // asleep: time goes on, timers do not
  beat(1000);
  assert.equal(woken, 1);
  stop();
  beat(3_600_000);
  assert.equal(woken, 1);
});

test('a local clock that was set back is noticed, and no reason to give a connection up', (t) => {
  let now = 10_000_000;
  t.mock.timers.enable({ apis: ['setInterval'] });
  t.mock.method(Date, 'now', () => now);
  const told = [];
  t.after(watchForWaking((slept) => told.push(slept)));
  for (const ms of [1000, -3_600_000, 1000]) {
    now += ms;
    t.mock.timers.tick(1000);
  }
  assert.deepEqual(told, [false]);
});

/** A page without a browser: `fire(name, event)` tells its listeners, `hidden` is what it says of itself. */
function aPage(t) {
  const listeners = new Map();
  const page = {
    hidden: false,
    addEventListener: (name, callback) => listeners.set(name, callback),
    removeEventListener: (name) => listeners.delete(name),
    fire: (name, event = {}) => listeners.get(name)(event),
  };
  Object.assign(globalThis, { document: page, addEventListener: page.addEventListener, removeEventListener: page.removeEventListener });
  t.after(() => {
    for (const name of ['document', 'addEventListener', 'removeEventListener']) delete globalThis[name];
  });
  return page;
}

test('the first showing of a page is no waking; its return from the back-forward cache is', (t) => {
  const page = aPage(t);
  const told = [];
  t.after(watchForWaking((slept) => told.push(slept)));
  page.fire('pageshow', { persisted: false });
  assert.deepEqual(told, []);
  page.fire('pageshow', { persisted: true });
  assert.deepEqual(told, [false]);
});

/** watchForWaking with a clock of its own: `pass` lets time go by, and a beat come at its end. */
function aSleeper(t) {
  let now = 0;
  const page = aPage(t);
  t.mock.timers.enable({ apis: ['setInterval'] });
  t.mock.method(Date, 'now', () => now);
  const told = [];
  t.after(watchForWaking((slept) => told.push(slept)));
  const skip = (ms) => (now += ms);
  const pass = (ms) => {
    skip(ms);
    t.mock.timers.tick(1000);
  };
  const turn = (hidden) => {
    page.hidden = hidden;
    page.fire('visibilitychange');
  };
  return { told, skip, pass, turn };
}

test('a page that was hidden for long, its beats a minute apart, has not slept', (t) => {
  const { told, skip, pass, turn } = aSleeper(t);
  turn(true);
  for (let minute = 0; minute < 10; minute += 1) pass(60_000);
  skip(55_000);
  turn(false);
  pass(5);
  assert.deepEqual(told, [false]);
});

test('a page that slept is told so, shown or hidden, whatever the browser says first', (t) => {
  const { told, skip, pass, turn } = aSleeper(t);
  pass(1000);
  pass(3_600_000);
  assert.deepEqual(told, [true], 'a beat');
  skip(3_600_000);
  turn(true); // as a lid does when it opens
  turn(false);
  assert.deepEqual(told, [true, true], 'the showing');
  pass(1000);
  turn(true);
  pass(60_000);
  skip(3_600_000);
  turn(false);
  pass(1000);
  assert.deepEqual(told, [true, true, true], 'frozen in the background');
});
