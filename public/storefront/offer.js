/** What the button says and whether it works, for a drop as it is now: plain data, so that it can be tested without a page. */
import { clockTime, count, when } from './words.js';

/** For so long before it opens the button fills up. */
const ARMING_MS = 60_000;
/** After this a shopper wants to hear that the page has not gone to sleep. */
const LONG_ASKING_MS = 2000;

/**
 * @typedef {object} Offer
 * @property {string} label of the button
 * @property {boolean} armed
 * @property {string} title
 * @property {string} hint
 * @property {{share?: number, text?: string, sign?: 'done'|'paused'|'over'}} ring
 * @property {number} [arming] 0 to 1 while the button fills up
 * @property {boolean} [returning] a hold has just ended that nobody has swept up
 */

const lasts = (drop) => clockTime(drop.holdSeconds * 1000);

/** @param {import('../drop-client/state.js').Drop} drop */
function limit(drop) {
  return drop.maxPerUser ? ` ${count(drop.maxPerUser)} per person.` : '';
}

function live(drop, now, { lacksSize }) {
  return {
    label: 'Reserve', armed: true, ring: { share: 1, text: lasts(drop) },
    title: lacksSize ? 'Choose a size' : 'One tap holds it',
    hint: `${lacksSize ? 'One tap then holds it' : 'It is yours'} for ${lasts(drop)} while you decide.${limit(drop)}`,
  };
}

function upcoming(drop, now) {
  const left = Math.max(Date.parse(drop.dropStartTime) - now, 0);
  return {
    label: `Opens in ${clockTime(left)}`, armed: false, ring: { share: 1, text: lasts(drop) },
    title: `Opens ${when(drop.dropStartTime)}`,
    hint: `The button arms itself. One tap then holds it for ${lasts(drop)}.${limit(drop)}`,
    arming: Math.max(0, 1 - left / ARMING_MS),
  };
}

function soldOut(drop, now, { isUnheard }) {
  const offer = gone(drop, now);
  if (!isUnheard || offer.armed) return offer;
  // The last unit may have gone to this very shopper: asking once more then gives them their hold.
  return { ...offer, label: 'Try again', armed: true, title: 'No answer yet', hint: 'One may be held for you: try again to see.' };
}

function gone(drop, now) {
  if (!drop.nextExpiryAt) {
    return {
      label: 'Sold out', armed: false, ring: { sign: 'over' },
      title: 'All gone', hint: 'Every unit has been bought. If the shop adds more, the button arms itself.',
    };
  }
  const left = Date.parse(drop.nextExpiryAt) - now;
  if (left > 0) {
    return {
      label: 'Sold out', armed: false, ring: { share: left / (drop.holdSeconds * 1000), text: clockTime(left) },
      title: 'All held or sold', hint: `Units may return: next hold ends in ${clockTime(left)}`,
    };
  }
  // The hold is over though nobody has swept it up yet: who asks first gets its unit.
  return {
    label: 'Try for a returned one', armed: true, returning: true, ring: { share: 0, text: '0:00' },
    title: 'A hold has just ended', hint: 'Its unit goes to whoever taps first.',
  };
}

const OFFERS = {
  LIVE: live,
  UPCOMING: upcoming,
  SOLD_OUT: soldOut,
  PAUSED: () => ({
    label: 'Paused', armed: false, ring: { sign: 'paused' },
    title: 'The shop has paused this drop', hint: 'Stay here: it opens again by itself.',
  }),
  ENDED: (drop) => ({
    label: 'Ended', armed: false, ring: { sign: 'over' },
    title: 'This drop has ended', hint: drop.dropEndTime ? `It closed ${when(drop.dropEndTime)}.` : 'Look at the other drops.',
  }),
  CANCELLED: () => ({
    label: 'Cancelled', armed: false, ring: { sign: 'over' },
    title: 'The shop has cancelled this drop', hint: 'Nothing of it is sold any more. Look at the other drops.',
  }),
};

/**
 * @param {import('../drop-client/state.js').Drop} drop @param {number} now server time in ms
 * @param {{askingMs?: number|null, lacksSize?: boolean, isUnheard?: boolean}} [how] askingMs: for how long a tap has waited for
 *   its answer; isUnheard: the last one got none
 * @returns {Offer}
 */
export function offerOf(drop, now, { askingMs = null, lacksSize = false, isUnheard = false } = {}) {
  if (askingMs === null) return OFFERS[drop.status](drop, now, { lacksSize, isUnheard });
  return {
    label: 'Reserving', armed: false, ring: { share: 1, text: lasts(drop) }, title: 'Asking for one',
    hint: askingMs < LONG_ASKING_MS ? 'This takes a moment.' : 'The shop is very busy. Still asking for you: no need to tap again.',
  };
}
