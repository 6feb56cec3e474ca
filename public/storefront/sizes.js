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
    focus: () => grid.querySelector('input')?.focus(),
    /** @param {{size: string, availableStock: number}[]} sizes @param {boolean} locked while a unit is held */
    show(sizes, locked) {
      element.hidden = sizes.length === 0;
      element.disabled = locked;
      for (const { size, availableStock } of sizes) {
        if (!cells.has(size)) add(size);
        const { left, cell } = cells.get(size);
        // A size that is gone can still be chosen: its units may come back while the shopper waits.
        cell.classList.toggle('gone', availableStock === 0);
        setText(left, availableStock === 0 ? 'none left' : `${count(availableStock)} left`);
      }
      if (sizes.length === 1) this.choose(sizes[0].size);
    },
  };
}
