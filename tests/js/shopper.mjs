/** One shopper's window without a page: a real hold and a real session, and a shop that answers when the test says so. */
import { until } from './fakes.mjs';
import { load } from './load.mjs';

const stored = new Map();
const tabs = [];
globalThis.window = { addEventListener: (name, callback) => tabs.push(callback) };
globalThis.location = { search: '' };
globalThis.localStorage = {
  getItem: (key) => stored.get(key) ?? null,
  setItem: (key, value) => stored.set(key, value),
};
globalThis.document = { getElementById: () => ({ textContent: '' }) };
globalThis.matchMedia = () => ({ matches: true });

const { createHold } = await load('storefront/hold.js');
const { createSession } = await load('storefront/session.js');

export const ANN = { id: 1, username: 'ann' };
export const BOB = { id: 2, username: 'bob' };
const DROP = 5;
const IN_A_MINUTE = Date.now() + 60_000;
export const reservation = (id, status = 'ACTIVE') => ({ id, status, size: '', expires_at: new Date(IN_A_MINUTE).toISOString() });
export const held = (id) => ({ reservationId: id, size: null, expiresAt: IN_A_MINUTE });
export const failed = (code, status = 0) => Object.assign(new Error(code), { code, status });

/** A card's hold of a window that is Ann's; what the shop answers is the test's to say, by `answer` and `refuse`. */
export function open({ holds = {} } = {}) {
  stored.clear();
  tabs.length = 0;
  stored.set('holdfast.user', JSON.stringify(ANN));
  for (const [user, hold] of Object.entries(holds)) stored.set(`holdfast.holds.${user}`, JSON.stringify({ [DROP]: hold }));
  const asked = [];
  const ask = (method) => (...with_) => new Promise((answer, refuse) => asked.push({ method, with_, answer, refuse }));
  let late = 0;
  const client = { serverNow: () => Date.now() + late };
  for (const method of ['reserve', 'purchase', 'release', 'reservation']) client[method] = ask(method);
  const session = createSession(true);
  const drawn = [];
  const hold = createHold({
    client, session, who: { require: async () => session.user }, dropId: DROP,
    onChange: ({ phase }) => drawn.push([phase, hold.isSettled()]),
  });
  session.onChange(() => hold.restore());
  hold.restore();
  const of = (user) => JSON.parse(stored.get(`holdfast.holds.${user.id}`) ?? '{}')[DROP] ?? null;
  /** The one request of that kind that waits for its answer. */
  async function next(method) {
    await until(() => asked.some((one) => one.method === method), method, 5000);
    return asked.splice(asked.findIndex((one) => one.method === method), 1)[0];
  }
  const inAnotherTab = (key, value) => {
    stored.set(key, JSON.stringify(value));
    tabs.forEach((callback) => callback({ key }));
  };
  const passDeadline = () => {
    late = 60_000;
    hold.tick();
  };
  return { session, hold, drawn, asked, next, of, inAnotherTab, passDeadline };
}

/** One that Ann holds, as the shop has confirmed. */
export async function openHeld(more = {}) {
  const page = open({ holds: { [ANN.id]: held(7), ...more } });
  (await page.next('reservation')).answer({ reservation: reservation(7) });
  await until(() => page.hold.isSettled() && page.hold.state.phase === 'held', 'held');
  return page;
}

export const turn = () => new Promise((resolve) => setTimeout(resolve));
