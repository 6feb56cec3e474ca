/** The stock of each size, with a way to restock it. */
import { h, setText } from '../storefront/dom.js';
import { count } from '../storefront/words.js';

/** @param {(size: string) => void} onRestock */
export function createSizeGrid(onRestock) {
  const list = h('ul', { class: 'size-grid' });
  const element = h('section', { class: 'card', 'aria-labelledby': 'sizes-title', hidden: true },
    h('h2', { id: 'sizes-title' }, 'Sizes'), list);

  function createCell(size) {
    const units = h('span', { class: 'number' });
    const free = h('span', { class: 'part free' });
    const taken = h('span', { class: 'part taken' });
    const restock = h('button', { class: 'tool', type: 'button', 'aria-label': `Restock ${size}`, click: () => onRestock(size) }, '±');
    const cell = h('li', {}, h('b', {}, size), units, restock, h('span', { class: 'parts', 'aria-hidden': 'true' }, taken, free));
    return Object.assign(cell, {
      show({ totalStock, availableStock }, isOver) {
        setText(units, `${count(availableStock)} of ${count(totalStock)}`);
        free.style.flexGrow = String(availableStock);
        taken.style.flexGrow = String(totalStock - availableStock);
        free.hidden = availableStock === 0;
        taken.hidden = totalStock === availableStock;
        restock.hidden = isOver;
      },
    });
  }

  return {
    element,
    /** @param {{size: string, totalStock: number, availableStock: number}[]} sizes @param {boolean} isOver nothing is sold any more */
    show(sizes, isOver) {
      element.hidden = sizes.length === 0;
      if (list.children.length !== sizes.length) list.replaceChildren(...sizes.map(({ size }) => createCell(size)));
      sizes.forEach((size, n) => list.children[n].show(size, isOver));
    },
  };
}
