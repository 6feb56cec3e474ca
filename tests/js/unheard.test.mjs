/** A shopper's hold, where the shop's answer about it does not come, or comes late. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wait } from './fakes.mjs';
import { ANN, BOB, failed, held, open, openHeld, reservation, turn } from './shopper.mjs';

for (const status of [0, 429, 503]) {
  test(`a hold that cannot be looked at (${status}) stays until its time is up`, async () => {
    const { hold, next, of } = open({ holds: { [ANN.id]: held(7) } });
    (await next('reservation')).refuse(failed('busy', status));
    await turn();
    assert.deepEqual([hold.state.phase, of(ANN)], ['held', held(7)]);
  });
}

test('a purchase that nobody answered is asked for at the deadline, until the shop says that it was made', async () => {
  const { hold, next, of, passDeadline } = await openHeld();
  const done = hold.purchase();
  (await next('purchase')).refuse(failed('network'));
  await done;
  passDeadline();
  assert.deepEqual([hold.state.phase, hold.state.code, of(ANN)], ['buying', null, held(7)]);
  assert.match(hold.state.message, /Asking the shop/);
  (await next('reservation')).refuse(failed('network'));
  (await next('reservation')).answer({ reservation: reservation(7, 'PURCHASED') });
  (await next('purchase')).answer({ purchase: { id: 9 } });
  await turn();
  assert.deepEqual([hold.state.phase, of(ANN)], ['bought', { ...held(7), receipt: { id: 9 } }]);
});

test('a purchase that nobody answered in a drop that is cancelled then is asked for, too', async () => {
  const { hold, next, of } = await openHeld();
  const done = hold.purchase();
  (await next('purchase')).refuse(failed('network'));
  await done;
  hold.cancel();
  (await next('reservation')).answer({ reservation: reservation(7, 'PURCHASED') });
  (await next('purchase')).answer({ purchase: { id: 9 } });
  await turn();
  assert.deepEqual([hold.state.phase, of(ANN).receipt], ['bought', { id: 9 }]);
});

test('a hold in a drop that is cancelled is over, and nobody is asked', async () => {
  const { hold, asked, of } = await openHeld();
  hold.cancel();
  assert.deepEqual([hold.state.phase, of(ANN), asked], ['none', null, []]);
  assert.match(hold.state.message, /cancelled/);
});

test('a purchase that nobody answered and that was not made is told as a hold that ran out', async () => {
  const { hold, next, of, passDeadline } = await openHeld();
  const done = hold.purchase();
  (await next('purchase')).refuse(failed('internal_error', 500));
  await done;
  passDeadline();
  (await next('reservation')).answer({ reservation: reservation(7, 'EXPIRED') });
  await turn();
  assert.deepEqual([hold.state.phase, hold.state.code, of(ANN)], ['none', 'reservation_expired', null]);
});

test('a hold that nobody tried to buy is over at its deadline, and the shop is not asked', async () => {
  const { hold, asked, of, passDeadline } = await openHeld();
  passDeadline();
  assert.deepEqual([hold.state.phase, hold.state.code, of(ANN), asked], ['none', 'reservation_expired', null, []]);
});

test('a hold of before a reload is not forgotten at its deadline unless the shop has been heard', async () => {
  const { hold, next, of, passDeadline } = open({ holds: { [ANN.id]: held(7) } });
  const first = await next('reservation');
  passDeadline();
  const second = await next('reservation');
  first.refuse(failed('network'));
  second.answer({ reservation: reservation(7, 'PURCHASED') });
  (await next('purchase')).answer({ purchase: { id: 9 } });
  await turn();
  assert.deepEqual([hold.state.phase, of(ANN).receipt], ['bought', { id: 9 }]);
});

test('a hold whose deadline passed before a reload is asked for until the shop answers', async () => {
  const { hold, next, of } = open({ holds: { [ANN.id]: { ...held(7), expiresAt: Date.now() - 1 } } });
  (await next('reservation')).refuse(failed('busy', 503));
  await turn();
  assert.equal(hold.state.phase, 'buying');
  (await next('reservation')).answer({ reservation: reservation(7, 'RELEASED') });
  await turn();
  assert.deepEqual([hold.state.phase, of(ANN)], ['none', null]);
});

test('the other does not see what is asked for the first', async () => {
  const { session, hold, next, asked } = open({ holds: { [ANN.id]: { ...held(7), expiresAt: Date.now() - 1 } } });
  (await next('reservation')).refuse(failed('network'));
  await turn();
  session.setUser(BOB);
  assert.deepEqual([hold.state.phase, hold.state.hold, hold.state.message], ['none', null, '']);
  await wait(3100);
  assert.deepEqual(asked, []);
});

for (const [tap, answer, phase] of [['purchase', { purchase: { id: 9 } }, 'bought'], ['release', {}, 'none']]) {
  test(`an older answer about the hold does not undo a ${tap}`, async () => {
    const { hold, next, of } = open({ holds: { [ANN.id]: held(7) } });
    const about = await next('reservation');
    const done = hold[tap]();
    const request = await next(tap);
    about.answer({ reservation: reservation(7) });
    await turn();
    assert.equal(hold.state.phase, 'buying');
    request.answer(answer);
    await done;
    const after = [hold.state.phase, of(ANN)];
    await turn();
    assert.equal(hold.state.phase, phase);
    assert.deepEqual([hold.state.phase, of(ANN)], after);
  });

  test(`an answer about the hold that comes after its ${tap} changes nothing`, async () => {
    const { hold, next, of } = open({ holds: { [ANN.id]: held(7) } });
    const about = await next('reservation');
    const done = hold[tap]();
    (await next(tap)).answer(answer);
    await done;
    const after = of(ANN);
    about.answer({ reservation: reservation(7) });
    await turn();
    assert.deepEqual([hold.state.phase, of(ANN)], [phase, after]);
  });
}

test('a receipt that comes after it was put away stays away', async () => {
  const { hold, next, of } = open({ holds: { [ANN.id]: held(7) } });
  (await next('reservation')).answer({ reservation: reservation(7, 'PURCHASED') });
  const again = await next('purchase');
  const done = hold.release();
  (await next('release')).answer({});
  await done;
  again.answer({ purchase: { id: 9 } });
  await turn();
  assert.deepEqual([hold.state.phase, of(ANN)], ['none', null]);
});

test('a hold stays until its deadline where the shop wants to know first who asks', async () => {
  const { hold, next, of, passDeadline } = open({ holds: { [ANN.id]: held(7) } });
  (await next('reservation')).refuse(failed('unauthorized', 401));
  await turn();
  assert.deepEqual([hold.state.phase, of(ANN)], ['held', held(7)]);
  passDeadline();
  (await next('reservation')).refuse(failed('unauthorized', 401));
  await turn();
  assert.deepEqual([hold.state.phase, hold.state.code, of(ANN)], ['none', 'unauthorized', held(7)]);
});

for (const [code, status] of [['not_owner', 403], ['reservation_not_found', 404]]) {
  test(`a hold that is not theirs (${status}) is forgotten`, async () => {
    const { hold, next, of } = open({ holds: { [ANN.id]: held(7) } });
    (await next('reservation')).refuse(failed(code, status));
    await turn();
    assert.deepEqual([hold.state.phase, of(ANN)], ['none', null]);
  });
}
