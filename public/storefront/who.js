/** The dialog in which a visitor picks a name. */
import { h, setText } from './dom.js';
import { failure } from './failures.js';

const MOST_KNOWN = 6;
/** Only a development server tells who its users are, and others would refuse with an error in the console. */
const IS_LOCAL = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);

/** @param {any} client @param {ReturnType<import('./session.js').createSession>} session */
export function createWho(client, session) {
  const dialog = document.getElementById('who');
  const form = dialog.querySelector('form');
  const input = document.getElementById('who-name');
  const error = document.getElementById('who-error');
  const known = document.getElementById('who-known');
  const button = document.querySelector('[data-testid="user"]');
  let settle = () => {};
  /** A name that was asked for without an answer is asked for again under its key: else it would be taken, by themselves. */
  const keys = new Map();

  function show() {
    setText(button, session.user ? session.user.username : 'Choose a name');
    button.title = session.user ? 'Shop under another name' : '';
  }

  function choose(user) {
    session.setUser(user);
    keys.clear();
    settle(user);
    dialog.close();
  }

  async function create(event) {
    event.preventDefault();
    setText(error, '');
    const asked = settle;
    const name = input.value.trim();
    if (!keys.has(name)) keys.set(name, crypto.getRandomValues(new Uint32Array(4)).join('-'));
    try {
      const { user } = await client.createUser(name, { key: keys.get(name) });
      if (settle === asked) choose(user);
    } catch (problem) {
      if (settle !== asked) return;
      const isOdd = problem?.code === 'validation_failed';
      setText(error, isOdd ? 'A name has 1 to 200 letters, digits or signs. Try another.' : failure(problem));
      input.focus();
    }
  }

  async function offerKnown() {
    if (!IS_LOCAL) return;
    const { users } = await client.users().catch(() => ({ users: [] }));
    const buttons = users.slice(0, MOST_KNOWN).map((user) =>
      h('button', { type: 'button', class: 'chip', click: () => choose(user) }, user.username));
    known.querySelector('[role="group"]').replaceChildren(...buttons);
    known.hidden = buttons.length === 0;
    const own = users.find((user) => user.id === session.user?.id);
    if (own && own.username !== session.user.username) session.rename(own.username);
  }

  /** @returns {Promise<{id: number, username: string}|null>} null when the visitor turned away */
  function ask() {
    setText(error, '');
    input.value = '';
    offerKnown();
    dialog.showModal();
    return new Promise((resolve) => (settle = resolve));
  }

  form.addEventListener('submit', create);
  form.querySelector('[value="cancel"]').addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => {
    settle(null);
    settle = () => {};
  });
  button.addEventListener('click', ask);
  session.onChange(show);
  show();
  if (session.isFixed) offerKnown();

  return { ask, require: async () => session.user ?? ask() };
}
