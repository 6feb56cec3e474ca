/** The newest buyers of a drop. */
import { h, move, setText } from './dom.js';
import { ago } from './words.js';

/** @param {number} dropId */
export function createFeed(dropId) {
  const title = h('p', { class: 'latest-title', id: `feed-${dropId}` }, 'Just bought');
  const list = h('ol', { class: 'feed', 'data-testid': 'feed', 'aria-labelledby': title.id });
  let newest = null;

  function fit(length) {
    while (list.children.length > length) list.lastChild.remove();
    while (list.children.length < length) list.append(h('li', {}, h('bdi', {}), h('span', {})));
  }

  return {
    element: h('div', { class: 'latest' }, title, list),
    /** @param {{username: string, timestamp: string}[]} purchases @param {string} nobody @param {number} now ms */
    show(purchases, nobody, now) {
      const lines = purchases.map(({ username, timestamp }) => [username, ago(now - Date.parse(timestamp))]);
      if (lines.length === 0) lines.push(['', nobody]);
      fit(lines.length);
      lines.forEach(([name, time], i) => {
        const [who, when] = list.children[i].children;
        setText(who, name);
        setText(when, time);
      });
      const first = purchases[0]?.timestamp ?? '';
      if (newest !== null && first > newest) move(list.firstChild, [{ opacity: 0, translate: '0 -0.5rem' }, {}]);
      newest = first;
    },
  };
}
