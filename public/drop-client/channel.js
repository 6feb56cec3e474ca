/**
 * The pub/sub side: one pusher-js connection, the channels of the watched drops, and a quicker reconnect than
 * pusher-js has (after one failed reconnect it waits 15 s).
 */

const RESTART_AFTER_MS = 2000;
const LONGEST_RESTART_MS = 30000;
/** Close codes 4000-4099 of the protocol mean: do not come back with the same settings (4004: over quota). */
const isRefusal = (code) => code >= 4000 && code < 4100;

/**
 * @param {object} options
 * @param {any} options.Pusher the pusher-js class
 * @param {{key: string, options: object, channels: {stock: string, drop: string, all: string}}} options.config from /api/realtime
 * @param {(event: string, data: any) => void} options.onEvent
 * @param {() => void} options.onSubscribed a channel has (again) become current, or had nothing to replay
 * @param {() => void} options.onStateChange see isLive()
 * @param {() => void} options.onRefused the service sent us away; the channel is closed
 * @param {number} [options.restartAfter] ms
 */
export function createChannel({
  Pusher, config, onEvent, onSubscribed, onStateChange, onRefused, restartAfter = RESTART_AFTER_MS,
}) {
  // The fallback transports load code from another origin, which a content security policy rightly forbids.
  const pusher = new Pusher(config.key, { enabledTransports: ['ws', 'wss'], ...config.options });
  /** @type {Map<string, boolean>} name -> subscribed now */
  const channels = new Map();
  let timer = null;
  let restarts = 0;
  let closed = false;

  function nameOf(template, id) {
    return template.replace('{id}', String(id));
  }

  function onChannelEvent(name, event, data) {
    if (!channels.has(name)) return;
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

  function subscribe(name) {
    if (channels.has(name)) return;
    channels.set(name, false);
    const channel = pusher.subscribe(name);
    channel.unbind_global();
    channel.bind_global((event, data) => onChannelEvent(name, event, data));
  }

  function unsubscribe(name) {
    channels.delete(name);
    pusher.unsubscribe(name);
  }

  /** Follow exactly these drops. @param {number[]} ids */
  function follow(ids) {
    const { stock, drop, all } = config.channels;
    const wanted = new Set([all, ...ids.flatMap((id) => [nameOf(stock, id), nameOf(drop, id)])]);
    for (const name of [...channels.keys()]) if (!wanted.has(name)) unsubscribe(name);
    wanted.forEach(subscribe);
    onStateChange();
  }

  function restart() {
    if (closed || pusher.connection.state === 'connected') return;
    restarts += 1;
    pusher.disconnect();
    pusher.connect();
    arm();
  }

  /** The wait grows so that a slow network gets the time its handshake needs, and is spread so that not all come at once. */
  function arm() {
    clearTimeout(timer);
    const delay = Math.min(restartAfter * 1.5 ** restarts, LONGEST_RESTART_MS);
    timer = setTimeout(restart, delay * (0.75 + Math.random() / 2));
  }

  function onConnection({ current }) {
    if (closed) return;
    if (current === 'connected') {
      clearTimeout(timer);
      timer = null;
      restarts = 0;
      onEvent('connected', { message: 'Connected to live updates' });
    } else {
      for (const name of channels.keys()) channels.set(name, false);
      if (timer === null) arm();
    }
    onStateChange();
  }

  function onError(error) {
    const code = error?.error?.data?.code ?? error?.data?.code;
    if (!isRefusal(code) || closed) return;
    close();
    onRefused();
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    pusher.disconnect();
  }

  pusher.connection.bind('state_change', onConnection);
  pusher.connection.bind('error', onError);
  arm();

  return {
    follow,
    close,
    /** Try at once: the browser says that the network or the page is back. */
    hurry() {
      restarts = 0;
      restart();
    },
    /** Connected, and every channel subscribed, so that nothing is missed from here on. */
    isLive() {
      return !closed && pusher.connection.state === 'connected' && [...channels.values()].every(Boolean);
    },
  };
}
