/** Elements are made here and nowhere from strings, so that no data can become markup. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {string} tag @param {Record<string, any>} [attributes] functions become listeners; null and false are left out
 * @param {...(Node|string)} children
 */
export function h(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const button = (name, className, text) =>
  h('button', { type: 'button', class: className, 'data-testid': name }, text);

/** Sets a text only if it differs: screen readers speak, and pages repaint, for nothing otherwise. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

const stillness = matchMedia('(prefers-reduced-motion: reduce)');

/** A short movement, for those who have not asked for stillness. */
export function move(element, frames, duration = 420) {
  if (!stillness.matches) element.animate(frames, { duration, easing: 'cubic-bezier(0.2, 0.7, 0.2, 1)' });
}

/** By a clock that nobody sets back. */
let lastSpoken = -Infinity;
const waiting = [];
const PAUSE_MS = 1500;

/** Say something to screen readers, one thing at a time. @param {string} text */
export function announce(text) {
  waiting.push(text);
  if (waiting.length === 1) setTimeout(speak, Math.max(0, lastSpoken + PAUSE_MS - performance.now()));
}

function speak() {
  document.getElementById('announcer').textContent = waiting.shift();
  lastSpoken = performance.now();
  if (waiting.length) setTimeout(speak, PAUSE_MS);
}
