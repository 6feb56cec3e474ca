/** What is left of a drop; before it opens, how long until then. */
import { h, move, setAttribute, setText } from './dom.js';
import { clockTime, count } from './words.js';

const LOW_SHARE = 0.15;

export function createSupply() {
  const number = h('b', {});
  const words = h('span', {});
  const stock = h('p', { class: 'stock', 'data-testid': 'stock' }, number, words);
  const fill = h('div', { class: 'level-fill' });
  const element = h('div', { class: 'supply' }, stock, h('div', { class: 'level', 'aria-hidden': 'true' }, fill));
  let shown = null;

  return {
    element,
    /** @param {import('../drop-client/state.js').Drop} drop @param {number} now server time in ms */
    show({ availableStock, totalStock, status, dropStartTime }, now) {
      const share = totalStock ? Math.min(availableStock / totalStock, 1) : 0;
      const opens = status === 'UPCOMING';
      setText(number, opens ? clockTime(Date.parse(dropStartTime) - now) : count(availableStock));
      setText(words, opens ? ` until ${count(totalStock)} go on sale` : ` of ${count(totalStock)} left`);
      setAttribute(stock, 'data-available', availableStock);
      setAttribute(element, 'data-low', share > 0 && share <= LOW_SHARE);
      fill.style.transform = `scaleX(${share})`;
      if (shown !== null && shown !== availableStock && !opens) {
        // Down for a unit that goes, up for one that comes back.
        move(number, [{ opacity: 0.2, translate: `0 ${availableStock < shown ? '-' : ''}0.35em` }, {}]);
      }
      shown = availableStock;
    },
  };
}
