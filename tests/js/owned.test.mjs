/** How holds are found that the browser does not remember. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until, wait } from './fakes.mjs';
import { load } from './load.mjs';

globalThis.document = { addEventListener() {} };
const { createFinder } = await load('storefront/owned.js');

/** A page with one drop; `tell` says how it is kept up to date. */
function open() {
  const adopted = [];
  const page = { asked: 0, adopted, isDown: false };
  const client = {
    onState: (callback) => (page.tell = callback),
    reservations: async () => {
      page.asked += 1;
      if (page.isDown) throw new Error('network');
      return { reservations: [{ id: 7, dropId: 5 }] };
    },
  };
  const session = { user: { id: 1 }, hold: () => null, claim: () => ({}), onChange() {} };
  page.look = createFinder({ client, session }, () => new Map([[5, { hold: { adopt: ({ id }) => adopted.push(id) } }]]));
  return page;
}

test('holds are looked for again as soon as the shop can be reached again', async () => {
  const page = open();
  page.isDown = true;
  page.tell('live');
  page.look();
  await until(() => page.asked === 1, 'the first look');
  page.tell('offline');
  page.isDown = false;
  page.tell('polling');
  await until(() => page.adopted.length, 'the hold');
  page.tell('live');
  await wait(20);
  assert.deepEqual([page.asked, page.adopted], [2, [7]]);
});
