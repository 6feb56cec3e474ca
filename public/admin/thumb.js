/** A small picture of a drop, or its first letter. */
import { h } from '../storefront/dom.js';

/** @param {string} [className] */
export const createThumb = (className = '') => h('span', { class: `thumb ${className}`, 'aria-hidden': 'true' });

/** @param {HTMLElement} thumb @param {{name: string, imageUrl: string|null}} drop */
export function showThumb(thumb, { name, imageUrl }) {
  const shown = imageUrl ?? name;
  if (thumb.dataset.of === shown) return;
  thumb.dataset.of = shown;
  const letter = () => thumb.replaceChildren([...name][0].toUpperCase());
  if (imageUrl) thumb.replaceChildren(h('img', { src: imageUrl, alt: '', loading: 'lazy', error: letter }));
  else letter();
}
