import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeShop, problem, reply } from './fakes.mjs';
import { load } from './load.mjs';

const { createCalls, DropError } = await load('drop-client/calls.js');
const { createClock } = await load('drop-client/clock.js');
const { nextPage } = await load('drop-client/snapshots.js');

/** Calls over a fake fetch that gives the scripted answers, without real waits. */
function callsWith(...answers) {
  const shop = new FakeShop();
  shop.scripted = answers.map((answer) => () => {
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const slept = [];
  const calls = createCalls({
    api: 'https://shop.example', fetch: shop.fetch, clock: createClock(), random: () => 0.5,
    sleep: async (ms) => slept.push(ms),
  });
  return { calls, shop, slept };
}

test('a lost reply is asked for again and the replay is told apart', async () => {
  const replayed = reply(200, { message: 'ok' }, { 'Idempotency-Replayed': 'true' });
  const { calls, shop } = callsWith(new TypeError('connection lost'), replayed);
  assert.equal((await calls.persist('POST', '/api/reserve/1', { userId: 1 })).replayed, true);
  assert.deepEqual(shop.requests.map(({ body }) => body), [{ userId: 1 }, { userId: 1 }]);
});

test('busy is repeated after Retry-After, with growing waits without one', async () => {
  const { calls, slept } = callsWith(
    problem(503, 'busy', { 'Retry-After': '1' }), problem(503, 'busy'), new Response('<html>', { status: 502 }),
    reply(201, { message: 'Reserved' }),
  );
  assert.equal((await calls.persist('POST', '/api/reserve/1', {})).replayed, false);
  assert.deepEqual(slept, [1000, 500, 1000]);
});

/** As API Gateway and Vercel's firewall refuse: without a code of the shop. */
const throttled = (headers) => reply(429, { message: 'Too Many Requests' }, headers);

test('a throttle of the host passes: the request is repeated, after Retry-After if that is soon', async () => {
  const { calls, shop, slept } = callsWith(
    throttled(), throttled({ 'Retry-After': '3' }), new Response('<html>', { status: 429 }), reply(201, { message: 'Reserved' }),
  );
  assert.equal((await calls.persist('POST', '/api/reserve/1', {})).message, 'Reserved');
  assert.deepEqual([shop.requests.length, slept], [4, [250, 3000, 1000]]);
  const later = callsWith(reply(429, { error: { code: '429', message: 'Too Many Requests' } }, { 'Retry-After': '60' }));
  const told = { code: 'busy', status: 429, retryAfter: 60, detail: 'The shop answered with status 429.' };
  await assert.rejects(later.calls.persist('POST', '/api/reserve/1', {}), told);
  assert.deepEqual(later.slept, []);
});

test('the shop\'s own rate limit is a refusal', async () => {
  const { calls, shop } = callsWith(problem(429, 'rate_limited', { 'Retry-After': '1' }));
  await assert.rejects(calls.persist('POST', '/api/reserve/1', {}), { code: 'rate_limited', retryAfter: 1 });
  assert.equal(shop.requests.length, 1);
});

test('an issuer that is out of reach for a moment is no refusal', async () => {
  const { calls } = callsWith(problem(503, 'issuer_unavailable', { 'Retry-After': '2' }), reply(201, { message: 'Reserved' }));
  assert.equal((await calls.persist('POST', '/api/reserve/1', {})).message, 'Reserved');
});

test('a refusal is told at once, with code, status and detail', async () => {
  const { calls, shop } = callsWith(problem(409, 'sold_out'));
  await assert.rejects(calls.persist('POST', '/api/reserve/1', {}), (error) => {
    assert.ok(error instanceof DropError);
    assert.deepEqual([error.code, error.status, error.detail], ['sold_out', 409, 'told: sold_out']);
    return true;
  });
  assert.equal(shop.requests.length, 1);
});

test('a tap just before the start waits for it; one long before is refused', async () => {
  const early = callsWith(problem(409, 'drop_not_started', { 'Retry-After': '1' }), reply(201, { message: 'Reserved' }));
  assert.equal((await early.calls.persist('POST', '/api/reserve/1', {})).message, 'Reserved');
  const long = callsWith(problem(409, 'drop_not_started', { 'Retry-After': '600' }));
  await assert.rejects(long.calls.persist('POST', '/api/reserve/1', {}), { code: 'drop_not_started', retryAfter: 600 });
});

test('without any reply it gives up after five attempts', async () => {
  const { calls, shop } = callsWith(...Array(9).fill(new TypeError('offline')));
  await assert.rejects(calls.persist('POST', '/api/reserve/1', {}), { code: 'network', status: 0 });
  assert.equal(shop.requests.length, 5);
});

test('a service that is not set up is not asked again', async () => {
  const { calls, shop } = callsWith(problem(503, 'not_configured'));
  await assert.rejects(calls.persist('GET', '/api/realtime'), { code: 'not_configured' });
  assert.equal(shop.requests.length, 1);
});

test('the clock narrows the offset from whole seconds and takes exact times', () => {
  let local = 100_000;
  const clock = createClock(() => local);
  const server = () => local + 3_600_250;
  for (const step of [0, 310, 620, 930]) {
    local = 100_000 + step;
    clock.learnDate(Math.floor(server() / 1000) * 1000, local, local + 20);
  }
  assert.ok(Math.abs(clock.now() - server()) < 200, `off by ${clock.now() - server()} ms`);
  clock.learnExact(server() + 10, local, local + 20);
  assert.ok(Math.abs(clock.now() - server()) <= 10);
});

test('the seconds left of a hold tell the server\'s time', async () => {
  const { shop } = callsWith();
  const clock = createClock();
  const calls = createCalls({ api: '', fetch: shop.fetch, clock });
  shop.scripted = [() => new Response(JSON.stringify({
    reservation: { expires_at: new Date(Date.now() + 90_000).toISOString() }, secondsLeft: 30,
  }))];
  await calls.persist('GET', '/api/reservations/1');
  assert.ok(Math.abs(clock.now() - (Date.now() + 60_000)) < 100);
});

/** How far a reply that a cache had kept lets the time be from that of its Date header, on a clock that is far off. */
async function timeAfter(headers, keptMs) {
  const { shop } = callsWith();
  const clock = createClock(() => 0);
  shop.scripted = [() => reply(200, {}, { Date: new Date(100_000).toUTCString(), ...headers })];
  await createCalls({ api: '', fetch: shop.fetch, clock }).attempt('GET', '/api/drops', { keptMs });
  return clock.now() - 100_000;
}

test('a kept reply tells the time as well as its Age does, or else as long as a cache may keep it', async () => {
  assert.equal(await timeAfter({}), 500, 'not kept: the middle of a second');
  assert.equal(await timeAfter({ 'X-Vercel-Cache': 'STALE' }), 2000);
  assert.equal(await timeAfter({ 'X-Vercel-Cache': 'HIT' }, 60_000), 30_500);
  assert.equal(await timeAfter({ 'X-Vercel-Cache': 'HIT', Age: '0' }, 60_000), 1000);
  assert.equal(await timeAfter({ Age: '9' }), 5500);
  assert.equal(await timeAfter({ 'X-Vercel-Cache': 'HIT', Age: 'old' }), 2000);
});

test('the clock follows when the local clock is set', () => {
  let local = 0;
  const clock = createClock(() => local);
  clock.learnExact(5000, 0, 10);
  local = 1_000_000;
  clock.learnExact(6000, local, local + 10);
  assert.ok(Math.abs(clock.now() - 6000) <= 10);
});

test('the next page is read from a Link header, absolute or relative', () => {
  assert.equal(nextPage('<https://shop.example/api/drops?after=9&limit=5>; rel="next"'), '/api/drops?after=9&limit=5');
  assert.equal(nextPage('</api/drops?after=9>; rel="next"'), '/api/drops?after=9');
  assert.equal(nextPage('</api/drops>; rel="first"'), null);
  assert.equal(nextPage(null), null);
});
