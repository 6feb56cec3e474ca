/** What the shop can do with a drop, each with a question that says what it means for those who hold a unit. */
import { announce, h } from '../storefront/dom.js';
import { count } from '../storefront/words.js';
import { newKey } from './api.js';
import { ask } from './dialog.js';
import { createField } from './fields.js';
import { MAX_STOCK } from './validate.js';

/** "No hold is live", "One hold is live", "12 holds are live". @param {number} holds */
const live = (holds) => (holds === 0 ? 'No hold is live' : holds === 1 ? 'One hold is live' : `${count(holds)} holds are live`);

/** What happens to live holds, by action. @param {number} holds */
const MEANING = {
  pause: (holds) => `Nobody new can reserve. ${live(holds)}${
    holds === 0 ? '.' : holds === 1 ? '; it stays good until its deadline and can be bought.' : '; they stay good until their deadline and can be bought.'}`,
  resume: (holds) => `Shoppers can reserve again at once. ${live(holds)}${holds ? '; nothing changes for them.' : '.'}`,
  cancel: (holds) => (holds === 0
    ? 'No hold is live.'
    : `${holds === 1 ? 'One live hold' : `${count(holds)} live holds`} can no longer be bought.`),
};

/**
 * @param {object} about
 * @param {any} about.api
 * @param {number} about.dropId
 * @param {() => any} about.drop as it is now
 * @param {() => boolean} about.isClosed the drop's page was left: nothing is asked any more
 * @param {() => void} about.onDone the drop was changed
 */
export function createActions({ api, dropId, drop, isClosed, onDone }) {
  const stats = () => api.get(`/api/drops/${dropId}/stats`);

  /** @param {string} state @param {string} said */
  const setState = (state, said) => async () => {
    await api.patch(`/api/drops/${dropId}`, { state });
    announce(said);
  };

  /** Asks with the holds as they are at this moment. @param {(active: number) => Parameters<typeof ask>[0]} question */
  async function askWithHolds(question) {
    const { holds } = await stats();
    if (isClosed()) return;
    if (await ask(question(holds.active))) onDone();
  }

  const pause = () => askWithHolds((active) => ({
    title: `Pause ${drop().name}?`,
    body: [h('p', {}, MEANING.pause(active))],
    yes: 'Pause it', act: setState('PAUSED', 'Paused'),
  }));

  const resume = () => askWithHolds((active) => ({
    title: `Open ${drop().name} again?`,
    body: [h('p', {}, MEANING.resume(active))],
    yes: 'Open it', act: setState('OPEN', 'Open again'),
  }));

  const cancel = () => askWithHolds((active) => ({
    title: `Cancel ${drop().name}?`,
    body: [
      h('p', {}, h('strong', {}, MEANING.cancel(active))),
      h('p', {}, 'What was bought stays bought. A cancelled drop cannot be opened again.'),
    ],
    yes: 'Cancel the drop', no: 'Keep it', grave: true, act: setState('CANCELLED', 'Cancelled'),
  }));

  /** @param {string} [size] chosen at first */
  async function restock(size) {
    const now = { drop: await api.get(`/api/drops/${dropId}`), holds: (await stats()).holds };
    if (isClosed()) return;
    const form = createRestockForm(now, size);
    const key = { of: '', value: '' };
    const done = await ask({
      title: `Restock ${drop().name}`,
      body: form.elements,
      yes: 'Restock',
      async act() {
        const body = form.read();
        // A key for each wish: what is corrected after a refusal is another one.
        if (key.of !== JSON.stringify(body)) Object.assign(key, { of: JSON.stringify(body), value: newKey() });
        await api.post(`/api/drops/${dropId}/restock`, body, key.value);
        announce(`${body.quantity > 0 ? `${count(body.quantity)} units added` : `${count(-body.quantity)} units taken away`}`);
      },
    });
    if (done) onDone();
  }

  return { pause, resume, cancel, restock };
}

/** @param {{drop: any, holds: {active: number, purchased: number}}} now @param {string} [chosen] */
function createRestockForm({ drop, holds }, chosen) {
  const isSized = drop.sizes.length > 1 || drop.sizes[0].size !== '';
  const select = h('select', { id: 'restock-size', change: tell }, ...drop.sizes.map(({ size, availableStock }) =>
    h('option', { value: size }, `${size} (${count(availableStock)} on sale)`)));
  if (chosen !== undefined) select.value = chosen;
  const quantity = createField({
    name: 'quantity', label: 'Units to add', hint: 'With a minus, units that are on sale are taken away.',
    attributes: { required: true, input: tell },
  });
  const effect = h('p', { class: 'effect', role: 'status' });

  const number = () => Number(quantity.input.value.trim().replace('−', '-').replace('+', ''));
  const onSale = () => drop.sizes.find(({ size }) => !isSized || size === select.value).availableStock;
  const isWhole = () => quantity.input.value.trim() !== '' && Number.isInteger(number()) && number() !== 0 && Math.abs(number()) <= MAX_STOCK;

  function tell() {
    quantity.setError();
    const kept = `${live(holds.active)} and ${count(holds.purchased)} sold: these units stay where they are.`;
    effect.textContent = isWhole() ? `${count(onSale())} on sale becomes ${count(Math.max(0, onSale() + number()))}. ${kept}` : kept;
  }

  tell();
  return {
    elements: [
      ...(isSized ? [h('div', { class: 'field' }, h('label', { for: 'restock-size' }, 'Size'), select)] : []),
      quantity.element, effect,
    ],
    /** The body of the request. Throws what is wrong with the form. */
    read() {
      if (!isWhole()) {
        quantity.setError('Give a whole number, such as 10 or -5.');
        quantity.input.focus();
        throw new Error('');
      }
      return { quantity: number(), ...(isSized ? { size: select.value } : {}) };
    },
  };
}
