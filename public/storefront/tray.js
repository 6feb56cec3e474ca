/** What is held while the page shows something else: in the tab's title, and in a line over the page. */
import { setAttribute, setText } from './dom.js';
import { titleOf } from './title.js';
import { clockTime } from './words.js';

const URGENT_MS = 10_000;
/** @param {(id: number) => string} hrefOf */
export function createTray(hrefOf) {
  const element = document.getElementById('tray');
  const [time, text] = element.children;
  const inView = new WeakSet();
  const observer = new IntersectionObserver((entries) => {
    for (const { target, intersectionRatio } of entries) {
      if (intersectionRatio > 0.5) inView.add(target);
      else inView.delete(target);
    }
  }, { threshold: [0, 0.5, 1] });

  return {
    watch: (card) => observer.observe(card.panel),
    /** @param {any[]} cards @param {any} focus a card, or null @param {number} now server time in ms */
    show(cards, focus, now) {
      const holds = cards.filter(({ hold }) => hold.state.phase === 'held' || hold.state.phase === 'buying');
      const held = holds
        .map((card) => ({ card, left: card.hold.state.hold.expiresAt - now, name: card.drop.name }))
        .sort((a, b) => a.left - b.left)[0] ?? null;
      document.title = titleOf(held, focus?.drop ?? null, now);
      element.hidden = !held || inView.has(held.card.panel);
      if (element.hidden) return;
      setText(time, clockTime(held.left));
      setText(text, held.name);
      setAttribute(element, 'href', hrefOf(held.card.drop.id));
      setAttribute(element, 'data-urgent', held.left <= URGENT_MS);
    },
  };
}
