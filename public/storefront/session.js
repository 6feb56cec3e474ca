/**
 * Who is shopping in this window, which holds they have and which size they take. Kept in localStorage, so that a reload or
 * another tab finds them; `?user=ID` makes this window somebody else, for demonstrations with two windows. Where buyers sign
 * in with a provider (identity.js), that one remembers who it is.
 */

const USER = 'holdfast.user';
const holdsKey = (userId) => `holdfast.holds.${userId}`;
const sizeKey = (userId) => `holdfast.size.${userId}`;

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null; // storage may be forbidden, or hold something else
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows may refuse: the page then forgets on reload, and the server still knows the hold.
  }
}

function fromAddress() {
  const id = Number(new URLSearchParams(location.search).get('user'));
  return Number.isSafeInteger(id) && id > 0 ? { id, username: `Shopper ${id}` } : null;
}

/** @param {boolean} isTrusted whether the shop believes what a page says of who it is: no provider signs buyers in */
export function createSession(isTrusted) {
  const fixed = isTrusted ? fromAddress() : null;
  let user = isTrusted ? fixed ?? read(USER) : null;
  const listeners = new Set();
  const tell = () => listeners.forEach((callback) => callback());

  window.addEventListener('storage', (event) => {
    if (isTrusted && !fixed && event.key === USER) user = read(USER);
    if (event.key === USER || (user && event.key === holdsKey(user.id))) tell();
  });

  return {
    get user() {
      return user;
    },
    /** What a request says of who asks. @param {{id: number|string}} who */
    claim: (who = user) => (isTrusted ? { userId: who.id } : {}),
    /** @param {{id: number|string, username: string}|null} next null: the shop does not know them any more, or they signed out */
    setUser(next) {
      user = next;
      if (isTrusted && !fixed) write(USER, next);
      tell();
    },
    /** The name of a `?user=` as the server has it. */
    rename(username) {
      user = { ...user, username };
      tell();
    },
    isFixed: Boolean(fixed),
    /** @returns {{reservationId: number, size: string|null, expiresAt: number, receipt?: object}|null} */
    hold: (dropId) => (user ? read(holdsKey(user.id))?.[dropId] ?? null : null),
    setHold(dropId, hold, userId = user?.id) {
      if (userId === undefined) return;
      const holds = { ...read(holdsKey(userId)) };
      if (hold) holds[dropId] = hold;
      else delete holds[dropId];
      write(holdsKey(userId), holds);
    },
    /** The size that they took last, so that the next drop is one tap. @returns {string|null} */
    get size() {
      return user ? read(sizeKey(user.id)) : null;
    },
    set size(size) {
      if (user) write(sizeKey(user.id), size);
    },
    /** Called when the user or a hold changes, here or in another tab. */
    onChange: (callback) => listeners.add(callback),
  };
}
