/**
 * The admin token, for as long as this tab is open: sessionStorage, which other tabs and later visits do not see. Never in
 * localStorage, never in an address.
 */
const KEY = 'holdfast.admin-token';

export function createSession() {
  /** Where storage is forbidden, until the page is reloaded. @type {string|null} */
  let memory = null;

  return {
    /** @returns {string|null} */
    get token() {
      try {
        return sessionStorage.getItem(KEY) ?? memory;
      } catch {
        return memory;
      }
    },
    /** @param {string|null} token */
    set token(token) {
      memory = token;
      try {
        if (token === null) sessionStorage.removeItem(KEY);
        else sessionStorage.setItem(KEY, token);
      } catch {
        // The memory serves.
      }
    },
  };
}
