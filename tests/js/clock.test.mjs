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

/** A clock whose server is `ahead` ms of it, and what a cache made `age` ms ago: asked for, it is there 20 ms later. */
function behindCache(ahead) {
  let local = 1_000_000;
  const clock = createClock(() => local);
  const hear = (age) => {
    local += 20;
    clock.learnKept(Math.floor((local + ahead - age) / 1000) * 1000, local - 20, local, 3000);
  };
  return { clock, hear, pass: (ms) => (local += ms), off: () => clock.now() - local - ahead };
}

test('what a cache kept corrects a clock that is far off', () => {
  for (const ahead of [60_000, -60_000, 3_600_250]) {
    const { hear, pass, off } = behindCache(ahead);
    for (const age of [2900, 0, 1400, 700]) {
      hear(age);
      assert.ok(Math.abs(off()) <= 2050, `off by ${off()} ms`);
      pass(1234);
    }
  }
});

test('what a cache kept leaves a clock alone that may be right', () => {
  const { hear, pass, off } = behindCache(0);
  for (const age of [0, 2900, 1400]) {
    hear(age);
    assert.equal(off(), 0);
    pass(1234);
  }
});

test('what a cache kept is not heard where something better is known', () => {
  const { clock, hear, off } = behindCache(60_000);
  hear(2000);
  clock.learnDate(clock.localNow() + 60_000 - 500, clock.localNow() - 20, clock.localNow());
  hear(0);
  hear(2900);
  assert.ok(Math.abs(off()) <= 20, 'a Date header');
  clock.learnExact(clock.localNow() + 60_000, clock.localNow() - 20, clock.localNow());
  hear(2900);
  assert.ok(Math.abs(off()) <= 20, 'an exact time');
});

test('what a cache kept shows that the local clock was set', () => {
  let local = 0;
  const clock = createClock(() => local);
  clock.learnExact(50_005, 0, 10);
  local = 600_000;
  clock.learnKept(51_000, local, local + 10, 3000);
  assert.ok(Math.abs(clock.now() - 53_000) <= 2000);
});
