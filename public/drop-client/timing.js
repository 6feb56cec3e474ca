/** How often and how soon, in milliseconds. `connect({ timing })` overrides single ones. */
export const TIMING = {
  /** Between polls while there is no channel. */
  pollMs: 1500,
  /** The same after a minute without any reply, or in a page that nobody looks at. */
  slowPollMs: 10000,
  /** A snapshot while live, for events that a connection lost without breaking. */
  safetyMs: 30000,
  /** A kept reply of a CDN may be this old: look once more after it. */
  settleMs: 1500,
  /** Until /api/realtime is asked again after it said that there is no channel, or the channel sent us away. */
  realtimeMs: 30000,
  /** Viewers are spread over this time when an event makes all of them ask. */
  spreadMs: 300,
};
