/**
 * The server's time, learned from its replies. Each reply bounds the offset between the two clocks: the server looked
 * at its clock between our sending and our receiving. Bounds from several replies are intersected, so that even the
 * Date header, which has whole seconds only, soon gives a good estimate.
 */

const DATE_RESOLUTION_MS = 1000;
/** Some servers write the header only about once a second, so that it lags behind by as much again (uvicorn does). */
const DATE_LAG_MS = 2000;

/** @param {() => number} [localNow] */
export function createClock(localNow = () => Date.now()) {
  let low = -Infinity;
  let high = Infinity;
  let isExact = false;

  /** @param {number} newLow @param {number} newHigh */
  function learn(newLow, newHigh) {
    if (newLow > high || newHigh < low) {
      // They contradict each other: the local clock was set, or the device slept. The newer reply is right.
      [low, high] = [newLow, newHigh];
      return;
    }
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
      if (!Number.isFinite(time)) return;
      // Whatever Date headers have said before, they said it less well.
      if (!isExact) [low, high] = [-Infinity, Infinity];
      isExact = true;
      learn(time - receivedAt, time - sentAt);
    },
    /** The same for a time cut down to the second (Date header). @param {number} time @param {number} sentAt @param {number} receivedAt */
    learnDate(time, sentAt, receivedAt) {
      if (!Number.isFinite(time)) return;
      const [newLow, newHigh] = [time - receivedAt, time + DATE_RESOLUTION_MS - sentAt];
      if (isExact && newLow <= high + DATE_LAG_MS && newHigh >= low - DATE_LAG_MS) return;
      isExact = false;
      learn(newLow, newHigh);
    },
    /** The server's time in ms; the local time until a reply has been seen. */
    now() {
      return localNow() + (Number.isFinite(low) ? (low + high) / 2 : 0);
    },
  };
}
