/** What screen readers are told, whatever becomes of the computer's clock meanwhile. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, wait } from './fakes.mjs';
import { load } from './load.mjs';

const said = [];
globalThis.document = { getElementById: () => ({ set textContent(text) { said.push(text); } }) };
globalThis.matchMedia = () => ({ matches: true });
const { announce } = await load('storefront/dom.js');

test('one thing is said at once, the next after a pause, even where the clock is set back', async () => {
  const { now } = Date;
  announce('Reserved.');
  await wait(50);
  assert.deepEqual(said, ['Reserved.']);
  Date.now = () => now() - 8000;
  announce('30 seconds left to buy.');
  await wait(50);
  Date.now = now;
  assert.equal(said.length, 1);
  await until(() => said.length === 2, 'the second', 2500);
});
