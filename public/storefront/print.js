/** A picture for a drop that has none: coils of rope, laid out by its name, so that each drop keeps its own. */
import { s } from './dom.js';

/** A small seeded generator (mulberry32). @param {string} text */
function randomFrom(text) {
  let state = [...text].reduce((hash, char) => Math.imul(hash ^ char.codePointAt(0), 16777619), 2166136261);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const HUES = [164, 24, 205, 12, 36, 262, 338, 188];
const COILS = 3;
const TURNS = 6;

/** @param {string} name */
export function print(name) {
  const random = randomFrom(name);
  const hue = HUES[Math.floor(random() * HUES.length)];
  const picture = s('svg', {
    class: 'print', viewBox: '0 0 400 300', preserveAspectRatio: 'xMidYMid slice', 'aria-hidden': 'true', focusable: 'false',
  }, s('rect', { class: 'ground', width: 400, height: 300 }));
  for (let coil = 0; coil < COILS; coil += 1) {
    const x = 40 + random() * 320;
    const y = 30 + random() * 240;
    const step = 17 + random() * 9;
    for (let turn = TURNS; turn > 0; turn -= 1) {
      picture.append(s('circle', { class: `rope rope-${(coil + turn) % 3}`, cx: x, cy: y, r: turn * step }));
    }
  }
  picture.style.setProperty('--hue', hue);
  return picture;
}
