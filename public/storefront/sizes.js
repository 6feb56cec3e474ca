/** The grid in which a size is chosen: radio buttons, so that arrow keys and screen readers work by themselves. */
import { h, setText } from './dom.js';
import { count } from './words.js';

/** @param {number} dropId @param {() => void} onChoose */
export function createSizes(dropId, onChoose) {
  const grid = h('div', { class: 'sizes-grid' });
  const element = h('fieldset', { class: 'sizes', hidden: true }, h('legend', {}, 'Size'), grid);
  /** @type {Map<string, {input: HTMLInputElement, left: HTMLElement, cell: HTMLElement}>} */
  const cells = new Map();

  function add(size) {
    const input = h('input', { type: 'radio', name: `size-${dropId}`, value: size, change: onChoose });
    const left = h('span', { class: 'size-left' });
    const cell = h('label', { class: 'size', 'data-testid': `size-${size}` }, input,
      h('span', { class: 'size-label' }, size), left);
    cells.set(size, { input, left, cell });
    grid.append(cell);
  }

  return {
    element,
    /** @returns {string|null} */
    chosen: () => [...cells].find(([, { input }]) => input.checked)?.[0] ?? null,
    choose(size) {
      const cell = cells.get(size);
      if (cell) cell.input.checked = true;
    },
    focus: () => grid.querySelector('input:enabled')?.focus(),
    /** @param {{size: string, availableStock: number}[]} sizes @param {boolean} locked while a unit is held */
    show(sizes, locked) {
      element.hidden = sizes.length === 0;
      element.disabled = locked;
      const someLeft = sizes.some(({ availableStock }) => availableStock > 0);
      for (const { size, availableStock } of sizes) {
        if (!cells.has(size)) add(size);
        const { input, left, cell } = cells.get(size);
        const gone = availableStock === 0;
        cell.classList.toggle('gone', gone);
        // Who has chosen it keeps it, and so may wait for its units to come back. With all gone, any can be waited for.
        input.disabled = gone && someLeft && !input.checked;
        setText(left, gone ? 'none left' : `${count(availableStock)} left`);
      }
      if (sizes.length === 1) this.choose(sizes[0].size);
    },
  };
}
