/**
 * The list of drops, and one drop alone at `/?drop=ID`, a link that can be shared. Both are the same cards: a drop that is
 * opened keeps its hold, its focus and its subscription. Who comes by a drop's link asks for that drop only, and hears
 * nothing of others: that is what a crowd does.
 */
import { createCard } from './card.js';
import { announce, setAttribute, setText } from './dom.js';
import { createFinder } from './owned.js';
import { createShare } from './share.js';
import { createTray } from './tray.js';

const PAGE = 12;
const ORDER = ['LIVE', 'UPCOMING', 'SOLD_OUT', 'PAUSED', 'ENDED', 'CANCELLED'];
/** Each time after so long without its snapshot, look whether there is such a drop at all. */
const MISSING_AFTER_MS = 1500;
const TOAST_MS = 12_000;

const byId = (id) => document.getElementById(id);

/** What can be bought first, then what comes next; the page keeps this order while it is open. */
function byInterest(a, b) {
  return ORDER.indexOf(a.status) - ORDER.indexOf(b.status)
    || (a.status === 'UPCOMING' ? Date.parse(a.dropStartTime) - Date.parse(b.dropStartTime) : b.id - a.id);
}

/** The page's address for a drop, or for the list; `?user=` stays. @param {number|null} id */
function addressOf(id) {
  const user = new URLSearchParams(location.search).get('user');
  const query = new URLSearchParams({ ...(id ? { drop: String(id) } : {}), ...(user ? { user } : {}) });
  return location.pathname + (query.size ? `?${query}` : '');
}

/** The drop that the address names: an id, null for the list, NaN for what is none. */
function idInAddress() {
  const raw = new URLSearchParams(location.search).get('drop');
  if (raw === null) return null;
  return /^[1-9]\d{0,15}$/.test(raw) ? Number(raw) : NaN;
}

/** @param {{client: any, session: any, who: any}} shop */
export function createViews(shop) {
  const { client } = shop;
  const list = byId('drops');
  const more = byId('more');
  const empty = byId('empty');
  const toast = byId('toast');
  /** @type {Map<number, ReturnType<typeof createCard>>} */
  const cards = new Map();
  /** @type {Map<number, any>} the newest of each drop of the list, built or not */
  const known = new Map();
  /** @type {Map<number, () => void>} drops that are watched by themselves */
  const followed = new Map();
  const tray = createTray(addressOf);
  const findHolds = createFinder(shop, () => cards);
  /** Ids in the order of the page; null until the list has come. @type {number[]|null} */
  let order = null;
  let shown = PAGE;
  let focus = idInAddress();
  /** Whether the shop has no drop for the address. */
  let isMissing = false;
  let lookTimer = null;
  let listScroll = 0;
  let listStarted = false;
  let toastTimer = null;

  function card(drop) {
    if (!cards.has(drop.id)) {
      const made = createCard({ ...shop, hrefOf: addressOf }, drop, drop.id === focus);
      cards.set(drop.id, made);
      tray.watch(made);
      findHolds();
    }
    return cards.get(drop.id);
  }

  function showDrops(drops) {
    const fresh = order === null ? [] : drops.filter(({ id }) => !order.includes(id));
    known.clear();
    drops.forEach((drop) => known.set(drop.id, drop));
    if (order === null) order = [...drops].sort(byInterest).map(({ id }) => id);
    fresh.forEach(add);
    for (const [id, one] of cards) if (known.has(id)) one.update(known.get(id));
    arrange();
  }

  /** A drop that comes later goes to the end: nothing may move under a finger that is about to tap. */
  function add(drop) {
    order.splice(shown, 0, drop.id);
    shown += 1;
    announce(`New drop: ${drop.name}`);
    const [link] = toast.children;
    setText(link, `New: ${drop.name}`);
    setAttribute(link, 'href', addressOf(drop.id));
    toast.hidden = false;
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => (toast.hidden = true), TOAST_MS);
  }

  function showOne(drop) {
    const one = card(drop);
    one.update(drop);
    if (!one.element.isConnected) list.append(one.element);
    arrange();
  }

  /** Which cards are there, in which order, and what is said where there is none. */
  function arrange() {
    const visible = focus === null ? (order ?? []).slice(0, shown).filter((id) => known.has(id)) : [focus];
    const ready = focus === null ? order !== null : cards.has(focus) || known.has(focus) || isMissing;
    setAttribute(list, 'aria-busy', ready ? null : 'true');
    if (!ready) return;
    if (focus === null || known.has(focus)) place(visible);
    for (const [id, one] of cards) {
      const isShown = visible.includes(id);
      if (isShown) one.setFocus(id === focus);
      one.element.hidden = !isShown;
    }
    const rest = focus === null ? order.length - shown : 0;
    more.hidden = rest <= 0;
    setText(more, `Show more drops (${rest})`);
    say(focus === null && known.size === 0 ? 'No drops yet. The next one appears here by itself.' : '');
    if (isMissing) tellMissing();
    document.body.dataset.ready = 'true';
  }

  /** In their order, without touching those that are in place: moving an element takes the focus from it. */
  function place(ids) {
    let after = null;
    for (const id of ids) {
      const { element } = card(known.get(id));
      const next = after ? after.nextElementSibling : list.querySelector('.card:not(.ghost)');
      if (next !== element) list.insertBefore(element, next);
      setAttribute(element, 'data-first', id === order?.[0]);
      after = element;
    }
  }

  function say(text, isMissing = false) {
    empty.hidden = !text;
    setText(empty.firstElementChild, text);
    setAttribute(empty.firstElementChild, 'role', isMissing && 'heading');
    setAttribute(empty.firstElementChild, 'aria-level', isMissing && 1);
    empty.lastElementChild.hidden = !isMissing;
  }

  function tellMissing() {
    say('There is no such drop. The link may be old, or cut off.', true);
    document.title = 'No such drop · Holdfast';
  }

  /** Until the card has come, the shop says that there is none, or the page shows something else. */
  async function lookWhetherMissing(id) {
    if (cards.has(id)) return;
    const reply = await fetch(`/api/drops/${id}`, { cache: 'no-store' }).catch(() => null);
    if (focus !== id || cards.has(id)) return;
    if (reply?.status !== 404) return void lookSoon(id);
    unfollow(id);
    isMissing = true;
    arrange();
  }

  function lookSoon(id) {
    clearTimeout(lookTimer);
    lookTimer = setTimeout(lookWhetherMissing, MISSING_AFTER_MS, id);
  }

  function follow(id) {
    if (isMissing || known.has(id) || followed.has(id)) return;
    followed.set(id, client.watchDrop(id, showOne));
    lookSoon(id);
  }

  function unfollow(id) {
    followed.get(id)?.();
    followed.delete(id);
  }

  function route() {
    clearTimeout(lookTimer);
    if (!cards.has(focus)) unfollow(focus);
    focus = idInAddress();
    isMissing = Number.isNaN(focus);
    document.documentElement.dataset.view = focus === null ? 'list' : 'drop'; // at the start view.js has said so already
    say('');
    if (focus !== null) follow(focus);
    else if (!listStarted) {
      listStarted = true;
      client.watchDrops(showDrops, { status: 'all' });
    }
    arrange();
  }

  /** @param {string} address */
  function go(address) {
    if (focus === null) listScroll = scrollY;
    const from = focus;
    history.pushState(null, '', address);
    route();
    arrive(from);
  }

  function arrive(from) {
    scrollTo(0, focus === null ? listScroll : 0);
    toast.hidden = true;
    if (focus === null) cards.get(from)?.focusLink();
    else cards.get(focus)?.focusName();
  }

  document.addEventListener('click', (event) => {
    const link = event.target.closest('a[href]');
    const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    if (!link || !isPlain || link.origin !== location.origin || link.pathname !== location.pathname) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
  addEventListener('popstate', () => {
    const from = focus;
    route();
    arrive(from);
  });
  more.addEventListener('click', () => {
    const first = order[shown];
    shown += PAGE;
    arrange();
    cards.get(first)?.focusLink();
  });
  toast.lastElementChild.addEventListener('click', () => (toast.hidden = true));
  for (const link of document.querySelectorAll('[data-home]')) link.href = addressOf(null);
  createShare(() => cards.get(focus)?.drop ?? null);
  history.scrollRestoration = 'manual';
  route();

  return {
    tick(isFeedDue) {
      for (const one of cards.values()) {
        one.tick();
        if (isFeedDue) one.drawFeed();
      }
      if (!isMissing) tray.show([...cards.values()], cards.get(focus) ?? null, client.serverNow());
    },
    /** Nothing has come yet, and nothing does. */
    tellOffline() {
      if (list.getAttribute('aria-busy')) say('We cannot reach the shop. This page keeps trying; you need not reload it.');
    },
  };
}
