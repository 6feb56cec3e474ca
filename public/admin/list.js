/** All drops, with search and paging. */
import { announce, h, setAttribute, setText } from '../storefront/dom.js';
import { count, money, STATUS } from '../storefront/words.js';
import { createStockBar } from './stock-bar.js';
import { createThumb, showThumb } from './thumb.js';
import { dayAndTime } from './zone.js';

const PAGE = 25;
const MOST_REFRESHED = 100;
const TYPING_MS = 250;
const REFRESH_MS = 5000;

/** @param {any} context @param {URLSearchParams} query */
export function createList({ api }, query) {
  const search = h('input', {
    id: 'search', type: 'search', placeholder: 'Name or id', autocomplete: 'off', maxlength: 200, input: searchSoon,
  });
  search.value = query.get('q') ?? '';
  const status = h('select', { id: 'status', change: reload },
    h('option', { value: '' }, 'Any'),
    ...Object.entries(STATUS).map(([value, label]) => h('option', { value }, label)));
  status.value = query.get('status') ?? '';
  const body = h('tbody', {});
  const table = h('table', { class: 'drops', 'aria-busy': 'true' },
    h('caption', { class: 'unseen' }, 'Drops, newest first'),
    h('thead', {}, h('tr', {}, ...['Drop', 'Status', 'Stock', 'Price', 'Starts'].map((title) => h('th', { scope: 'col' }, title)))),
    body);
  const note = h('p', { class: 'note', role: 'status' });
  const more = h('button', { class: 'button quiet', type: 'button', hidden: true, click: loadMore }, 'Show more');
  const element = h('section', {},
    h('div', { class: 'head' }, h('h1', { tabindex: '-1' }, 'Drops'), h('a', { class: 'button primary', href: '#/new' }, 'New drop')),
    h('form', { class: 'filters', role: 'search', submit: (event) => event.preventDefault() },
      h('div', { class: 'field' }, h('label', { for: 'search' }, 'Search'), search),
      h('div', { class: 'field' }, h('label', { for: 'status' }, 'Status'), status)),
    table, note, more);

  /** @type {any[]} */
  let drops = [];
  let next = null;
  let asked = 0;
  let timer = setTimeout(reload, 0);

  function address(limit) {
    const wanted = new URLSearchParams({ limit });
    if (search.value.trim()) wanted.set('q', search.value.trim());
    if (status.value) wanted.set('status', status.value);
    return `/api/admin/drops?${wanted}`;
  }

  function searchSoon() {
    clearTimeout(timer);
    timer = setTimeout(reload, TYPING_MS);
  }

  /** The first page of what is looked for now. An answer that comes late, to an older question, is dropped. */
  async function reload() {
    remember();
    const isShown = await load(address(PAGE), (found) => {
      drops = found;
    });
    if (isShown) announce(drops.length ? `${count(drops.length)}${next ? ' or more' : ''} drops` : 'No drop found');
  }

  async function loadMore() {
    const first = drops.length;
    const isShown = await load(next, (found) => {
      drops = [...drops, ...found];
    });
    if (isShown) body.children[first]?.querySelector('a').focus();
  }

  /** @param {string} path @param {(found: any[]) => void} take @returns {Promise<boolean>} whether they are shown now */
  async function load(path, take) {
    const turn = asked += 1;
    let isShown = false;
    clearTimeout(timer);
    try {
      const page = await api.page(path);
      if (turn !== asked) return false;
      next = page.next;
      take(page.json.drops);
      draw();
      isShown = true;
    } catch (error) {
      if (turn !== asked) return false;
      setText(note, error.message);
    }
    setAttribute(table, 'aria-busy', null);
    timer = setTimeout(refresh, REFRESH_MS);
    return isShown;
  }

  /** The same drops again, as they are now. A list that was made longer than a page of the API is left as it is. */
  async function refresh() {
    if (document.hidden || drops.length > MOST_REFRESHED) {
      timer = setTimeout(refresh, REFRESH_MS);
      return;
    }
    await load(address(Math.max(PAGE, drops.length)), (found) => {
      drops = found;
    });
  }

  /** So that the way back from a drop leads to the same list. */
  function remember() {
    const kept = new URLSearchParams();
    if (search.value.trim()) kept.set('q', search.value.trim());
    if (status.value) kept.set('status', status.value);
    history.replaceState(null, '', kept.size ? `#/?${kept}` : '#/');
  }

  /** Rows are brought up to date in place: focus and reading position stay. */
  function draw() {
    const known = new Map([...body.children].map((row) => [Number(row.dataset.id), row]));
    const wanted = drops.map((drop) => {
      const row = known.get(drop.id) ?? createRow(drop);
      row.update(drop);
      return row;
    });
    const same = wanted.length === body.children.length && wanted.every((row, n) => body.children[n] === row);
    if (!same) body.replaceChildren(...wanted);
    table.hidden = drops.length === 0;
    more.hidden = next === null;
    const isFiltered = search.value.trim() !== '' || status.value !== '';
    setText(note, drops.length ? '' : isFiltered ? 'No drop fits this search.' : 'No drops yet. Make the first one.');
  }

  return { element, close: () => { asked += 1; clearTimeout(timer); } };
}

/** A table row that can be brought up to date. @param {any} drop */
function createRow({ id }) {
  const link = h('a', { href: `#/drops/${id}` });
  const picture = createThumb();
  const pill = h('span', { class: 'pill' });
  const bar = createStockBar();
  const price = h('td', { 'data-label': 'Price', class: 'number' });
  const starts = h('td', { 'data-label': 'Starts' });
  const row = h('tr', { 'data-id': id, 'data-testid': `row-${id}` },
    h('th', { scope: 'row', class: 'what' }, picture, h('span', {}, link, h('small', {}, `#${id}`))),
    h('td', {}, pill), h('td', { 'data-label': 'Stock', class: 'stock-cell' }, bar.element), price, starts);

  return Object.assign(row, {
    update(drop) {
      setText(link, drop.name);
      setText(pill, STATUS[drop.status]);
      setAttribute(pill, 'data-status', drop.status);
      bar.show({ total: drop.totalStock, available: drop.availableStock, sold: drop.soldCount });
      setText(price, money(drop.price, drop.currency));
      setText(starts, dayAndTime(drop.dropStartTime));
      showThumb(picture, drop);
    },
  });
}
