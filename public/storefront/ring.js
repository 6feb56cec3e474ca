/** The ring: how long a hold lasts, how it runs down, when the next one ends, or a sign where nothing runs. */
import { h, s, setAttribute, setText } from './dom.js';

const SIGNS = {
  done: 'M20 33l8 8 16-18',
  paused: 'M26 23v18M38 23v18',
  over: 'M24 24l16 16M40 24L24 40',
};

/** @param {Record<string, any>} [attributes] @param {string} [timeId] */
export function createRing(attributes = {}, timeId = null) {
  const arc = s('circle', { class: 'ring-arc', cx: 32, cy: 32, r: 28, pathLength: 1 });
  const sign = s('path', { class: 'ring-sign' });
  const time = h('span', { class: 'ring-time', 'data-testid': timeId });
  const element = h('div', { class: 'ring', ...attributes },
    s('svg', { viewBox: '0 0 64 64', 'aria-hidden': 'true', focusable: 'false' },
      s('circle', { class: 'ring-track', cx: 32, cy: 32, r: 28 }), arc, sign),
    time);

  return {
    element,
    /** @param {{share?: number, text?: string, sign?: 'done'|'paused'|'over', urgent?: boolean}} face share of the ring */
    show({ share = 0, text = '', sign: name = null, urgent = false }) {
      setText(time, text);
      setAttribute(time, 'data-long', text.length > 5);
      arc.style.strokeDashoffset = String(1 - Math.min(Math.max(share, 0), 1));
      setAttribute(sign, 'd', name && SIGNS[name]);
      setAttribute(element, 'data-sign', name);
      setAttribute(element, 'data-urgent', urgent);
    },
  };
}
