/** How often and how soon, in milliseconds. `connect({ timing })` overrides single ones. */
export const TIMING = {
  /** Between polls while there is no channel. */
  pollMs: 1500,
  /** The same after a minute without any reply, or in a page that nobody looks at. */
  slowPollMs: 10000,
  /** A snapshot while live, for events that a connection lost without breaking. */
  safetyMs: 30000,
  /** One more, this long after the last event: the event that was lost may have been the last. Infinity turns it off. */
  quietMs: 1000,
  /** A kept reply of a CDN may be this old: look once more after it. */
  settleMs: 1500,
  /** After a reconnect, events that failed meanwhile come late, when their lease (5 s) is over: ask every settleMs. */
  lateEventsMs: 7000,
  /** Until /api/realtime is asked again after it said that there is no channel, or the channel sent us away. */
  realtimeMs: 30000,
  /** Until a connection that does not come about is tried anew (pusher-js waits 15 s); half as long again each time. */
  restartMs: 2000,
  /** How long a connection may be silent before it is asked whether it is still there, and how long its answer may take. */
  activityMs: 10000,
  pongMs: 2000,
  /** Viewers are spread over this time when an event makes all of them ask. */
  spreadMs: 300,
  /** What nobody watches any more is remembered this long at least. */
  keepMs: 60000,
  /** Between a poll that failed and the next; doubled each time, up to pollMs. */
  retryMs: 300,
};

/** Failed polls, about a minute of them, after which the client asks less often. */
export const MANY_FAILURES = 40;
export const CATCH_UP_ATTEMPTS = 8;

/** Somewhat less or more, so that not all viewers ask at once. @param {number} delay */
export const spread = (delay) => delay * (0.8 + Math.random() * 0.4);
