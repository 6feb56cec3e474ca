/** One drop on the page: built once, then brought up to date in place, so that focus and layout stay put. */
import { announce, h, setAttribute, setText } from './dom.js';
import { createFeed } from './feed.js';
import { createHold } from './hold.js';
import { offerOf } from './offer.js';
import { createPanel } from './panel.js';
import { createPicture } from './picture.js';
import { createSizes } from './sizes.js';
import { createSupply } from './supply.js';
import { money, STATUS } from './words.js';

/** @typedef {import('../drop-client/state.js').Drop} Drop */

const REFRESH_EVERY_MS = 2500;
/** Everybody who waits for a hold to end would ask at the same moment; nobody needs the answer for the button to arm. */
const REFRESH_SPREAD_MS = 2000;
const LONG_NAME = 60;
/** Refusals that a change of the drop makes untrue. */
const UNTIL_LIVE = new Set(['sold_out', 'drop_not_started', 'drop_paused']);
/** After these a unit may be held that this page does not know of. */
const UNHEARD = new Set(['network', 'bad_gateway', 'busy', 'database_unavailable', 'internal_error']);

/**
 * @param {{client: any, session: any, who: any, hrefOf: (id: number) => string}} shop
 * @param {Drop} first
 * @param {boolean} isFocus whether it is the only one on the page
 */
export function createCard({ client, session, who, hrefOf }, first, isFocus) {
  /** @type {Drop} */
  let drop = first;
  let focus = isFocus;
  let nextRefresh = 0;
  const href = hrefOf(first.id);
  const ui = {
    status: h('p', { class: 'status', 'data-testid': 'status' }),
    link: h('a', { dir: 'auto' }),
    price: h('p', { class: 'price' }),
  };
  const picture = createPicture(href);
  const supply = createSupply();
  const sizes = createSizes(first.id, () => {
    hold.hush();
    tick();
  });
  const panel = createPanel();
  const feed = createFeed(first.id);
  /** A heading of the page where it is alone, of a part of it in the list. */
  const name = h('div', { class: 'name', role: 'heading', id: `name-${first.id}`, tabindex: '-1' }, ui.link);
  const element = h('article', { class: 'card', 'data-testid': `drop-${first.id}`, 'aria-labelledby': name.id },
    picture.element,
    h('div', { class: 'body' },
      h('div', { class: 'head' }, ui.status, name, ui.price),
      supply.element, sizes.element, panel.element, feed.element));
  const hold = createHold({ client, session, who, dropId: first.id, onChange: draw });

  panel.reserve.addEventListener('click', () => {
    if (panel.reserve.getAttribute('aria-disabled') === 'true') return;
    const size = sizes.chosen();
    if (drop.sizes.length && size === null) {
      hold.say('Choose a size first.');
      sizes.focus();
      return;
    }
    moveFocus(hold.reserve(size));
  });
  panel.purchase.addEventListener('click', () => moveFocus(hold.purchase()));
  panel.release.addEventListener('click', () => moveFocus(hold.release()));
  panel.dismiss.addEventListener('click', () => {
    hold.dismiss();
    panel.reserve.focus();
  });

  /** A button that vanishes must not take the keyboard's place on the page with it. */
  async function moveFocus(done) {
    await done;
    const active = document.activeElement;
    if (active !== document.body && !active.closest('[hidden]')) return;
    const places = { none: panel.reserve, held: panel.purchase, bought: panel.receipt };
    places[hold.state.phase]?.focus({ preventScroll: true });
  }

  /** @param {Drop} next */
  function update(next) {
    const before = drop.status;
    drop = next;
    if (next.status !== before) tellStatus(before);
    draw();
  }

  function tellStatus(before) {
    const isBack = before === 'SOLD_OUT' && drop.status === 'LIVE';
    const opens = before === 'UPCOMING' && drop.status === 'LIVE';
    announce(`${drop.name}: ${isBack ? 'back in stock' : opens ? 'open now' : STATUS[drop.status]}`);
    if (drop.status === 'LIVE' && UNTIL_LIVE.has(hold.state.code)) hold.hush();
  }

  function draw() {
    const { phase, hold: held } = hold.state;
    if (drop.status === 'CANCELLED' && phase === 'held') return void hold.cancel();
    setAttribute(element, 'data-status', drop.status);
    setAttribute(element, 'data-phase', phase);
    setText(ui.status, STATUS[drop.status]);
    setText(ui.link, drop.name);
    setAttribute(name, 'data-long', drop.name.length > LONG_NAME);
    setAttribute(ui.link, 'href', focus ? null : href);
    setAttribute(name, 'aria-level', focus ? 1 : 2);
    setText(ui.price, money(drop.price, drop.currency));
    picture.show(drop, focus);
    sizes.show(drop.sizes, { locked: phase !== 'none', whole: focus });
    if (sizes.chosen() === null) chooseUsual();
    if (held?.size) sizes.choose(held.size);
    panel.showPhase(hold.state);
    if (phase === 'bought') panel.showReceipt(held);
    drawFeed();
    tick();
  }

  /** The size that they took the last time, if this drop has it and it is there. */
  function chooseUsual() {
    const usual = session.size;
    if (drop.sizes.some(({ size, availableStock }) => size === usual && availableStock > 0)) sizes.choose(usual);
  }

  function drawFeed() {
    feed.show(drop.recentPurchases, drop.status === 'UPCOMING' ? 'Opens soon.' : 'Nobody yet.', client.serverNow());
  }

  function refreshNow(now) {
    if (now < nextRefresh) return;
    const wait = Math.random() * REFRESH_SPREAD_MS;
    nextRefresh = now + wait + REFRESH_EVERY_MS;
    setTimeout(() => client.refresh(drop.id), wait);
  }

  /** What time alone changes. Called a few times a second. */
  function tick() {
    const now = client.serverNow();
    const left = hold.tick();
    const { phase, since, code } = hold.state;
    supply.show(drop, now);
    if (phase === 'none' || phase === 'asking') {
      const offer = offerOf(drop, now, {
        askingMs: phase === 'asking' ? performance.now() - since : null,
        lacksSize: drop.sizes.length > 0 && sizes.chosen() === null,
        isUnheard: UNHEARD.has(code),
      });
      panel.showOffer(offer);
      if (offer.returning) refreshNow(now);
    } else if (phase !== 'bought') {
      const whole = drop.holdSeconds * 1000;
      // A few ms of doubt about the server's time must not show as one second too many.
      panel.showTime(Math.min(left, whole), whole);
      panel.showHold(drop, hold.state.hold, { isBusy: phase === 'buying', isSettled: hold.isSettled() });
    }
  }

  update(first);
  hold.restore();
  session.onChange(() => hold.restore());
  return {
    element, update, tick, drawFeed, hold, panel: panel.element,
    get drop() {
      return drop;
    },
    /** Alone on the page, or one of the list. @param {boolean} alone */
    setFocus(alone) {
      if (alone === focus) return;
      focus = alone;
      draw();
    },
    focusName: () => name.focus({ preventScroll: true }),
    focusLink: () => ui.link.focus({ preventScroll: true }),
  };
}
