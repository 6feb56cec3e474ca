/** One drop on the page: built once, then brought up to date in place, so that focus and layout stay put. */
import { announce, h, setAttribute, setText } from './dom.js';
import { createHold } from './hold.js';
import { print } from './print.js';
import { createRing } from './ring.js';
import { createSizes } from './sizes.js';
import { ago, clockTime, count, money, STATUS, when } from './words.js';

/** @typedef {import('../drop-client/state.js').Drop} Drop */

const LOW_SHARE = 0.15;
const REFRESH_EVERY_MS = 2500;

/** @param {{client: any, session: any, who: any}} shop @param {Drop} first */
export function createCard({ client, session, who }, first) {
  /** @type {Drop} */
  let drop = first;
  let nextRefresh = 0;
  const sizes = createSizes(first.id, () => hold.say(''));
  const ring = createRing();
  const ui = build(first, sizes.element, ring.element);
  const hold = createHold({ client, session, who, dropId: first.id, onChange: draw });

  ui.reserve.addEventListener('click', () => {
    if (ui.reserve.getAttribute('aria-disabled') === 'true') return;
    const size = sizes.chosen();
    if (drop.sizes.length && size === null) {
      hold.say('Choose a size first.');
      sizes.focus();
      return;
    }
    moveFocus(hold.reserve(size));
  });
  ui.purchase.addEventListener('click', () => moveFocus(hold.purchase()));
  ui.release.addEventListener('click', () => moveFocus(hold.release()));
  ui.dismiss.addEventListener('click', () => {
    hold.dismiss();
    ui.reserve.focus();
  });

  /** A button that vanishes must not take the keyboard's place on the page with it. */
  async function moveFocus(done) {
    await done;
    const active = document.activeElement;
    if (active !== document.body && !active.closest('[hidden]')) return;
    const places = { none: ui.reserve, held: ui.purchase, bought: ui.receipt };
    places[hold.state.phase]?.focus({ preventScroll: true });
  }

  /** @param {Drop} next */
  function update(next) {
    if (next.status !== drop.status) tellStatus(next);
    drop = next;
    draw();
  }

  function tellStatus(next) {
    const returned = drop.status === 'SOLD_OUT' && next.status === 'LIVE';
    announce(`${next.name}: ${returned ? 'back in stock' : STATUS[next.status]}`);
  }

  function draw() {
    const { phase, hold: held, message, tone } = hold.state;
    if (drop.status === 'CANCELLED' && phase === 'held') return void hold.cancel();
    setAttribute(ui.card, 'data-status', drop.status);
    setText(ui.status, STATUS[drop.status]);
    setText(ui.name, drop.name);
    setText(ui.price, money(drop.price, drop.currency));
    drawPicture(ui, drop);
    drawStock(ui, drop);
    sizes.show(drop.sizes, phase !== 'none');
    setText(ui.message, message);
    setAttribute(ui.message, 'data-tone', tone);
    drawFeed();
    setAttribute(ui.card, 'data-phase', phase);
    ui.offer.hidden = phase !== 'none' && phase !== 'asking';
    ui.hold.hidden = phase !== 'held' && phase !== 'buying';
    ui.receipt.hidden = phase !== 'bought';
    if (held?.size) sizes.choose(held.size);
    if (!ui.hold.hidden) drawHold(held, phase);
    if (phase === 'bought') drawReceipt(ui, drop, held);
    tick();
  }

  function drawHold(held, phase) {
    const size = held.size ? `Size ${held.size}` : 'One unit';
    setText(ui.holdTitle, `${size} is held for you`);
    setText(ui.purchase, phase === 'buying' ? 'One moment' : `Buy for ${money(drop.price, drop.currency)}`);
    for (const button of [ui.purchase, ui.release]) setAttribute(button, 'aria-disabled', phase === 'buying');
  }

  function drawFeed() {
    const now = client.serverNow();
    const lines = drop.recentPurchases.map(({ username, timestamp }) => [username, ago(now - Date.parse(timestamp))]);
    if (lines.length === 0) lines.push(['', drop.status === 'UPCOMING' ? 'Opens soon.' : 'Nobody yet.']);
    while (ui.feed.children.length > lines.length) ui.feed.lastChild.remove();
    while (ui.feed.children.length < lines.length) ui.feed.append(h('li', {}, h('b', {}), h('span', {})));
    lines.forEach(([name, time], i) => {
      const [who_, when_] = ui.feed.children[i].children;
      setText(who_, name);
      setText(when_, time);
    });
  }

  /** What the reserve button says and whether it works, and the line under it. */
  function offer(now) {
    const asking = hold.state.phase === 'asking';
    if (asking) return { label: 'Reserving', armed: false, hint: 'Asking the shop for one.' };
    const held = `Held for ${clockTime(drop.holdSeconds * 1000)} while you decide.`;
    const limit = drop.maxPerUser ? ` ${count(drop.maxPerUser)} per person.` : '';
    const offers = {
      LIVE: () => ({ label: 'Reserve', armed: true, hint: held + limit }),
      UPCOMING: () => ({
        label: `Opens in ${clockTime(Date.parse(drop.dropStartTime) - now)}`, armed: false,
        hint: `${when(drop.dropStartTime)}. The button opens by itself.`,
      }),
      SOLD_OUT: () => soldOut(now),
      PAUSED: () => ({ label: 'Paused', armed: false, hint: 'The shop has paused this drop. It opens here by itself.' }),
      ENDED: () => ({ label: 'Ended', armed: false, hint: drop.dropEndTime ? `Ended ${when(drop.dropEndTime)}.` : '' }),
      CANCELLED: () => ({ label: 'Cancelled', armed: false, hint: 'The shop has cancelled this drop.' }),
    };
    return offers[drop.status]();
  }

  function soldOut(now) {
    if (!drop.nextExpiryAt) return { label: 'Sold out', armed: false, hint: 'Every unit has been bought.' };
    const left = Date.parse(drop.nextExpiryAt) - now;
    if (left > 0) {
      return { label: 'Sold out', armed: false, hint: `Units may return: next hold ends in ${clockTime(left)}` };
    }
    // The hold is over though nobody has swept it up yet: who asks first gets its unit.
    refreshNow(now);
    return { label: 'Try for a returned one', armed: true, hint: 'A hold has just ended.' };
  }

  function refreshNow(now) {
    if (now < nextRefresh) return;
    nextRefresh = now + REFRESH_EVERY_MS;
    client.refresh(drop.id);
  }

  /** What time alone changes. Called a few times a second. */
  function tick() {
    const now = client.serverNow();
    const left = hold.tick();
    // A few ms of doubt about the server's time must not show as one second too many.
    if (!ui.hold.hidden) ring.show(Math.min(left, drop.holdSeconds * 1000), drop.holdSeconds * 1000);
    if (!ui.offer.hidden) {
      const { label, armed, hint } = offer(now);
      setText(ui.reserve, label);
      setAttribute(ui.reserve, 'aria-disabled', armed ? null : 'true');
      setText(ui.hint, hint);
    }
  }

  update(first);
  hold.restore();
  session.onChange(() => hold.restore());
  return { element: ui.card, update, tick, drawFeed };
}

/** @param {Drop} drop */
function build(drop, sizes, ring) {
  const button = (name, className, text) => h('button', { type: 'button', class: className, 'data-testid': name }, text);
  const ui = {
    status: h('span', { class: 'pill', 'data-testid': 'status' }),
    media: h('div', { class: 'media' }),
    name: h('h2', { id: `name-${drop.id}` }),
    price: h('p', { class: 'price' }),
    stock: h('p', { class: 'stock', 'data-testid': 'stock' }, h('b', {}), h('span', {})),
    level: h('div', { class: 'level-fill' }),
    reserve: button('reserve', 'primary', 'Reserve'),
    hint: h('p', { class: 'hint' }),
    purchase: button('purchase', 'primary', 'Buy'),
    release: button('release', 'quiet', 'Let it go'),
    holdTitle: h('p', { class: 'hold-title' }),
    dismiss: h('button', { type: 'button', class: 'quiet' }, 'Done'),
    receiptTitle: h('p', { class: 'hold-title' }),
    receiptText: h('p', { class: 'hint' }),
    message: h('p', { class: 'message', role: 'status', 'data-testid': 'message' }),
    feed: h('ol', { class: 'feed', 'data-testid': 'feed', 'aria-label': 'Latest buyers' }),
  };
  ui.offer = h('div', { class: 'offer' }, ui.reserve, ui.hint);
  ui.hold = h('div', { class: 'hold', 'data-testid': 'hold', hidden: true }, ring,
    h('div', {}, ui.holdTitle, h('p', { class: 'hint' }, 'Nobody else can buy it meanwhile.')),
    h('div', { class: 'buttons' }, ui.purchase, ui.release));
  ui.receipt = h('div', { class: 'receipt', 'data-testid': 'receipt', tabindex: '-1', hidden: true },
    h('span', { class: 'tick', 'aria-hidden': 'true' }), h('div', {}, ui.receiptTitle, ui.receiptText), ui.dismiss);
  ui.card = h('article', { class: 'card', 'data-testid': `drop-${drop.id}`, 'aria-labelledby': `name-${drop.id}` },
    ui.media,
    h('div', { class: 'body' },
      h('div', { class: 'head' }, ui.status, ui.name, ui.price),
      h('div', { class: 'supply' }, ui.stock, h('div', { class: 'level', 'aria-hidden': 'true' }, ui.level)),
      sizes,
      h('div', { class: 'action' }, ui.offer, ui.hold, ui.receipt, ui.message),
      h('section', { class: 'latest' }, h('h3', {}, 'Just bought'), ui.feed)));
  return ui;
}

function drawPicture(ui, drop) {
  const key = drop.imageUrl ?? drop.name;
  if (ui.media.dataset.key === key) return;
  ui.media.dataset.key = key;
  const fallback = () => ui.media.replaceChildren(print(drop.name));
  if (!drop.imageUrl) fallback();
  // The name stands beside it: the picture says nothing more to a screen reader.
  else ui.media.replaceChildren(h('img', { src: drop.imageUrl, alt: '', loading: 'lazy', error: fallback }));
}

function drawStock(ui, drop) {
  const [number, words] = ui.stock.children;
  const share = drop.totalStock ? Math.min(drop.availableStock / drop.totalStock, 1) : 0;
  setText(number, count(drop.availableStock));
  setText(words, ` of ${count(drop.totalStock)} left`);
  setAttribute(ui.stock, 'data-available', drop.availableStock);
  setAttribute(ui.card, 'data-low', share > 0 && share <= LOW_SHARE);
  ui.level.style.transform = `scaleX(${share})`;
}

function drawReceipt(ui, drop, { size, receipt }) {
  setText(ui.receiptTitle, size ? `Size ${size} is yours` : 'It is yours');
  const paid = receipt.price === undefined ? '' : `${money(receipt.price, receipt.currency)} · `;
  setText(ui.receiptText, `${paid}${receipt.id ? `receipt no. ${receipt.id}` : drop.name}${
    receipt.timestamp ? `\n${when(receipt.timestamp)}` : ''}`);
}
