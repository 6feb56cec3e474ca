/** Small things that the client is made of. */

/** Callbacks by event name. */
export function createEmitter() {
  /** @type {Map<string, Set<(data: any) => void>>} */
  const listeners = new Map();
  return {
    on(event, callback) {
      if (!listeners.has(event)) listeners.set(event, new Set());
      listeners.get(event).add(callback);
      return () => listeners.get(event).delete(callback);
    },
    emit(event, data) {
      listeners.get(event)?.forEach((callback) => callback(data));
    },
  };
}

/** Timers by name: setting one again replaces it. */
export function createTimers() {
  const timers = new Map();
  let closed = false;
  return {
    set(name, delay, action) {
      clearTimeout(timers.get(name));
      if (!closed) timers.set(name, setTimeout(action, delay));
    },
    close() {
      closed = true;
      timers.forEach((timer) => clearTimeout(timer));
    },
  };
}
