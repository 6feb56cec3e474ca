/** Fakes, not the real thing: a shop that answers like the HTTP API, and a class shaped like pusher-js. */

export const aDrop = (over = {}) => ({
  id: 1,
  name: 'Knot 1',
  imageUrl: null,
  price: 200,
  currency: 'USD',
  totalStock: 10,
  availableStock: 10,
  soldCount: 0,
  status: 'LIVE',
  dropStartTime: '2026-01-01T00:00:00Z',
  dropEndTime: null,
  holdSeconds: 60,
  maxPerUser: null,
  sizes: [],
  version: 1,
  stockVersion: 1,
  nextExpiryAt: null,
  recentPurchases: [],
  ...over,
});

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(condition, what, ms = 3000) {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await wait(5);
  }
}

/** A fake fetch over a shop kept in memory. `shop.down` refuses; `shop.realtime = null` has no channel. */
export class FakeShop {
  drops = new Map();
  realtime = { key: 'k', options: {}, channels: { stock: 'cache-drop-{id}', drop: 'drop-{id}', all: 'drops' } };
  down = false;
  records = true;
  /** Added to each reply's headers; null takes one away. */
  headers = {};
  requests = [];
  /** Answers to give before the ordinary ones: functions (method, path, body) => Response | null. */
  scripted = [];

  constructor(...drops) {
    drops.forEach((drop) => this.put(drop));
  }

  put(drop) {
    this.drops.set(drop.id, drop);
  }

  /** As the database does, a change of stock counts `stockVersion` up; events are the test's to send. */
  change(id, over) {
    const before = this.drops.get(id);
    const stockVersion = before.stockVersion + (over.availableStock === undefined ? 0 : 1);
    this.put({ ...before, stockVersion, ...over });
  }

  paths(start) {
    return this.requests.filter(({ path }) => path.startsWith(start));
  }

  fetch = async (url, { method = 'GET', headers = {}, body } = {}) => {
    const path = url.replace(/^https?:\/\/[^/]+/, '');
    if (this.records) this.requests.push({ method, path, headers, body: body && JSON.parse(body) });
    await wait(1);
    if (this.down) throw new TypeError('fetch failed');
    const special = this.scripted.length ? this.scripted.shift()(method, path, body) : null;
    return special ?? this.answer(path, headers);
  };

  answer(path, headers) {
    const answer = this.ordinaryAnswer(path, headers);
    for (const [name, value] of Object.entries(this.headers)) {
      if (value === null) answer.headers.delete(name);
      else answer.headers.set(name, value);
    }
    return answer;
  }

  ordinaryAnswer(path, headers) {
    if (path === '/api/realtime') {
      return this.realtime ? reply(200, this.realtime) : problem(503, 'not_configured');
    }
    const id = /^\/api\/drops\/(\d+)$/.exec(path)?.[1];
    const value = id ? this.drops.get(Number(id)) : [...this.drops.values()];
    if (!value) return problem(404, 'drop_not_found');
    const etag = `"${JSON.stringify(value).length}-${JSON.stringify(value)}"`;
    return headers['If-None-Match'] === etag
      ? new Response(null, { status: 304, headers: { ETag: etag } })
      : reply(200, value, { ETag: etag });
  }
}

export const reply = (status, body, headers = {}) =>
  new Response(JSON.stringify(body), {
    status,
    headers: { 'Content-Type': 'application/json', Date: new Date().toUTCString(), ...headers },
  });

export const problem = (status, code, headers = {}) =>
  reply(status, { code, error: code, detail: `told: ${code}`, status }, headers);

class Dispatcher {
  callbacks = [];
  bind(event, callback) {
    this.callbacks.push((name, data) => name === event && callback(data));
  }
  bind_global(callback) {
    this.callbacks.push(callback);
  }
  unbind_global() {
    this.callbacks = [];
  }
  emit(event, data) {
    this.callbacks.forEach((callback) => callback(event, data));
  }
}

/** A fake of the pusher-js class; `network` is what its instances share. */
export function fakePusher() {
  const network = { up: true, confirms: true, instances: [], cached: new Map(), connects: 0 };
  class Pusher {
    channels = new Map();
    /** Subscriptions on their way: name -> whether they were cancelled meanwhile. */
    pending = new Map();
    connection = Object.assign(new Dispatcher(), { state: 'initialized' });
    constructor(key, options) {
      Object.assign(this, { key, options });
      network.instances.push(this);
      this.connection.send_event = (name) => {
        if (name === 'pusher:ping' && !this.silent) setTimeout(() => this.connection.emit('message', {}), 1);
      };
      setTimeout(() => this.connect(), 1);
    }
    #become(current) {
      if (this.connection.state === current) return;
      this.connection.state = current;
      this.pending.clear();
      this.connection.emit('state_change', { current });
    }
    connect() {
      network.connects += 1;
      this.#become('connecting');
      if (!network.up) return;
      setTimeout(() => {
        if (this.connection.state !== 'connecting') return;
        this.#become('connected');
        this.channels.forEach((_, name) => this.#ask(name));
      }, 2);
    }
    disconnect() {
      this.silent = false;
      this.#become('disconnected');
    }
    /** What a dead connection that does not know it looks like: it says nothing, not even to a ping. */
    silence() {
      this.silent = true;
    }
    /** What a broken connection looks like: pusher-js goes back to connecting. */
    drop() {
      this.#become('connecting');
    }
    refuse(code) {
      this.connection.emit('error', { error: { data: { code } } });
    }
    subscribe(name) {
      if (!this.channels.has(name)) this.channels.set(name, new Dispatcher());
      if (this.connection.state === 'connected') this.#ask(name);
      return this.channels.get(name);
    }
    /** As pusher-js does: what is on its way is left when it has come, and a reconnect asks for whatever was not left yet. */
    unsubscribe(name) {
      if (this.pending.has(name)) this.pending.set(name, true);
      else this.channels.delete(name);
    }
    #ask(name) {
      this.pending.set(name, false);
      if (network.confirms) setTimeout(() => this.#confirm(name), 1);
    }
    #confirm(name) {
      const isCancelled = this.pending.get(name);
      this.pending.delete(name);
      if (isCancelled) this.channels.delete(name);
      const channel = this.channels.get(name);
      channel?.emit('pusher:subscription_succeeded', {});
      if (!name.startsWith('cache-')) return;
      const cached = network.cached.get(name);
      if (cached) channel?.emit(cached.event, cached.data);
      else channel?.emit('pusher:cache_miss', {});
    }
  }
  network.publish = (name, event, data) => {
    if (name.startsWith('cache-')) network.cached.set(name, { event, data });
    network.instances
      .filter((one) => one.connection.state === 'connected' && !one.silent)
      .forEach((one) => one.channels.get(name)?.emit(event, data));
  };
  return { Pusher, network };
}

/** Waits short enough for a test. */
export const QUICK = {
  pollMs: 20, slowPollMs: 40, safetyMs: 10000, quietMs: 10000, settleMs: 30, realtimeMs: 40, spreadMs: 5, retryMs: 5,
  keepMs: 30, pongMs: 20,
};
