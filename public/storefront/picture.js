/** A drop's picture: flags at once, and its own image over them when that has come. A missing one changes nothing. */
import { h, setAttribute } from './dom.js';
import { flags } from './flags.js';

/** @param {string} href */
export function createPicture(href) {
  // The name beside it is the same link: this one is for fingers and mice only.
  const element = h('a', { class: 'media', href, tabindex: '-1', 'aria-hidden': 'true' });
  let drawn = null;

  function load(url, isFocus) {
    const image = h('img', { alt: '', decoding: 'async', loading: isFocus ? 'eager' : 'lazy', src: url });
    image.addEventListener('load', () => setAttribute(image, 'data-loaded', ''));
    image.addEventListener('error', () => image.remove());
    element.append(image);
  }

  return {
    element,
    /** @param {{name: string, imageUrl: string|null}} drop @param {boolean} isFocus */
    show({ name, imageUrl }, isFocus) {
      const key = `${name}\n${imageUrl ?? ''}`;
      if (key === drawn) return;
      drawn = key;
      element.replaceChildren(flags(name));
      if (imageUrl) load(imageUrl, isFocus);
    },
  };
}
