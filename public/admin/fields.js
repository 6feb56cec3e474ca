/** Form fields with a label, a hint and a place for what is wrong. */
import { h, setAttribute, setText } from '../storefront/dom.js';

/**
 * @param {object} about
 * @param {string} about.name the API's name of the field
 * @param {string} about.label
 * @param {string} [about.hint]
 * @param {Record<string, any>} [about.attributes] of the input
 * @param {string} [about.unit] shown behind the input
 */
export function createField({ name, label, hint = '', attributes = {}, unit = '' }) {
  const id = `field-${name}`;
  const input = h('input', {
    id, name, autocomplete: 'off', 'aria-describedby': `${id}-hint ${id}-error`, ...attributes,
  });
  const hintElement = h('p', { id: `${id}-hint`, class: 'hint' }, hint);
  const error = h('p', { id: `${id}-error`, class: 'field-error', 'data-testid': `error-${name}` });
  const element = h('div', { class: 'field', 'data-field': name }, h('label', { for: id }, label),
    unit ? h('div', { class: 'with-unit' }, input, h('span', { class: 'unit', 'aria-hidden': 'true' }, unit)) : input,
    hintElement, error);

  return {
    element,
    input,
    setHint: (text) => setText(hintElement, text),
    /** @param {string} [problem] */
    setError(problem = '') {
      setText(error, problem);
      setAttribute(input, 'aria-invalid', problem ? 'true' : null);
    },
  };
}

/** @param {string} legend @param {...Node} children */
export const group = (legend, ...children) => h('fieldset', { class: 'card group' }, h('legend', {}, legend), ...children);
