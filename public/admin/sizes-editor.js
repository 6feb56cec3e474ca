/** Sizes and their stock as rows that can be added, removed, put in another order and pasted as a list. */
import { announce, h, setAttribute, setText } from '../storefront/dom.js';
import { count } from '../storefront/words.js';
import { parseSizes } from './validate.js';

/** @param {() => void} onChange */
export function createSizesEditor(onChange) {
  const list = h('ol', { class: 'size-rows', 'aria-label': 'Sizes' });
  const sum = h('p', { class: 'hint', role: 'status' });
  const error = h('p', { class: 'field-error', 'data-testid': 'error-sizes' });
  const addButton = h('button', { type: 'button', class: 'button quiet', click: () => add({}, null).label.focus() }, 'Add a size');
  const element = h('div', { class: 'sizes-editor' },
    h('p', { class: 'hint', id: 'sizes-hint' }, 'Paste a list such as 38:10, 39:12, or two columns of a spreadsheet, into a size.'),
    h('div', { class: 'size-titles', 'aria-hidden': 'true' }, h('span', {}, 'Size'), h('span', {}, 'Units')),
    list, h('div', { class: 'buttons' }, addButton, sum), error);
  /** @type {ReturnType<typeof createRow>[]} */
  let rows = [];

  function createRow({ size = '', stock = '' }) {
    const label = h('input', { class: 'size-label', autocomplete: 'off', 'aria-describedby': 'sizes-hint', input: change, paste });
    const units = h('input', { class: 'size-stock', inputmode: 'numeric', autocomplete: 'off', input: change });
    const problem = h('p', { class: 'field-error' });
    const tool = (text, act) => h('button', { type: 'button', class: 'tool', click: act }, text);
    const up = tool('↑', () => move(row, -1));
    const down = tool('↓', () => move(row, 1));
    const remove = tool('×', () => removeRow(row));
    const item = h('li', {}, label, units, h('span', { class: 'tools' }, up, down, remove), problem);
    const row = { item, label, units, up, down, remove, problem };
    label.value = size;
    units.value = stock;
    return row;

    function paste(event) {
      const pasted = parseSizes(event.clipboardData.getData('text'));
      if (pasted.length === 0) return;
      event.preventDefault();
      const place = rows.indexOf(row);
      const replaced = label.value.trim() === '' && units.value.trim() === '' ? 1 : 0;
      rows.splice(place + 1 - replaced, replaced, ...pasted.map(createRow));
      draw();
      rows[Math.min(place + pasted.length - replaced, rows.length - 1)].units.focus();
      announce(`${pasted.length} sizes pasted`);
    }
  }

  function add(values, place) {
    const row = createRow(values);
    rows.splice(place ?? rows.length, 0, row);
    draw();
    return row;
  }

  function move(row, by) {
    const from = rows.indexOf(row);
    const to = from + by;
    if (to < 0 || to >= rows.length) return;
    rows.splice(from, 1);
    rows.splice(to, 0, row);
    draw();
    (by < 0 ? row.up : row.down).focus();
    announce(`${row.label.value || 'Size'} is number ${to + 1} of ${rows.length}`);
  }

  function removeRow(row) {
    const place = rows.indexOf(row);
    rows = rows.filter((other) => other !== row);
    draw();
    (rows[Math.min(place, rows.length - 1)]?.remove ?? addButton).focus();
  }

  function change() {
    draw();
    onChange();
  }

  function draw() {
    // Moved, not made anew: an input that is typed into keeps its cursor.
    rows.forEach(({ item }, n) => {
      if (list.children[n] !== item) list.insertBefore(item, list.children[n] ?? null);
    });
    while (list.children.length > rows.length) list.lastChild.remove();
    rows.forEach((row, n) => {
      const name = row.label.value.trim() || `size ${n + 1}`;
      row.label.setAttribute('aria-label', `Label of size ${n + 1}`);
      row.units.setAttribute('aria-label', `Units of ${name}`);
      row.up.setAttribute('aria-label', `Move ${name} up`);
      row.down.setAttribute('aria-label', `Move ${name} down`);
      row.remove.setAttribute('aria-label', `Remove ${name}`);
      setAttribute(row.up, 'aria-disabled', n === 0 ? 'true' : null);
      setAttribute(row.down, 'aria-disabled', n === rows.length - 1 ? 'true' : null);
    });
    const units = rows.reduce((total, row) => total + (Number(row.units.value) || 0), 0);
    setText(sum, rows.length ? `${count(rows.length)} sizes, ${count(units)} units` : 'No sizes yet');
  }

  return {
    element,
    get value() {
      return rows.map(({ label, units }) => ({ size: label.value, stock: units.value }));
    },
    /** @param {{size: string, stock: string}[]} sizes */
    set value(sizes) {
      rows = sizes.map(createRow);
      draw();
    },
    /** @param {Record<string, string>} problems by the API's field names @returns {HTMLElement|null} the first wrong input */
    setErrors(problems) {
      setText(error, problems.sizes ?? '');
      let first = problems.sizes ? addButton : null;
      [...rows].reverse().forEach((row, n) => {
        const place = rows.length - 1 - n;
        const [size, stock] = [problems[`sizes.${place}.size`], problems[`sizes.${place}.stock`]];
        setAttribute(row.label, 'aria-invalid', size ? 'true' : null);
        setAttribute(row.units, 'aria-invalid', stock ? 'true' : null);
        setText(row.problem, [size, stock].filter(Boolean).join(' '));
        if (size || stock) first = size ? row.label : row.units;
      });
      return first;
    },
  };
}
