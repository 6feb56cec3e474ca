/** Small things that the client is made of. */

/**
 * Tell one watcher. What it throws is its page's to see, and no reason to keep the news from the others.
 * @template Value
 * @param {(value: Value) => void} callback @param {Value} value
 */
export function tell(callback, value) {
  try {
    callback(value);
  } catch (error) {
    if (globalThis.reportError) globalThis.reportError(error);
    else setTimeout(() => Promise.reject(error));
  }
}

/** Callbacks by event name. */
export function createEmitter() {
  /** @type {Map<string, Set<(data: any) => void>>} */
  const listeners = new Map();
  return {
    /** @param {string} event @param {(data: any) => void} callback @returns {() => void} */
    on(event, callback) {
      const callbacks = listeners.get(event) ?? new Set();
      listeners.set(event, callbacks.add(callback));
      return () => {
        callbacks.delete(callback);
      };
    },
    /** @param {string} event @param {any} data */
    emit(event, data) {
      listeners.get(event)?.forEach((callback) => tell(callback, data));
    },
  };
}

/** Appointments by name. */
export function createTimers() {
  /** @type {Map<string, {due: number, timer: ReturnType<typeof setTimeout>}>} */
  const timers = new Map();
  let closed = false;

  /** In place of the appointment of that name. @param {string} name @param {number} delay @param {() => void} action */
  function set(name, delay, action) {
    clearTimeout(timers.get(name)?.timer);
    timers.delete(name);
    if (closed) return;
    const timer = setTimeout(() => {
      timers.delete(name);
      action();
    }, delay);
    timers.set(name, { due: performance.now() + delay, timer });
  }

  return {
    set,
    /** The same, unless one of that name comes sooner: whoever asks again and again must not put it off for ever. */
    soon(/** @type {string} */ name, /** @type {number} */ delay, /** @type {() => void} */ action) {
      if ((timers.get(name)?.due ?? Infinity) > performance.now() + delay) set(name, delay, action);
    },
    close() {
      closed = true;
      timers.forEach(({ timer }) => clearTimeout(timer));
      timers.clear();
    },
  };
}
