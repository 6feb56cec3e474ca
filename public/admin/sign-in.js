/** The door: asks for the admin token. */
import { h, setText } from '../storefront/dom.js';

/** @param {{message: string, onToken: (token: string) => Promise<string>}} options onToken resolves with what is wrong */
export function createSignIn({ message, onToken }) {
  const input = h('input', {
    id: 'token', type: 'password', autocomplete: 'current-password', required: true, spellcheck: 'false',
    'aria-describedby': 'token-hint token-error',
  });
  const error = h('p', { id: 'token-error', class: 'field-error', role: 'alert' }, message);
  const submit = h('button', { class: 'button primary', type: 'submit' }, 'Sign in');
  const form = h('form', { class: 'sign-in card', submit: send },
    h('h1', { tabindex: '-1' }, 'Sign in'),
    h('label', { for: 'token' }, 'Admin token'),
    input,
    h('p', { id: 'token-hint', class: 'hint' },
      'The value of ADMIN_TOKEN on the server. It stays in this tab, and is forgotten when you close it.'),
    error, submit);

  async function send(event) {
    event.preventDefault();
    const token = input.value.trim();
    // What no header can carry would fail as if the network were down.
    if (!/^[!-~]+$/.test(token)) return void refuse('A token has letters, digits and signs, and no spaces.');
    submit.setAttribute('aria-disabled', 'true');
    setText(submit, 'One moment');
    const problem = await onToken(token);
    submit.removeAttribute('aria-disabled');
    setText(submit, 'Sign in');
    if (problem) refuse(problem);
  }

  function refuse(problem) {
    setText(error, problem);
    input.setAttribute('aria-invalid', 'true');
    input.select();
    input.focus();
  }

  return { element: form };
}
