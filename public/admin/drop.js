/** One drop, live: figures, chart, sizes, who holds and who bought, and what can be done. */
import { announce, h, setAttribute, setText } from '../storefront/dom.js';
import { clockTime, count, money, STATUS } from '../storefront/words.js';
import { createActions } from './actions.js';
import { createChart } from './chart.js';
import { createExport } from './export.js';
import { createFigures } from './figures.js';
import { createSizeGrid } from './size-grid.js';
import { createHolds, createPurchases } from './tables.js';
import { toTheSecond, zoneLabel } from './zone.js';
import { createThumb, showThumb } from './thumb.js';

const STATS_MS = 2000;
const QUIET_STATS_MS = 10_000;
/** Who holds is dearer to find out than how many do. */
const HOLDS_MS = 1500;
const TICK_MS = 500;
/** News comes in bursts: one look a burst is enough. */
const BURST_MS = 400;
/** So many times as long as a look took is the pause after it. */
const PAUSE_SHARE = 4;
const CONNECTION = {
  live: 'Live updates', polling: 'Updates every other second', offline: 'Offline, trying again',
};
const OVER = new Set(['ENDED', 'CANCELLED']);

/** @param {any} context @param {number} id */
export function createDropView({ api, client: realtime }, id) {
  const client = realtime();
  const ui = build(id);
  const figures = createFigures();
  const sizes = createSizeGrid((size) => attempt(() => actions.restock(size)));
  const chart = createChart({ now: () => client.serverNow() });
  const holds = createHolds(api, id, () => client.serverNow());
  const exporter = createExport(api, id, (problem) => setText(ui.problem, problem));
  const purchases = createPurchases(api, id, exporter.button, (problem) => setText(ui.problem, problem));
  const actions = createActions({
    api, dropId: id, drop: () => drop, isClosed: () => closed, onDone: () => { client.refresh(id); lookSoon(0); },
  });
  /** @type {any} */
  let drop = null;
  let bought = -1;
  let holdsAt = -Infinity;
  let timer = null;
  let nextLook = Infinity;
  let tookMs = 0;
  let again = false;
  let isOut = false;
  let isBusy = false;
  let isSeeded = false;
  let closed = false;
  const stops = [
    client.watchDrop(id, onDrop),
    client.on('newPurchase', ({ dropId }) => dropId === id && lookSoon(BURST_MS)),
    client.onState((state) => {
      setText(ui.connection, CONNECTION[state]);
      setAttribute(ui.connection, 'data-state', state);
    }),
  ];
  const ticking = setInterval(tick, TICK_MS);

  ui.body.append(figures.element, h('section', { class: 'card', 'aria-labelledby': 'chart-title' },
    h('h2', { id: 'chart-title' }, 'Stock over time'), chart.element), sizes.element,
  h('div', { class: 'columns' }, purchases.element, holds.element));
  for (const [name, button] of Object.entries(ui.buttons)) button.addEventListener('click', () => attempt(actions[name]));
  start();

  async function attempt(action) {
    // A second click before the first has its dialog would open one more, and what both do would be done twice.
    if (isBusy) return;
    isBusy = true;
    setText(ui.problem, '');
    try {
      await action();
    } catch (error) {
      setText(ui.problem, error.message);
    } finally {
      isBusy = false;
    }
    if (closed) return;
    // The drop may have changed while the question was open: then its button was gone before it could have the focus again.
    if (document.activeElement === document.body || document.activeElement.hidden) keepPlace(ui);
  }

  async function start() {
    try {
      const first = await api.get(`/api/drops/${id}`);
      if (closed) return;
      onDrop(first);
      await seed();
      if (closed) return;
      await purchases.load();
    } catch (error) {
      isOut = true;
      setText(ui.problem, error.message);
      if (error.code === 'drop_not_found') return void giveUp();
    }
    if (!closed) look();
  }

  /** What was before the page was opened, once. */
  async function seed() {
    if (isSeeded || !drop) return;
    const { points } = await api.get(`/api/drops/${id}/history`);
    if (closed) return;
    chart.seed(points.map(pointOf), Date.parse(drop.dropStartTime));
    isSeeded = true;
  }

  function giveUp() {
    setText(ui.title, 'No such drop');
    setAttribute(ui.body, 'aria-busy', null);
    ui.body.replaceChildren();
    Object.values(ui.buttons).forEach((button) => button.parentElement.remove());
    stops.forEach((stop) => stop());
  }

  /** @param {any} next from an event or a snapshot */
  function onDrop(next) {
    const before = drop;
    // The view of events leaves the one size of a drop without sizes out; so does this.
    drop = { ...next, sizes: next.sizes.filter(({ size }) => size !== '') };
    if (before && before.status !== drop.status) {
      announce(`${drop.name}: ${STATUS[drop.status]}`);
      lookSoon(0);
    }
    drawDrop(ui, drop);
    sizes.show(drop.sizes, OVER.has(drop.status));
    if (before && before.availableStock !== drop.availableStock) lookSoon(BURST_MS);
  }

  /**
   * An appointment is kept if it is sooner: news that does not stop must not put it off for ever. And a look that took long
   * costs the database much: the next one waits its share.
   */
  function lookSoon(delay) {
    const now = performance.now();
    const at = now + Math.max(delay, tookMs * PAUSE_SHARE);
    if (nextLook === 0) again = true; // one is under way, and may have seen the figures before this news
    if (at >= nextLook) return;
    nextLook = at;
    clearTimeout(timer);
    timer = setTimeout(look, at - now);
  }

  /** The figures at one instant, and what hangs on them. */
  async function look() {
    nextLook = 0;
    again = false;
    const began = performance.now();
    try {
      if (!document.hidden) await readStats();
      setAttribute(ui.body, 'aria-busy', null);
      if (isOut) setText(ui.problem, '');
      isOut = false;
    } catch (error) {
      isOut = true;
      setText(ui.problem, error.message);
    }
    if (closed) return;
    tookMs = performance.now() - began;
    nextLook = Infinity;
    lookSoon(again ? BURST_MS : drop && OVER.has(drop.status) ? QUIET_STATS_MS : STATS_MS);
  }

  async function readStats() {
    const stats = await api.get(`/api/drops/${id}/stats`);
    if (closed) return;
    const { active, overdue, purchased } = stats.holds;
    figures.show(stats);
    chart.add({
      at: Date.parse(stats.serverTime), total: stats.totalStock, available: stats.availableStock, held: active + overdue, sold: purchased,
    });
    if (performance.now() > holdsAt + HOLDS_MS || active === 0) {
      holdsAt = performance.now();
      await holds.load(active);
      if (closed) return;
    }
    if (purchased !== bought) await purchases.load();
    if (closed) return;
    bought = purchased;
    await seed();
  }

  function tick() {
    holds.tick();
    chart.draw();
    if (drop) setText(ui.when, whenText(drop, client.serverNow()));
  }

  return {
    element: ui.element,
    close() {
      closed = true;
      clearTimeout(timer);
      clearInterval(ticking);
      stops.forEach((stop) => stop());
      chart.close();
      exporter.close();
    },
  };
}

/** A button that vanishes must not take the keyboard's place on the page with it. */
function keepPlace({ buttons, title }) {
  (Object.values(buttons).find((button) => !button.hidden && button !== buttons.restock) ?? title).focus();
}

/** @param {any} point of GET /api/drops/{id}/history */
const pointOf = ({ at, totalStock, availableStock, heldCount, soldCount }) => ({
  at: Date.parse(at), total: totalStock, available: availableStock, held: heldCount, sold: soldCount,
});

/** @param {any} drop @param {number} now */
function whenText({ dropStartTime, dropEndTime }, now) {
  const start = Date.parse(dropStartTime);
  const end = dropEndTime && Date.parse(dropEndTime);
  if (start > now) return `Starts in ${clockTime(start - now)}, ${toTheSecond(dropStartTime)}`;
  if (end && end > now) return `Ends in ${clockTime(end - now)}, ${toTheSecond(dropEndTime)}`;
  return end ? `Ended ${toTheSecond(dropEndTime)}` : `Started ${toTheSecond(dropStartTime)}`;
}

function build(id) {
  const button = (text, className = 'quiet') => h('button', { class: `button ${className}`, type: 'button' }, text);
  const ui = {
    title: h('h1', { tabindex: '-1' }, `Drop ${id}`),
    pill: h('span', { class: 'pill', 'data-testid': 'status' }),
    facts: h('p', { class: 'facts' }),
    when: h('p', { class: 'facts' }),
    connection: h('p', { class: 'connection', role: 'status', 'data-testid': 'connection' }),
    problem: h('p', { class: 'field-error', role: 'alert', 'data-testid': 'problem' }),
    picture: createThumb('large'),
    body: h('div', { class: 'live', 'aria-busy': 'true' }),
    buttons: { restock: button('Restock'), pause: button('Pause'), resume: button('Open again', 'primary'), cancel: button('Cancel the drop') },
  };
  ui.element = h('section', {},
    h('p', { class: 'back' }, h('a', { href: '#/' }, '← All drops')),
    h('div', { class: 'head' }, ui.picture, h('div', { class: 'head-text' }, h('div', { class: 'title-line' }, ui.title, ui.pill), ui.facts, ui.when), ui.connection),
    h('div', { class: 'buttons actions' }, ui.buttons.restock, ui.buttons.pause, ui.buttons.resume,
      h('a', { class: 'button quiet', href: `#/drops/${id}/edit` }, 'Edit'),
      h('a', { class: 'button quiet', href: `#/new?from=${id}` }, 'Duplicate'), ui.buttons.cancel),
    ui.problem, ui.body);
  return ui;
}

function drawDrop(ui, drop) {
  if (document.activeElement === ui.title || document.title.startsWith('Drop ')) document.title = `${drop.name} · Holdfast console`;
  setText(ui.title, drop.name);
  setText(ui.pill, STATUS[drop.status]);
  setAttribute(ui.pill, 'data-status', drop.status);
  const limit = drop.maxPerUser === null ? 'no limit' : `${count(drop.maxPerUser)} for each buyer`;
  setText(ui.facts, `#${drop.id} · ${money(drop.price, drop.currency)} · holds last ${clockTime(drop.holdSeconds * 1000)} · ${limit}`);
  ui.when.title = zoneLabel();
  const focused = document.activeElement;
  ui.buttons.pause.hidden = drop.status === 'PAUSED' || OVER.has(drop.status);
  ui.buttons.resume.hidden = drop.status !== 'PAUSED';
  ui.buttons.cancel.hidden = drop.status === 'CANCELLED';
  ui.buttons.restock.hidden = OVER.has(drop.status);
  if (focused?.hidden) keepPlace(ui);
  showThumb(ui.picture, drop);
}
