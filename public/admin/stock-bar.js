/** Where the units of a drop are, as a bar of three parts and in words. */
import { h, setText } from '../storefront/dom.js';
import { count } from '../storefront/words.js';

export function createStockBar() {
  const parts = ['sold', 'held', 'free'].map((name) => h('span', { class: `part ${name}` }));
  const words = h('span', { class: 'stock-words' });
  const element = h('div', { class: 'stock-bar' }, h('span', { class: 'parts', 'aria-hidden': 'true' }, ...parts), words);

  return {
    element,
    /** @param {{total: number, available: number, sold: number}} units */
    show({ total, available, sold }) {
      const held = Math.max(0, total - available - sold);
      [sold, held, available].forEach((units, n) => {
        parts[n].style.flexGrow = String(units);
        parts[n].hidden = units === 0;
      });
      setText(words, `${count(available)} of ${count(total)} on sale${held ? `, ${count(held)} held` : ''}, ${count(sold)} sold`);
    },
  };
}
