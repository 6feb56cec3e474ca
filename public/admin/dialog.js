/** One dialog for every question that needs an answer before something is done. */
import { h, setText } from '../storefront/dom.js';

/**
 * @param {object} question
 * @param {string} question.title
 * @param {(Node|string)[]} question.body
 * @param {string} question.yes what the button does, in its own words
 * @param {string} [question.no]
 * @param {boolean} [question.grave] it cannot be undone
 * @param {() => Promise<void>} question.act throws what went wrong, which the dialog shows
 * @returns {Promise<boolean>} whether it was done
 */
export function ask({ title, body, yes, no = 'Back', grave = false, act }) {
  const error = h('p', { class: 'field-error', role: 'alert' });
  const confirm = h('button', { class: `button ${grave ? 'grave' : 'primary'}`, type: 'submit' }, yes);
  const back = h('button', { class: 'button quiet', type: 'button', click: () => dialog.close() }, no);
  const form = h('form', { submit: run },
    h('h2', { id: 'dialog-title' }, title), h('div', { class: 'dialog-body' }, ...body), error,
    h('div', { class: 'buttons' }, confirm, back));
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, form);
  let done = false;

  async function run(event) {
    event.preventDefault();
    // A second click while the first is under way does nothing.
    if (confirm.getAttribute('aria-disabled')) return;
    confirm.setAttribute('aria-disabled', 'true');
    setText(error, '');
    setText(confirm, 'One moment');
    try {
      await act();
      done = true;
      dialog.close();
    } catch (problem) {
      setText(error, problem.message);
    }
    confirm.removeAttribute('aria-disabled');
    setText(confirm, yes);
  }

  document.body.append(dialog);
  dialog.showModal();
  // Not the button that does it: Enter must not be enough for what cannot be undone.
  if (grave) back.focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(done);
    });
  });
}
