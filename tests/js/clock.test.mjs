import assert from 'node:assert/strict';
import { test } from 'node:test';

import { load } from './load.mjs';

const { createClock } = await load('drop-client/clock.js');

test('an exact time is not given up for a Date header that lags', () => {
  let local = 0;
  const clock = createClock(() => local);
  clock.learnExact(50_005, 0, 10);
  for (local = 100; local < 5000; local += 100) {
    const lagging = Math.floor((50_000 + local - 900) / 1000) * 1000;
    clock.learnDate(lagging, local, local + 10);
    assert.ok(Math.abs(clock.now() - (50_000 + local)) <= 10, `off by ${clock.now() - 50_000 - local} ms`);
  }
});

test('an exact time replaces what lagging Date headers have said', () => {
  const clock = createClock(() => 0);
  clock.learnDate(48_000, 0, 10);
  clock.learnExact(50_005, 0, 10);
  assert.ok(Math.abs(clock.now() - 50_000) <= 10);
});

test('a Date header that is far off means that the local clock was set', () => {
  let local = 0;
  const clock = createClock(() => local);
  clock.learnExact(50_005, 0, 10);
  local = 600_000;
  clock.learnDate(51_000, local, local + 10);
  assert.ok(Math.abs(clock.now() - 51_500) <= 500);
});
