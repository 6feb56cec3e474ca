/** The link of the drop on the page, for friends: the phone's own share sheet, or the clipboard. */
import { announce, setText } from './dom.js';

const SAID_MS = 2500;

/** @param {() => {id: number, name: string}|null} current */
export function createShare(current) {
  const element = document.getElementById('share');
  let timer = null;

  function say(text) {
    setText(element, text);
    announce(text);
    clearTimeout(timer);
    timer = setTimeout(setText, SAID_MS, element, 'Share');
  }

  element.addEventListener('click', async () => {
    const drop = current();
    if (!drop) return;
    // Without `?user=`: a friend is somebody else.
    const url = `${location.origin}${location.pathname}?drop=${drop.id}`;
    try {
      if (navigator.share) await navigator.share({ title: drop.name, url });
      else {
        await navigator.clipboard.writeText(url);
        say('Link copied');
      }
    } catch (error) {
      if (error.name !== 'AbortError') say('Copy the address above');
    }
  });
}
