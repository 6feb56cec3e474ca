/** Who asks: headers that a page gives, at once or as a promise, and tokens that have to be renewed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aDrop, fakePusher, FakeShop, problem, QUICK, reply, until } from './fakes.mjs';
import { load } from './load.mjs';

const { connect } = await load('drop-client.js');

/** A client with this header provider, on a shop that answers buyers as scripted. */
function buyer(t, headers, ...answers) {
  const shop = new FakeShop(aDrop());
  const { fetch: ordinary } = shop;
  const asked = [];
  const fetch = async (path, options) => {
    if (!path.startsWith('/api/reserve') && !path.startsWith('/api/users')) return ordinary(path, options);
    asked.push(options.headers);
    const answer = answers.shift();
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const client = connect({ fetch, Pusher: fakePusher().Pusher, headers, timing: QUICK });
  t.after(() => client.close());
  return { client, shop, asked };
}

const reserved = () => reply(201, { message: 'Reserved', reservation: { id: 1 } });

test('a token may come as a promise, and goes with a buyer\'s requests', async (t) => {
  const { client, asked } = buyer(t, async () => ({ Authorization: 'Bearer one' }), reserved());
  await client.reserve(1);
  assert.equal(asked[0].Authorization, 'Bearer one');
});

test('snapshots carry no token, so that caches can share them', async (t) => {
  const { client, shop } = buyer(t, () => ({ Authorization: 'Bearer one' }));
  client.watchDrop(1, () => {});
  await until(() => shop.paths('/api/drops/1').length > 0, 'a snapshot');
  assert.ok(shop.requests.every(({ headers }) => !('Authorization' in headers)));
});

test('a token that was refused is renewed, once', async (t) => {
  const told = [];
  const provider = async ({ refused }) => {
    told.push(refused);
    return { Authorization: `Bearer ${refused ? 'new' : 'old'}` };
  };
  const once = buyer(t, provider, problem(401, 'unauthorized'), reserved());
  assert.equal((await once.client.reserve(1)).message, 'Reserved');
  assert.deepEqual(once.asked.map(({ Authorization }) => Authorization), ['Bearer old', 'Bearer new']);
  assert.deepEqual(told, [false, true]);
  const twice = buyer(t, provider, problem(401, 'unauthorized'), problem(401, 'unauthorized'));
  await assert.rejects(twice.client.reserve(1), { code: 'unauthorized', status: 401 });
  assert.equal(twice.asked.length, 2);
});

test('without a provider a refusal is told at once', async (t) => {
  const { client, asked } = buyer(t, undefined, problem(401, 'unauthorized'));
  await assert.rejects(client.reserve(1), { code: 'unauthorized' });
  assert.equal(asked.length, 1);
});

test('a provider that fails is told as such, and nothing is sent', async (t) => {
  const { client, asked } = buyer(t, () => Promise.reject(new Error('signed out')));
  await assert.rejects(client.reserve(1), { code: 'unauthorized', status: 0, detail: 'No credentials: signed out' });
  assert.equal(asked.length, 0);
});

test('a new user whose reply was lost is asked for again with the same key', async (t) => {
  const { client, asked } = buyer(t, undefined, new TypeError('lost'), reply(201, { user: { id: 5, username: 'ada' } }));
  assert.equal((await client.createUser('ada')).user.id, 5);
  const keys = asked.map((headers) => headers['Idempotency-Key']);
  assert.match(keys[0], /^[0-9a-f]{32}$/);
  assert.equal(keys[0], keys[1]);
});

test('a caller can make a user with a key of its own, and repeat the call with it', async (t) => {
  const answers = [problem(500, 'internal_error'), reply(201, { user: { id: 5, username: 'ada' } })];
  const { client, asked } = buyer(t, undefined, ...answers);
  await assert.rejects(client.createUser('ada', { key: 'one wish' }), { code: 'internal_error' });
  await client.createUser('ada', { key: 'one wish' });
  assert.deepEqual(asked.map((headers) => headers['Idempotency-Key']), ['one wish', 'one wish']);
});
