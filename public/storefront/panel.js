/**
 * The place where one buys. It looks the same in every state (ring, two lines, a row of buttons), so that nothing else on the
 * page moves when a hold comes or goes.
 */
import { button, h, setAttribute, setText } from './dom.js';
import { createRing } from './ring.js';
import { clockTime, money, when } from './words.js';

const URGENT_MS = 10_000;

/** "Size 9 is held for you", where the size may be in any script. */
function createTitle(start, one, end) {
  const size = h('bdi', {});
  const before = document.createTextNode('');
  const after = document.createTextNode('');
  return {
    element: h('p', { class: 'panel-title' }, before, size, after),
    show(label) {
      if (size.textContent === (label ?? '') && after.data) return;
      before.data = label ? start : one;
      size.textContent = label ?? '';
      after.data = end;
    },
  };
}

function lines(...children) {
  return h('div', { class: 'lines' }, ...children);
}

export function createPanel() {
  const offerRing = createRing({ 'aria-hidden': 'true' });
  const holdRing = createRing({ role: 'timer' }, 'countdown');
  const doneRing = createRing({ 'aria-hidden': 'true' });
  const heldTitle = createTitle('Size ', 'One unit', ' is held for you');
  const boughtTitle = createTitle('Size ', 'It', ' is yours');
  const ui = {
    offerTitle: h('p', { class: 'panel-title' }),
    hint: h('p', { class: 'hint' }),
    reserve: button('reserve', 'primary', 'Reserve'),
    holdHint: h('p', { class: 'hint' }),
    purchase: button('purchase', 'primary mine', 'Buy'),
    release: button('release', 'quiet', 'Let it go'),
    receiptText: h('p', { class: 'hint' }),
    dismiss: button('dismiss', 'quiet', 'Done'),
    message: h('p', { class: 'message', role: 'status', 'data-testid': 'message' }),
  };
  const offer = h('div', { class: 'offer' }, offerRing.element, lines(ui.offerTitle, ui.hint),
    h('div', { class: 'buttons' }, ui.reserve));
  const hold = h('div', { class: 'hold', 'data-testid': 'hold', hidden: true }, holdRing.element,
    lines(heldTitle.element, ui.holdHint), h('div', { class: 'buttons' }, ui.purchase, ui.release));
  const receipt = h('div', { class: 'receipt', 'data-testid': 'receipt', tabindex: '-1', hidden: true }, doneRing.element,
    lines(boughtTitle.element, ui.receiptText), h('div', { class: 'buttons' }, ui.dismiss));
  const element = h('div', { class: 'panel' }, ui.message, offer, hold, receipt);
  doneRing.show({ share: 1, sign: 'done' });

  return {
    ...ui,
    element,
    receipt,
    /** Which of the three is there. @param {import('./hold.js').HoldState} state */
    showPhase({ phase, message, tone }) {
      offer.hidden = phase !== 'none' && phase !== 'asking';
      hold.hidden = phase !== 'held' && phase !== 'buying';
      receipt.hidden = phase !== 'bought';
      setText(ui.message, message);
      setAttribute(element, 'data-message', message ? tone : null);
      setAttribute(element, 'data-phase', phase);
      if (hold.hidden) setAttribute(element, 'data-urgent', null);
    },
    /** @param {import('./offer.js').Offer} now */
    showOffer({ label, armed, title, hint, ring, arming = 0 }) {
      setText(ui.reserve, label);
      setAttribute(ui.reserve, 'aria-disabled', armed ? null : 'true');
      ui.reserve.style.setProperty('--arming', armed ? 0 : arming);
      setText(ui.offerTitle, title);
      setText(ui.hint, hint);
      offerRing.show(ring);
    },
    /** @param {{isBusy: boolean, isSettled: boolean}} how busy while the shop is asked, settled once Buy takes a tap */
    showHold(drop, { size }, { isBusy, isSettled }) {
      heldTitle.show(size);
      setText(ui.purchase, isBusy ? 'One moment' : `Buy for ${money(drop.price, drop.currency)}`);
      setAttribute(ui.purchase, 'aria-disabled', (isBusy || !isSettled) && 'true');
      setAttribute(ui.purchase, 'data-settling', !isBusy && !isSettled);
      setAttribute(ui.release, 'aria-disabled', isBusy && 'true');
    },
    /** @param {number} left ms @param {number} whole ms */
    showTime(left, whole) {
      const urgent = left <= URGENT_MS;
      holdRing.show({ share: left / whole, text: clockTime(left), urgent });
      setText(ui.holdHint, urgent ? 'Last seconds. Then it goes to the next.' : 'Nobody else can buy it meanwhile.');
      setAttribute(element, 'data-urgent', urgent);
    },
    showReceipt({ size, receipt: { id, price, currency, timestamp } }) {
      boughtTitle.show(size);
      const paid = price === undefined ? '' : `${money(price, currency)} paid`;
      const number = id === undefined ? '' : `Receipt no. ${id}`;
      setText(ui.receiptText, [[paid, number].filter(Boolean).join(' · '), timestamp && when(timestamp)].filter(Boolean).join('\n'));
    },
  };
}
