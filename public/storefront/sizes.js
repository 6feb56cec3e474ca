/** The grid in which a size is chosen: radio buttons, so that arrow keys and screen readers work by themselves. */
import { button, h, setAttribute, setText } from './dom.js';
import { count } from './words.js';

const LOW = 3;
/** In the list a drop with more sizes shows these first; three rows of a phone. */
const FOLDED = 12;

/** @param {number} dropId @param {(size: string) => void} onChoose */
export function createSizes(dropId, onChoose) {
  const grid = h('div', { class: 'sizes-grid' });
  const unfold = button('all-sizes', 'link', '');
  const element = h('fieldset', { class: 'sizes', 'data-testid': 'sizes', hidden: true }, h('legend', {}, 'Size'), grid, unfold);
  /** @type {Map<string, {input: HTMLInputElement, left: HTMLElement, cell: HTMLElement}>} */
  const cells = new Map();
  let isUnfolded = false;
  let whole = false;

  unfold.addEventListener('click', () => {
    const first = grid.children[FOLDED].querySelector('input');
    isUnfolded = true;
    fold();
    first.focus();
  });

  function add(size) {
    const input = h('input', { type: 'radio', name: `size-${dropId}`, value: size, change: () => onChoose(size) });
    const left = h('span', { class: 'size-left' });
    const cell = h('label', { class: 'size', 'data-testid': `size-${size}` }, input,
      h('span', { class: 'size-label', dir: 'auto' }, size), left);
    cells.set(size, { input, left, cell });
    grid.append(cell);
  }

  function fold() {
    const all = [...cells.values()];
    const open = whole || isUnfolded || all.length <= FOLDED || all.slice(FOLDED).some(({ input }) => input.checked);
    all.forEach(({ cell }, i) => setAttribute(cell, 'hidden', !open && i >= FOLDED && ''));
    unfold.hidden = open;
    setText(unfold, `All ${count(all.length)} sizes`);
  }

  function choose(size) {
    const cell = cells.get(size);
    if (cell) cell.input.checked = true;
  }

  return {
    element,
    choose,
    /** @returns {string|null} */
    chosen: () => [...cells].find(([, { input }]) => input.checked)?.[0] ?? null,
    focus: () => grid.querySelector('input:enabled')?.focus(),
    /**
     * @param {{size: string, totalStock: number, availableStock: number}[]} sizes
     * @param {{locked: boolean, whole: boolean}} how locked while a unit is held; whole: all of them at once
     */
    show(sizes, how) {
      element.hidden = sizes.length === 0;
      element.disabled = how.locked;
      whole = how.whole;
      const someLeft = sizes.some(({ availableStock }) => availableStock > 0);
      for (const { size, totalStock, availableStock } of sizes) {
        if (!cells.has(size)) add(size);
        const { input, left, cell } = cells.get(size);
        const gone = availableStock === 0;
        cell.classList.toggle('gone', gone);
        cell.classList.toggle('low', !gone && availableStock <= LOW);
        cell.style.setProperty('--left', totalStock ? Math.min(availableStock / totalStock, 1) : 0);
        // Who has chosen it keeps it, and so may wait for its units to come back. With all gone, any can be waited for.
        input.disabled = gone && someLeft && !input.checked;
        setText(left, gone ? 'none left' : `${count(availableStock)} left`);
      }
      if (sizes.length === 1) choose(sizes[0].size);
      fold();
    },
  };
}
