/** The tab's title: what runs down, where something does. */
import { clockTime } from './words.js';

const SHOP = 'Holdfast';
/** A start further away than this is no reason to change the tab every second. */
const NEAR_MS = 3_600_000;

/**
 * @param {{left: number, name: string}|null} held the hold that ends first
 * @param {{name: string, status: string, dropStartTime: string}|null} focus the one drop that the page shows
 * @param {number} now server time in ms
 */
export function titleOf(held, focus, now) {
  if (held) return `${clockTime(held.left)} to buy · ${held.name}`;
  if (!focus) return `${SHOP} · Limited drops`;
  const left = Date.parse(focus.dropStartTime) - now;
  if (focus.status === 'UPCOMING' && left < NEAR_MS) return `${clockTime(left)} to open · ${focus.name}`;
  return `${focus.name} · ${SHOP}`;
}
