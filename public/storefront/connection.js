/** How the page is kept up to date, said quietly. */
import { setAttribute, setText } from './dom.js';

/** A blink of the connection is not worth a shopper's glance. */
const CALM_MS = 1500;
const WORDS = {
  live: ['Live', 'Stock changes reach this page as they happen'],
  polling: ['Updating', 'Live updates are not available now; this page asks for the stock every other second'],
  offline: ['Offline', 'The shop cannot be reached; trying again'],
};

/** @param {any} client @param {(state: string) => void} onDrawn */
export function showConnection(client, onDrawn) {
  const element = document.querySelector('[data-testid="connection"]');
  let calm = null;

  function draw(state) {
    document.body.dataset.connection = state;
    setAttribute(element, 'data-state', state);
    // All is well: a dot says so, and "Live" is said of drops only.
    element.firstElementChild.className = state === 'live' ? 'unseen' : '';
    setText(element.firstElementChild, WORDS[state][0]);
    element.title = WORDS[state][1];
    onDrawn(state);
  }

  client.onState((state) => {
    clearTimeout(calm);
    if (document.body.dataset.connection && state !== 'live') calm = setTimeout(draw, CALM_MS, state);
    else draw(state);
  });
}
