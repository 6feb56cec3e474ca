/** The figures of one drop, as tiles. */
import { h, setText } from '../storefront/dom.js';
import { count, money } from '../storefront/words.js';

const percent = new Intl.NumberFormat(undefined, { style: 'percent', maximumFractionDigits: 1 });

/** "7 s", "1 min 12 s". @param {number} seconds */
function duration(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

const TILES = [
  ['available', 'On sale', 'mine'],
  ['active', 'Held now', 'alarm'],
  ['purchased', 'Sold', ''],
  ['revenue', 'Revenue', ''],
  ['conversion', 'Conversion', ''],
  ['median', 'Time to buy', ''],
  ['returned', 'Came back', ''],
  ['refusals', 'Refusals', ''],
];

export function createFigures() {
  const parts = new Map(TILES.map(([name, label, tone]) => {
    const value = h('dd', { class: 'figure', 'data-testid': `figure-${name}` }, '–');
    const note = h('dd', { class: 'hint' });
    return [name, { value, note, tile: h('div', { class: `tile ${tone}` }, h('dt', {}, label), value, note) }];
  }));
  const element = h('dl', { class: 'tiles' }, ...[...parts.values()].map(({ tile }) => tile));
  const show = (name, value, note = '') => {
    setText(parts.get(name).value, value);
    setText(parts.get(name).note, note);
  };
  // Nothing is written for a refusal, which is why a sold-out drop stays fast: so nothing can be counted here.
  show('refusals', '–', 'Not counted: a refusal writes nothing. The log has each.');

  return {
    element,
    /** @param {any} stats as GET /api/drops/{id}/stats */
    show({ totalStock, availableStock, holds, conversion, medianSecondsToPurchase: median, revenue, currency }) {
      const ended = holds.purchased + holds.expired + holds.released;
      show('available', count(availableStock), `of ${count(totalStock)}`);
      show('active', count(holds.active), holds.overdue ? `and ${count(holds.overdue)} overdue` : '');
      show('purchased', count(holds.purchased), totalStock ? `${percent.format(holds.purchased / totalStock)} of the stock` : '');
      show('revenue', money(revenue, currency));
      show('conversion', conversion === null ? '–' : percent.format(conversion), ended ? `of ${count(ended)} holds that ended` : 'no hold has ended yet');
      show('median', median === null ? '–' : duration(median), median === null ? '' : 'median from hold to purchase');
      show('returned', count(holds.expired + holds.released), `${count(holds.expired)} ran out, ${count(holds.released)} let go`);
    },
  };
}
