/** The button at the top where buyers sign in with a provider (identity.js), and the dialog to sign out. */
import { setText } from './dom.js';

/**
 * What drop-client.js sends with a buyer's requests.
 * @param {import('./identity.js').Identity} identity @returns {import('../drop-client.js').HeaderProvider}
 */
export const headersOf = (identity) => async ({ refused }) => {
  const token = await identity.token({ renew: refused });
  return token ? { Authorization: `Bearer ${token}` } : {};
};

/** @param {import('./identity.js').Identity} identity @param {ReturnType<import('./session.js').createSession>} session */
export function createAccount(identity, session) {
  const dialog = document.getElementById('account');
  const button = document.querySelector('[data-testid="user"]');

  function show() {
    setText(button, session.user ? session.user.username : 'Sign in');
    setText(document.getElementById('account-title'), session.user ? `Signed in as ${session.user.username}` : '');
  }

  async function signIn() {
    session.setUser(await identity.signIn());
    return session.user;
  }

  function open() {
    dialog.returnValue = '';
    dialog.showModal();
  }

  async function signOut() {
    await identity.signOut();
    session.setUser(null);
  }

  button.addEventListener('click', () => (session.user ? open() : signIn()));
  dialog.addEventListener('close', () => dialog.returnValue === 'out' && signOut());
  session.onChange(show);
  show();
  identity.current().then((buyer) => buyer && session.setUser(buyer));

  return { require: async () => session.user ?? signIn() };
}
