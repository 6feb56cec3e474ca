/**
 * A picture for a drop that has none, or while its own is on the way: its initials in the international code of signals, one
 * flag a letter, so that each drop keeps its own.
 *
 * A flag is its ground and then shapes over it, on a square of 12: `r` a rectangle (x y width height), `p` a polygon,
 * `c` a circle, `l` a line of width 2.4. Colors: r red, b blue, y yellow, k black, w white.
 */
import { h, s } from './dom.js';

const FLAGS = {
  A: ['w', 'rb 6 0 6 12'],
  B: ['r'],
  C: ['b', 'rw 0 2.4 12 7.2', 'rr 0 4.8 12 2.4'],
  D: ['y', 'rb 0 3 12 6'],
  E: ['b', 'rr 0 6 12 6'],
  F: ['w', 'pr 6,0 12,6 6,12 0,6'],
  G: ['y', 'rb 2 0 2 12', 'rb 6 0 2 12', 'rb 10 0 2 12'],
  H: ['w', 'rr 6 0 6 12'],
  I: ['y', 'ck 6 6 3'],
  J: ['b', 'rw 0 4 12 4'],
  K: ['y', 'rb 6 0 6 12'],
  L: ['y', 'rk 6 0 6 6', 'rk 0 6 6 6'],
  M: ['b', 'lw 0 0 12 12', 'lw 0 12 12 0'],
  N: ['w', 'rb 0 0 3 3', 'rb 6 0 3 3', 'rb 3 3 3 3', 'rb 9 3 3 3', 'rb 0 6 3 3', 'rb 6 6 3 3', 'rb 3 9 3 3', 'rb 9 9 3 3'],
  O: ['y', 'pr 0,0 12,0 12,12'],
  P: ['b', 'rw 4 4 4 4'],
  Q: ['y'],
  R: ['r', 'ry 4.8 0 2.4 12', 'ry 0 4.8 12 2.4'],
  S: ['w', 'rb 4 4 4 4'],
  T: ['w', 'rr 0 0 4 12', 'rb 8 0 4 12'],
  U: ['w', 'rr 0 0 6 6', 'rr 6 6 6 6'],
  V: ['w', 'lr 0 0 12 12', 'lr 0 12 12 0'],
  W: ['b', 'rw 2.4 2.4 7.2 7.2', 'rr 4.8 4.8 2.4 2.4'],
  X: ['w', 'rb 4.8 0 2.4 12', 'rb 0 4.8 12 2.4'],
  Y: ['y', 'pr 0,3 3,0 6,0 0,6', 'pr 0,9 9,0 12,0 0,12', 'pr 3,12 12,3 12,6 6,12', 'pr 9,12 12,9 12,12'],
  Z: ['y', 'pb 12,0 12,12 6,6', 'pr 0,12 12,12 6,6', 'pk 0,0 0,12 6,6'],
};
const LETTERS = Object.keys(FLAGS);
const MOST = 4;

function shape(code) {
  const [kind, color] = code;
  const numbers = code.slice(3).split(' ');
  const [x, y, w, z] = numbers;
  if (kind === 'r') return s('rect', { class: `flag-${color}`, x, y, width: w, height: z });
  if (kind === 'c') return s('circle', { class: `flag-${color}`, cx: x, cy: y, r: w });
  if (kind === 'l') return s('line', { class: `flag-line flag-${color}`, x1: x, y1: y, x2: w, y2: z });
  return s('polygon', { class: `flag-${color}`, points: numbers.join(' ') });
}

function flag(letter) {
  const [ground, ...shapes] = FLAGS[letter];
  // Stretched to the place it has, as flags of both shapes are flown; a disc stays round.
  const isRound = shapes.some((code) => code.startsWith('c'));
  return s('svg', { viewBox: '0 0 12 12', preserveAspectRatio: isRound ? 'xMidYMid slice' : 'none', 'aria-hidden': 'true', focusable: 'false' },
    s('rect', { class: `flag-${ground}`, width: 12, height: 12 }), ...shapes.map(shape));
}

/** The initials of its words, then further letters; other scripts fly letters by their code. @param {string} name */
export function lettersOf(name) {
  const plain = name.normalize('NFD').toUpperCase();
  const initials = [...plain.matchAll(/[A-Z]+/g)].map(([word]) => word[0]);
  const rest = [...(plain.match(/[A-Z]/g) ?? [])].filter((letter) => !initials.includes(letter));
  const coded = [...plain].map((char) => LETTERS[char.codePointAt(0) % LETTERS.length]);
  return [...new Set([...initials, ...rest, ...coded, 'H', 'O', 'L', 'D'])].slice(0, MOST);
}

/** @param {string} name */
export const flags = (name) => h('div', { class: 'flags', 'aria-hidden': 'true' }, ...lettersOf(name).map(flag));
