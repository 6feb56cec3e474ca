import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';

import { reply } from './fakes.mjs';
import { load } from './load.mjs';

process.env.TZ = 'America/New_York';
const { createApi } = await load('admin/api.js');
const { changes, newDrop, parseSizes, problems, whole } = await load('admin/validate.js');
const { toInstant, toLocal, zoneLabel } = await load('admin/zone.js');

const FORM = {
  name: 'Night Ferry', price: '59.90', currency: 'EUR', imageUrl: '', dropStartTime: '', dropEndTime: '', holdSeconds: '60',
  maxPerUser: '', hasSizes: false, totalStock: '3', sizes: [],
};
const wrong = (change, isNew = true) => Object.keys(problems({ ...FORM, ...change }, { isNew }));

test('a form within its bounds has no problem', () => {
  assert.deepEqual(wrong({}), []);
  assert.deepEqual(wrong({ name: 'x'.repeat(200), price: '0', totalStock: '1000000', holdSeconds: '86400', maxPerUser: '1' }), []);
  assert.deepEqual(wrong({ price: '9999999.99', imageUrl: '/a.png', dropStartTime: '2030-01-01T10:00', dropEndTime: '2030-01-01T10:01' }), []);
  assert.deepEqual(wrong({ name: '🦆'.repeat(200) }), [], 'characters count, not their halves');
});

test('each field has its bounds', () => {
  const beyond = {
    name: ['', '   ', 'x'.repeat(201), 'a\u0000b', 'a\nb'],
    price: ['', '-1', '1.234', '10000000', '5abc', '1e3', 'NaN', '1.2.3'],
    currency: ['', 'EU', 'EURO', 'E1R', '€'],
    imageUrl: ['ftp://x', 'http://shop.example/a.png', 'javascript:alert(1)', 'https://a b', 'x.png', '//shop.example/a.png', '/\\shop.example/a.png', '/', `https://${'x'.repeat(2000)}`],
    dropStartTime: ['1969-12-31T10:00', 'tomorrow'],
    holdSeconds: ['', '0', '86401', '1.5', '-1', '1e2'],
    maxPerUser: ['0', '1000001', 'two'],
    totalStock: ['', '0', '1000001', '1.5'],
  };
  for (const [field, values] of Object.entries(beyond)) {
    for (const value of values) assert.deepEqual(wrong({ [field]: value }), [field], `${field}: ${JSON.stringify(value)}`);
  }
});

test('an end comes after the start, and after now where there is no start', () => {
  assert.deepEqual(wrong({ dropStartTime: '2030-01-01T10:00', dropEndTime: '2030-01-01T10:00' }), ['dropEndTime']);
  assert.deepEqual(wrong({ dropEndTime: '2001-01-01T10:00' }), ['dropEndTime']);
});

test('sizes are distinct, labelled, few and within a drop’s stock', () => {
  const sizes = (...rows) => wrong({ hasSizes: true, sizes: rows.map(([size, stock]) => ({ size, stock })) });
  assert.deepEqual(sizes(['S', '1'], ['M', '2']), []);
  assert.deepEqual(sizes(['S', '1'], [' S ', '2']), ['sizes.1.size']);
  assert.deepEqual(sizes(['', '1'], ['M', '0']), ['sizes.0.size', 'sizes.1.stock']);
  assert.deepEqual(sizes(['x'.repeat(41), '1']), ['sizes.0.size']);
  assert.deepEqual(sizes(), ['sizes']);
  assert.deepEqual(sizes(['S', '600000'], ['M', '600000']), ['sizes']);
  assert.deepEqual(sizes(...Array.from({ length: 51 }, (_, n) => [`${n}`, '1'])), ['sizes']);
});

test('stock and currency are not looked at in an edit', () => {
  assert.deepEqual(wrong({ currency: '', totalStock: '', hasSizes: true }, false), []);
});

test('a new drop is sent as the API takes it', () => {
  assert.deepEqual(newDrop({ ...FORM, name: ' x ', price: '59,9', maxPerUser: '2', dropStartTime: '2030-07-01T09:30' }), {
    name: 'x', price: '59.9', currency: 'EUR', imageUrl: null, dropStartTime: '2030-07-01T13:30:00.000Z', dropEndTime: null,
    holdSeconds: 60, maxPerUser: 2, totalStock: 3,
  });
  const sized = newDrop({ ...FORM, hasSizes: true, sizes: [{ size: ' S ', stock: '5' }] });
  assert.deepEqual([sized.sizes, 'totalStock' in sized], [[{ size: 'S', stock: 5 }], false]);
});

test('an edit sends what changed', () => {
  const before = { ...FORM, dropStartTime: '2030-01-01T10:00', maxPerUser: '2' };
  assert.deepEqual(changes(before, before), {});
  assert.deepEqual(changes(before, { ...before, name: 'y', maxPerUser: '' }), { name: 'y', maxPerUser: null });
  const started = changes(before, { ...before, dropStartTime: '' });
  assert.ok(Math.abs(Date.parse(started.dropStartTime) - Date.now()) < 5000, 'an emptied start is now');
});

test('a pasted list becomes sizes', () => {
  const rows = (text) => parseSizes(text).map(({ size, stock }) => [size, stock]);
  assert.deepEqual(rows('38:10, 39:12'), [['38', '10'], ['39', '12']]);
  assert.deepEqual(rows('S\t3\r\nM\t4\r\n'), [['S', '3'], ['M', '4']]);
  assert.deepEqual(rows('US 9 = 3; US 10 x 4\nOne size 7'), [['US 9', '3'], ['US 10', '4'], ['One size', '7']]);
  for (const text of ['', 'XL', '38', '38:10, and more', `${'x'.repeat(50)}:1`]) assert.deepEqual(rows(text), [], text);
});

test('times are this computer’s and come back as they were', () => {
  assert.equal(toInstant('2030-01-01T10:00'), '2030-01-01T15:00:00.000Z');
  assert.equal(toInstant('2030-07-01T10:00:30'), '2030-07-01T14:00:30.000Z');
  assert.equal(toLocal('2030-07-01T14:00:30.123456Z'), '2030-07-01T10:00:30');
  assert.equal(toLocal('2030-01-01T15:00:00Z'), '2030-01-01T10:00');
  assert.deepEqual([toInstant(''), toInstant('soon'), toLocal(null)], [null, null, '']);
  assert.equal(toInstant('2030-03-10T02:30'), '2030-03-10T07:30:00.000Z', 'an hour that spring skips is the one after');
  assert.match(zoneLabel(new Date('2030-01-01T00:00Z')), /^America\/New_York, UTC−5 now$/);
});

test('whole numbers are digits within their bounds', () => {
  assert.deepEqual(['1', ' 7 ', '0', '8', '1.0', '+1', '', '١'].map((text) => whole(text, 1, 7)), [1, 7, null, null, null, null, null, null]);
});

test('a throttle of the host is no refusal, unless it asks for a long wait', async (t) => {
  const { fetch } = globalThis;
  t.after(() => (globalThis.fetch = fetch));
  const throttled = (headers) => reply(429, { message: 'Too Many Requests' }, headers);
  const answers = [throttled(), reply(200, { drops: [] }), throttled({ 'Retry-After': '60' })];
  globalThis.fetch = async () => answers.shift();
  const api = createApi({ base: '', token: () => 'x', onUnauthorized() {} });
  assert.deepEqual(await api.get('/api/admin/drops'), { drops: [] });
  await assert.rejects(api.get('/api/admin/drops'), { code: 'busy', status: 429 });
  assert.equal(answers.length, 0);
});

/** An API over a server whose answers are scripted: how it writes each of them is the test's. */
async function apiOver(t, ...answers) {
  const asked = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.headers['idempotency-key'] ?? ''}`.trim());
    answers.shift()(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const api = createApi({ base: `http://127.0.0.1:${server.address().port}`, token: () => null, onUnauthorized() {} });
  return { api, asked };
}

const answer = (text) => (response) => response.end(text);
const cutOff = (status) => (response) => {
  response.writeHead(status, { 'Content-Length': 1000 }).write('{"a":');
  setTimeout(() => response.destroy(), 10);
};

test('a reply that is cut off is asked for again, whatever it was of', async (t) => {
  const { api, asked } = await apiOver(
    t, cutOff(200), answer('{"a":1}'), cutOff(503), answer('{"b":2}'), cutOff(200), answer('id,size'), cutOff(200), answer('{"c":3}'),
  );
  assert.deepEqual(await api.get('/api/drops/1'), { a: 1 });
  assert.deepEqual((await api.page('/api/drops')).json, { b: 2 });
  assert.equal(await (await api.part('/api/drops/1/purchases.csv')).blob.text(), 'id,size');
  assert.deepEqual(await api.post('/api/drops/1/restock', { quantity: 1 }, 'k'), { c: 3 });
  assert.deepEqual(asked.slice(-2), ['POST k', 'POST k']);
  assert.equal(asked.length, 8);
});

test('replies that are all cut off, or no JSON, are put into words', async (t) => {
  const { api } = await apiOver(t, ...Array(4).fill(cutOff(200)), ...Array(4).fill(answer('<html>')));
  await assert.rejects(api.get('/api/drops/1'), { name: 'ApiError', code: 'network', message: /cannot be reached/ });
  await assert.rejects(api.get('/api/drops/1'), { name: 'ApiError', code: 'bad_gateway', message: /did not answer properly/ });
});

test('the time limit is for the body too, and longer for a part of a file', async (t) => {
  const limits = [];
  const { timeout } = AbortSignal;
  t.mock.method(AbortSignal, 'timeout', (ms) => {
    limits.push(ms);
    return timeout.call(AbortSignal, ms / 200);
  });
  const slow = (response) => {
    response.writeHead(200).write('{');
    setTimeout(() => response.end('}'), 120);
  };
  const { api } = await apiOver(t, slow, answer('{}'), slow);
  assert.deepEqual(await api.get('/api/drops/1'), {});
  assert.equal(await (await api.part('/api/drops/1/purchases.csv')).blob.text(), '{}');
  assert.deepEqual(limits, [10_000, 10_000, 60_000]);
});

test('a file that is given up in the middle of a part is no failure of the network', async (t) => {
  const begun = (response) => response.writeHead(200).write('id');
  const { api, asked } = await apiOver(t, begun);
  const stop = new AbortController();
  setTimeout(() => stop.abort(), 50);
  await assert.rejects(api.part('/api/drops/1/purchases.csv', { signal: stop.signal }), { code: 'aborted' });
  assert.equal(asked.length, 1);
});
