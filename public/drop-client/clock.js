/**
 * The server's time, learned from its replies. Each reply bounds the offset between the two clocks: the server looked
 * at its clock between our sending and our receiving. Bounds from several replies are intersected, so that even the
 * Date header, which has whole seconds only, soon gives a good estimate.
 */

const DATE_RESOLUTION_MS = 1000;
/** Some servers write the header only about once a second, so that it lags behind by as much again (uvicorn does). */
const DATE_LAG_MS = 2000;
/** What the bounds are from: each kind tells the time better than the one before. */
const [NOTHING, KEPT, DATE, EXACT] = [0, 1, 2, 3];

/** @param {() => number} [localNow] */
export function createClock(localNow = () => Date.now()) {
  let low = -Infinity;
  let high = Infinity;
  let kind = NOTHING;

  /** @param {number} newKind @param {number} newLow @param {number} newHigh */
  function learn(newKind, newLow, newHigh) {
    const slack = newKind < kind ? DATE_LAG_MS : 0;
    // They contradict each other: the local clock was set, or the device slept. The newer reply is right.
    const isContradicted = newLow > high + slack || newHigh < low - slack;
    if (newKind < kind && !isContradicted) return;
    // Whatever replies of another kind have said before, they said it less well.
    if (newKind !== kind || isContradicted) [low, high] = [-Infinity, Infinity];
    kind = newKind;
    low = Math.max(low, newLow);
    high = Math.min(high, newHigh);
  }

  return {
    localNow,
    /**
     * A time in ms with full resolution (serverTime), from a reply to what was sent and received at these local times.
     * @param {number} time @param {number} sentAt @param {number} receivedAt
     */
    learnExact(time, sentAt, receivedAt) {
      if (Number.isFinite(time)) learn(EXACT, time - receivedAt, time - sentAt);
    },
    /** The same for a time cut down to the second (Date header). @param {number} time @param {number} sentAt @param {number} receivedAt */
    learnDate(time, sentAt, receivedAt) {
      if (Number.isFinite(time)) learn(DATE, time - receivedAt, time + DATE_RESOLUTION_MS - sentAt);
    },
    /**
     * The same for a reply that a cache had kept. Some caches leave its Date as it was made, others write the time at which
     * they gave it: either way it is over when the reply comes, and was so for at most `keptMs` when the reply was asked for.
     * @param {number} time @param {number} sentAt @param {number} receivedAt @param {number} keptMs
     */
    learnKept(time, sentAt, receivedAt, keptMs) {
      if (Number.isFinite(time)) learn(KEPT, time - receivedAt, time + DATE_RESOLUTION_MS + keptMs - sentAt);
    },
    /** The server's time in ms; the local time until a reply has been seen. */
    now() {
      // Seconds wide, what a cache kept cannot correct a clock that fits it: most clocks are right.
      const isLocalAsGood = kind <= KEPT && low <= 0 && high >= 0;
      return localNow() + (isLocalAsGood ? 0 : (low + high) / 2);
    },
  };
}
