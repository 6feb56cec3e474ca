/** Who holds a unit now and who bought, as tables that follow the drop. */
import { h, setText } from '../storefront/dom.js';
import { clockTime, count, money } from '../storefront/words.js';
import { toTheSecond } from './zone.js';

const HOLDS = 10;
const PURCHASES = 10;
const FRESH_MS = 4000;

/** @param {string} caption @param {string[]} titles */
function createTable(caption, titles) {
  const body = h('tbody', {});
  const empty = h('p', { class: 'note' });
  const table = h('table', { class: 'people', hidden: true }, h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ...titles.map((title) => h('th', { scope: 'col' }, title)))), body);

  return {
    elements: [table, empty],
    /** @param {any[]} items @param {(item: any) => HTMLElement} toRow @param {string} nothing said when there are none */
    show(items, toRow, nothing) {
      const known = new Map([...body.children].map((row) => [Number(row.dataset.id), row]));
      const rows = items.map((item) => known.get(item.id) ?? toRow(item));
      const same = rows.length === body.children.length && rows.every((row, n) => body.children[n] === row);
      if (!same) body.replaceChildren(...rows);
      table.hidden = items.length === 0;
      setText(empty, items.length ? '' : nothing);
    },
    rows: () => [...body.children],
  };
}

const cell = (label, ...content) => h('td', { 'data-label': label }, ...content);
const person = ({ username, userId }) => h('th', { scope: 'row' }, username, ' ', h('small', {}, `#${userId}`));

/** @param {any} api @param {number} dropId @param {() => number} now the server's time in ms */
export function createHolds(api, dropId, now) {
  const table = createTable('Who holds a unit now, who must decide soonest first', ['Who', 'Size', 'Ends in']);
  const rest = h('p', { class: 'hint' });
  const element = h('section', { class: 'card', 'aria-labelledby': 'holds-title' },
    h('h2', { id: 'holds-title' }, 'Holding now'), ...table.elements, rest);

  const toRow = (hold) => h('tr', { 'data-id': hold.id, 'data-ends': Date.parse(hold.expiresAt) },
    person(hold), cell('Size', hold.size || '–'), h('td', { 'data-label': 'Ends in', class: 'number' }));

  return {
    element,
    /** @param {number} active how many there are in all */
    async load(active) {
      const holds = active ? (await api.get(`/api/drops/${dropId}/holds?limit=${HOLDS}`)).holds : [];
      table.show(holds, toRow, 'Nobody holds a unit.');
      setText(rest, active > holds.length && holds.length ? `and ${count(active - holds.length)} more` : '');
      this.tick();
    },
    tick() {
      for (const row of table.rows()) {
        const left = Number(row.dataset.ends) - now();
        setText(row.lastChild, left > 0 ? clockTime(left) : 'over');
      }
    },
  };
}

/** @param {any} api @param {number} dropId @param {Node} exportButton @param {(problem: string) => void} onProblem */
export function createPurchases(api, dropId, exportButton, onProblem) {
  const table = createTable('Who bought, newest first', ['Who', 'Size', 'Paid', 'When']);
  const more = h('button', { class: 'button quiet', type: 'button', hidden: true, click: loadMore }, 'Show more');
  const element = h('section', { class: 'card', 'aria-labelledby': 'purchases-title' },
    h('div', { class: 'card-head' }, h('h2', { id: 'purchases-title' }, 'Purchases'), exportButton), ...table.elements, more);
  /** @type {any[]} newest first */
  let sales = [];
  let next = null;
  let isFirst = true;

  const toRow = (sale) => h('tr', { 'data-id': sale.id, ...(isFirst ? {} : { class: 'fresh' }) },
    person(sale), cell('Size', sale.size || '–'), h('td', {}, money(sale.price, sale.currency)), h('td', {}, toTheSecond(sale.timestamp)));

  function draw() {
    table.show(sales, toRow, 'Nobody has bought yet.');
    more.hidden = next === null;
  }

  async function loadMore() {
    if (more.getAttribute('aria-disabled')) return;
    more.setAttribute('aria-disabled', 'true');
    onProblem('');
    try {
      const from = next;
      const page = await api.page(from);
      // The list has begun anew meanwhile: these would not be the ones after its last.
      if (from === next) add(page);
    } catch (error) {
      onProblem(error.message);
    }
    more.removeAttribute('aria-disabled');
  }

  /** @param {{json: any, next: string|null}} page of older ones, which are no news */
  function add(page) {
    isFirst = true;
    next = page.next;
    sales = [...sales, ...page.json.purchases];
    draw();
    isFirst = false;
  }

  return {
    element,
    /** The newest, in front of what is shown. Where more came than a page, the list begins anew: it has no holes. */
    async load() {
      const page = await api.page(`/api/drops/${dropId}/purchases?limit=${PURCHASES}`);
      const found = page.json.purchases;
      const place = sales.findIndex(({ id }) => id === found.at(-1)?.id);
      if (place < 0) next = page.next;
      sales = place < 0 ? found : [...found, ...sales.slice(place + 1)];
      draw();
      isFirst = false;
      setTimeout(() => table.rows().forEach((row) => row.classList.remove('fresh')), FRESH_MS);
    },
  };
}
