/** The console: who may come in, and which view the address asks for (#/, #/new, #/drops/5, #/drops/5/edit). */
import { connect } from '../drop-client.js';
import { announce, h } from '../storefront/dom.js';
import { createApi } from './api.js';
import { createDropView } from './drop.js';
import { createEditor } from './editor.js';
import { createList } from './list.js';
import { createSession } from './session.js';
import { createSignIn } from './sign-in.js';

const base = document.querySelector('meta[name="holdfast-api"]').content;
const main = document.getElementById('main');
const signOutButton = document.getElementById('sign-out');
const session = createSession();
const api = createApi({ base, token: () => session.token, onUnauthorized });

/** @type {{element: HTMLElement, close?: () => void}|null} */
let view = null;
let client = null;
let isIn = false;

/** The client that hears events; made when somebody is in. */
function realtime() {
  client ??= connect({ api: base });
  return client;
}

const context = { api, client: realtime, go: (hash) => { location.hash = hash; } };

const ROUTES = [
  [/^#\/new(?:\?from=(\d+))?$/, ([, from]) => createEditor(context, { from: from ? Number(from) : null })],
  [/^#\/drops\/(\d+)$/, ([, id]) => createDropView(context, Number(id))],
  [/^#\/drops\/(\d+)\/edit$/, ([, id]) => createEditor(context, { id: Number(id) })],
  [/^(?:#\/?(?:\?(.*))?)?$/, ([, query]) => createList(context, new URLSearchParams(query))],
];

function viewFor(hash) {
  for (const [pattern, make] of ROUTES) {
    const match = pattern.exec(hash);
    if (match) return make(match);
  }
  return { element: h('section', {}, h('h1', { tabindex: '-1' }, 'Nothing here'),
    h('p', { class: 'note' }, 'This address leads nowhere. ', h('a', { href: '#/' }, 'All drops'))) };
}

/** @param {{element: HTMLElement, close?: () => void}} next */
function show(next) {
  view?.close?.();
  // What was asked belongs to the view that is left.
  document.querySelector('dialog[open]')?.close();
  view = next;
  main.replaceChildren(next.element);
  main.removeAttribute('aria-busy');
  const heading = next.element.querySelector('h1');
  document.title = `${heading.textContent} · Holdfast console`;
  scrollTo(0, 0);
  // So that a screen reader says where one is, and the keyboard goes on from there.
  heading.focus({ preventScroll: true });
}

function route() {
  if (isIn) show(viewFor(location.hash));
}

/** @param {import('./api.js').ApiError} error */
function onUnauthorized(error) {
  if (!isIn) return; // the first try: enter() deals with it
  session.token = null;
  askForToken(error.status === 401 ? 'The server no longer accepts this token.' : '');
}

function askForToken(message = '') {
  isIn = false;
  signOutButton.hidden = true;
  show(createSignIn({
    message,
    async onToken(token) {
      session.token = token;
      const problem = await enter();
      if (problem) session.token = null;
      return problem;
    },
  }));
}

/** Try what is known: a token of this tab, or none, which a server in development takes. @returns {Promise<string>} */
async function enter() {
  try {
    await api.get('/api/admin/drops?limit=1');
  } catch (error) {
    if (error.status === 401) return session.token ? 'That is not the token of this server.' : ' ';
    return error.message;
  }
  isIn = true;
  signOutButton.hidden = session.token === null;
  route();
  return '';
}

signOutButton.addEventListener('click', () => {
  session.token = null;
  client?.close();
  client = null;
  askForToken('You are signed out.');
  announce('You are signed out.');
});
addEventListener('hashchange', route);
const problem = await enter();
if (problem) askForToken(problem.trim());
