/**
 * The pub/sub side: one pusher-js connection, the channels of the watched drops, and a quicker reconnect than
 * pusher-js has (after one failed reconnect it waits 15 s).
 */

const LONGEST_RESTART_MS = 30000;
/**
 * Close codes 4000-4099 of the protocol mean: do not come back with the same settings (4004: over quota).
 * @param {number|undefined} code
 */
const isRefusal = (code) => code !== undefined && code >= 4000 && code < 4100;

/**
 * @param {object} options
 * @param {any} options.Pusher the pusher-js class
 * @param {{key: string, options: object, channels: {stock: string, drop: string, all: string}}} options.config from
 *   /api/realtime
 * @param {(event: string, data: any) => void} options.onEvent
 * @param {() => void} options.onSubscribed a channel has (again) become current, or had nothing to replay
 * @param {() => void} options.onStateChange see isLive()
 * @param {() => void} options.onRefused the service sent us away; the channel is closed
 * @param {boolean} options.feed whether to subscribe to purchases too; changes of a drop come on `all` anyway
 * @param {{restartMs: number, activityMs: number, pongMs: number}} options.timing
 */
export function createChannel({ Pusher, config, onEvent, onSubscribed, onStateChange, onRefused, timing, feed }) {
  const pusher = new Pusher(config.key, {
    // The fallback transports load code from another origin, which a content security policy rightly forbids.
    enabledTransports: ['ws', 'wss'],
    activityTimeout: timing.activityMs,
    pongTimeout: timing.pongMs,
    ...config.options,
  });
  /** @type {Map<string, boolean>} name -> subscribed now */
  const channels = new Map();
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  let timer;
  /** @type {ReturnType<typeof setTimeout>|undefined} set while an answer to a ping is waited for */
  let pinged;
  let restarts = 0;
  let closed = false;

  /** @param {string} template @param {number} id */
  function nameOf(template, id) {
    return template.replace('{id}', String(id));
  }

  /** @param {string} name @param {string} event @param {any} data */
  function onChannelEvent(name, event, data) {
    if (!channels.has(name)) {
      // Left while it was on its way, on a connection that broke then: pusher-js asks for it again with the next one.
      if (event === 'pusher:subscription_succeeded') pusher.unsubscribe(name);
      return;
    }
    if (event === 'pusher:subscription_succeeded') {
      channels.set(name, true);
      onStateChange();
      onSubscribed();
    } else if (event === 'pusher:subscription_error') {
      channels.set(name, false);
      onStateChange();
    } else if (event === 'pusher:cache_miss') {
      onSubscribed();
    } else {
      onEvent(event, data);
    }
  }

  /** @param {string} name */
  function subscribe(name) {
    if (channels.has(name)) return;
    channels.set(name, false);
    const channel = pusher.subscribe(name);
    channel.unbind_global();
    channel.bind_global((/** @type {string} */ event, /** @type {any} */ data) => onChannelEvent(name, event, data));
  }

  /** @param {string} name */
  function unsubscribe(name) {
    channels.delete(name);
    pusher.unsubscribe(name);
  }

  /** Follow exactly these drops. @param {number[]} ids */
  function follow(ids) {
    const { stock, drop, all } = config.channels;
    const each = feed ? [stock, drop] : [stock];
    const wanted = new Set([all, ...ids.flatMap((id) => each.map((template) => nameOf(template, id)))]);
    for (const name of [...channels.keys()]) if (!wanted.has(name)) unsubscribe(name);
    wanted.forEach(subscribe);
    onStateChange();
  }

  function restart() {
    if (closed) return;
    restarts += 1;
    pusher.disconnect();
    pusher.connect();
    arm();
  }

  /** Whether the other end is still there: anything that it says will do. */
  function ping() {
    if (pinged !== undefined) return;
    pusher.connection.send_event('pusher:ping', {});
    pinged = setTimeout(() => {
      pinged = undefined;
      restart();
    }, timing.pongMs);
  }

  function stopPing() {
    clearTimeout(pinged);
    pinged = undefined;
  }

  /** The wait grows so that a slow network gets the time its handshake needs, and is spread so that not all come at once. */
  function arm() {
    clearTimeout(timer);
    const delay = Math.min(timing.restartMs * 1.5 ** restarts, LONGEST_RESTART_MS);
    timer = setTimeout(restart, delay * (0.75 + Math.random() / 2));
  }

  function onConnection(/** @type {{current: string}} */ { current }) {
    if (closed) return;
    stopPing();
    if (current === 'connected') {
      clearTimeout(timer);
      timer = undefined;
      restarts = 0;
      onEvent('connected', { message: 'Connected to live updates' });
    } else {
      for (const name of channels.keys()) channels.set(name, false);
      if (timer === undefined) arm();
    }
    onStateChange();
  }

  function onError(/** @type {any} */ error) {
    const code = error?.error?.data?.code ?? error?.data?.code;
    if (!isRefusal(code) || closed) return;
    close();
    onRefused();
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    stopPing();
    pusher.disconnect();
  }

  pusher.connection.bind('state_change', onConnection);
  pusher.connection.bind('error', onError);
  pusher.connection.bind('message', stopPing);
  arm();

  return {
    follow,
    close,
    /**
     * Try at once: the network, the page or the shop is back. A connection that seems to be there has to prove it, or is
     * given up at once.
     */
    hurry(givesUp = false) {
      if (closed) return;
      if (pusher.connection.state === 'connected' && !givesUp) return ping();
      restarts = 0;
      restart();
    },
    isConnected: () => !closed && pusher.connection.state === 'connected',
    /** Connected, and every channel subscribed, so that nothing is missed from here on. */
    isLive() {
      return !closed && pusher.connection.state === 'connected' && [...channels.values()].every(Boolean);
    },
  };
}
