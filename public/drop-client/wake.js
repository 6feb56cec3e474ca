/**
 * Tells when the page is back among the living: the network returned, somebody looks at it again, the device slept, or
 * its clock was set. What was connected before may be dead without knowing it, and what was shown may be old.
 */

const BEAT_MS = 1000;
/** A beat this late is no busy page: the device slept, or the browser froze the page. */
const SLEPT_MS = 2000;
/** Browsers let the beats of a hidden page come this far apart, and no further. */
const HIDDEN_BEAT_MS = 60_000;

/**
 * @param {(slept: boolean) => void} onWake `slept`: for so long that connections have hardly survived it
 * @returns {() => void} stops it
 */
export function watchForWaking(onWake) {
  const isHidden = () => Boolean(globalThis.document?.hidden);
  const wake = (slept = false) => {
    if (!isHidden()) onWake(slept);
  };
  const onSign = () => wake();
  // Date, because performance.now() stands still in some browsers while the device sleeps.
  let last = Date.now();
  const beat = setInterval(() => {
    const late = Date.now() - last - BEAT_MS;
    last = Date.now();
    // Browsers let a hidden page's timers wait: that is no sleep, and its showing is told anyway.
    if (late > SLEPT_MS) wake(true);
    // The clock was set back: the server's time has to be learned anew.
    else if (late < -SLEPT_MS) wake();
  }, BEAT_MS);
  // The first showing of a page is told too: only one out of the back-forward cache was away.
  const onPageShow = (/** @type {PageTransitionEvent} */ { persisted }) => {
    if (persisted) wake();
  };
  // The beat after it would be late by up to a minute: that is how long it was waited for, not a sleep.
  const onVisibility = () => {
    if (isHidden()) return;
    const late = Date.now() - last - HIDDEN_BEAT_MS;
    last = Date.now();
    wake(late > SLEPT_MS);
  };
  globalThis.addEventListener?.('online', onSign);
  globalThis.addEventListener?.('pageshow', onPageShow);
  globalThis.document?.addEventListener?.('visibilitychange', onVisibility);
  return () => {
    clearInterval(beat);
    globalThis.removeEventListener?.('online', onSign);
    globalThis.removeEventListener?.('pageshow', onPageShow);
    globalThis.document?.removeEventListener?.('visibilitychange', onVisibility);
  };
}
