/** The storefront: one client, one card a drop, one clock for all that runs down. */
import { connect } from './drop-client.js';
import { createCard } from './storefront/card.js';
import { announce, setAttribute, setText } from './storefront/dom.js';
import { createSession } from './storefront/session.js';
import { createWho } from './storefront/who.js';

const TICK_MS = 200;
const FEED_TICKS = 50;
/** A blink of the connection is not worth a shopper's glance. */
const CALM_MS = 1500;
const CONNECTION = {
  live: ['Live', 'Stock changes reach this page as they happen'],
  polling: ['Updating', 'Live updates are not available now; this page asks for the stock every other second'],
  offline: ['Offline', 'The shop cannot be reached; trying again'],
};
const ORDER = ['LIVE', 'SOLD_OUT', 'UPCOMING', 'PAUSED', 'ENDED', 'CANCELLED'];

const client = connect();
const session = createSession();
const shop = { client, session, who: createWho(client, session) };
const list = document.getElementById('drops');
const empty = document.getElementById('empty');
/** @type {Map<number, ReturnType<typeof createCard>>} */
const cards = new Map();

/** What can be bought first, then what comes next; the page keeps this order while it is open. */
function byInterest(a, b) {
  return ORDER.indexOf(a.status) - ORDER.indexOf(b.status)
    || (a.status === 'UPCOMING' ? Date.parse(a.dropStartTime) - Date.parse(b.dropStartTime) : b.id - a.id);
}

function showDrops(drops) {
  if (list.getAttribute('aria-busy')) {
    list.replaceChildren();
    list.removeAttribute('aria-busy');
  }
  for (const drop of [...drops].sort(byInterest)) {
    if (cards.has(drop.id)) cards.get(drop.id).update(drop);
    else addCard(drop);
  }
  const ids = new Set(drops.map(({ id }) => id));
  for (const [id, card] of cards) card.element.hidden = !ids.has(id);
  empty.hidden = drops.length > 0;
  setText(empty, drops.length ? '' : 'No drops yet. The next one appears here by itself.');
}

/** A drop that comes later goes to the end: nothing may move under a finger that is about to tap. */
function addCard(drop) {
  const card = createCard(shop, drop);
  cards.set(drop.id, card);
  list.append(card.element);
  if (document.body.dataset.ready) announce(`New drop: ${drop.name}`);
}

let calm = null;

function showConnection(state) {
  clearTimeout(calm);
  const known = document.body.dataset.connection;
  if (known && state !== 'live') calm = setTimeout(drawConnection, CALM_MS, state);
  else drawConnection(state);
}

function drawConnection(state) {
  const element = document.querySelector('[data-testid="connection"]');
  document.body.dataset.connection = state;
  setAttribute(element, 'data-state', state);
  setText(element.firstElementChild, CONNECTION[state][0]);
  element.title = CONNECTION[state][1];
  if (state === 'offline' && list.getAttribute('aria-busy')) {
    empty.hidden = false;
    setText(empty, 'We cannot reach the shop. This page keeps trying; you need not reload it.');
  }
}

let ticks = 0;

function tick() {
  ticks += 1;
  cards.forEach((card) => card.tick());
  if (ticks % FEED_TICKS === 0) cards.forEach((card) => card.drawFeed());
}

client.onState(showConnection);
client.watchDrops((drops) => {
  showDrops(drops);
  document.body.dataset.ready = 'true';
}, { status: 'all' });
setInterval(tick, TICK_MS);
