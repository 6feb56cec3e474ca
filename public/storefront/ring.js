/** The ring that runs down while a unit is held. */
import { h, s, setAttribute, setText } from './dom.js';
import { clockTime } from './words.js';

const URGENT_MS = 10_000;

export function createRing() {
  const arc = s('circle', { class: 'ring-arc', cx: 32, cy: 32, r: 28, pathLength: 1 });
  const time = h('span', { class: 'ring-time', 'data-testid': 'countdown' });
  const element = h('div', { class: 'ring', role: 'timer' },
    s('svg', { viewBox: '0 0 64 64', 'aria-hidden': 'true', focusable: 'false' },
      s('circle', { class: 'ring-track', cx: 32, cy: 32, r: 28 }), arc),
    time);

  return {
    element,
    /** @param {number} left ms @param {number} whole ms */
    show(left, whole) {
      setText(time, clockTime(left));
      arc.style.strokeDashoffset = String(1 - Math.min(left / whole, 1));
      setAttribute(element, 'data-urgent', left <= URGENT_MS);
    },
  };
}
