/** A shopper's hold, where the name at the top of the page changes while the shop is asked. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from './fakes.mjs';
import { ANN, BOB, failed, held, open, openHeld, reservation, turn } from './shopper.mjs';

for (const tap of ['purchase', 'release']) {
  test(`a ${tap} that fails after the name has changed leaves the page as it is`, async () => {
    const { session, hold, next, of } = await openHeld();
    const done = hold[tap]();
    const request = await next(tap);
    session.setUser(BOB);
    request.refuse(failed('network'));
    await done;
    assert.equal(hold.tick(), 0);
    assert.deepEqual([hold.state.phase, hold.state.hold, hold.state.message], ['none', null, '']);
    assert.deepEqual([of(ANN), of(BOB)], [held(7), null]);
  });
}

test('a hold that another tab has put away while it is being bought breaks nothing', async () => {
  const { hold, next, inAnotherTab } = await openHeld();
  const done = hold.purchase();
  const request = await next('purchase');
  inAnotherTab(`holdfast.holds.${ANN.id}`, {});
  assert.equal(hold.state.phase, 'buying');
  request.refuse(failed('network'));
  await done;
  assert.ok(hold.tick() > 0);
  assert.equal(hold.state.code, 'network');
});

test('who comes back to a hold that is put away meanwhile sees none, whatever becomes of their purchase', async () => {
  const { session, hold, next, inAnotherTab } = await openHeld();
  const done = hold.purchase();
  const request = await next('purchase');
  session.setUser(BOB);
  inAnotherTab(`holdfast.holds.${ANN.id}`, {});
  session.setUser(ANN);
  request.refuse(failed('network'));
  await done;
  assert.equal(hold.tick(), 0);
  assert.equal(hold.state.phase, 'none');
});

test('a hold or a receipt that comes after the name has changed is kept for who asked', async () => {
  const page = open();
  const reserved = page.hold.reserve(null);
  const reserving = await page.next('reserve');
  page.session.setUser(BOB);
  reserving.answer({ reservation: reservation(7), replayed: false });
  await reserved;
  assert.deepEqual([page.of(ANN), page.of(BOB), page.hold.state.phase], [held(7), null, 'none']);

  page.session.setUser(ANN);
  assert.equal(page.hold.state.phase, 'held');
  (await page.next('reservation')).answer({ reservation: reservation(7) });
  await until(() => page.hold.isSettled(), 'settled');
  const bought = page.hold.purchase();
  const buying = await page.next('purchase');
  page.session.setUser(BOB);
  buying.answer({ purchase: { id: 9 } });
  await bought;
  assert.deepEqual([page.of(ANN), page.of(BOB), page.hold.state.phase], [{ ...held(7), receipt: { id: 9 } }, null, 'none']);
});

test('a refusal that comes after the name has changed is not told to the other, nor signs them out', async () => {
  const { session, hold, next } = open();
  const done = hold.reserve(null);
  const request = await next('reserve');
  session.setUser(BOB);
  request.refuse(failed('user_not_found', 404));
  await done;
  assert.deepEqual([session.user, hold.state.message], [BOB, '']);
});

test('the other sees their own hold at once, and does not lose it to an answer about the first', async () => {
  const { session, hold, next, of } = await openHeld({ [BOB.id]: held(8) });
  hold.restore();
  const about = await next('reservation');
  session.setUser(BOB);
  assert.deepEqual(hold.state.hold, held(8));
  about.refuse(failed('reservation_not_found', 404));
  await turn();
  assert.deepEqual([hold.state.phase, hold.state.hold, of(BOB)], ['held', held(8), held(8)]);
});

test('news of another hold does not arm the button while one is asked for', async () => {
  const { hold, next, inAnotherTab, of } = open();
  const done = hold.reserve(null);
  const request = await next('reserve');
  inAnotherTab(`holdfast.holds.${ANN.id}`, { 6: held(3) });
  assert.equal(hold.state.phase, 'asking');
  request.answer({ reservation: reservation(7), replayed: false });
  await done;
  assert.deepEqual([hold.state.phase, of(ANN)], ['held', held(7)]);
});

test('a hold that has just come cannot be bought with the same two taps', async () => {
  const { hold, drawn, next } = open();
  const done = hold.reserve(null);
  (await next('reserve')).answer({ reservation: reservation(7), replayed: false });
  await done;
  assert.deepEqual(drawn, [['asking', true], ['held', false]]);
});

test('a hold that is over when it is bought is told, and gone', async () => {
  const { hold, next, of } = await openHeld();
  const done = hold.purchase();
  (await next('purchase')).refuse(failed('reservation_expired', 409));
  (await next('reservation')).answer({ reservation: reservation(7, 'EXPIRED') });
  await done;
  assert.deepEqual([hold.state.phase, hold.state.code, of(ANN)], ['none', 'reservation_expired', null]);
});
