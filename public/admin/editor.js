/** The form in which a drop is made, copied or changed. */
import { announce, h, setAttribute, setText } from '../storefront/dom.js';
import { clockTime, count, money } from '../storefront/words.js';
import { newKey } from './api.js';
import { createField, group } from './fields.js';
import { createSizesEditor } from './sizes-editor.js';
import { changes, isImageAddress, newDrop, problems, whole } from './validate.js';
import { toLocal, zoneLabel } from './zone.js';

const TYPING_MS = 500;
const CURRENCIES = ['USD', 'EUR', 'GBP', 'CHF', 'JPY', 'SEK', 'NOK', 'DKK', 'PLN', 'CZK', 'CAD', 'AUD', 'INR', 'BRL'];
const EMPTY = {
  name: '', price: '', currency: 'USD', imageUrl: '', dropStartTime: '', dropEndTime: '', holdSeconds: '60', maxPerUser: '',
  hasSizes: false, totalStock: '', sizes: [],
};

/** What the form shows for a drop. @param {any} drop @returns {import('./validate.js').Form} */
function formOf(drop) {
  const sizes = drop.sizes.filter(({ size }) => size !== '');
  return {
    name: drop.name,
    price: Number.isInteger(drop.price) ? String(drop.price) : drop.price.toFixed(2),
    currency: drop.currency,
    imageUrl: drop.imageUrl ?? '',
    dropStartTime: toLocal(drop.dropStartTime),
    dropEndTime: toLocal(drop.dropEndTime),
    holdSeconds: String(drop.holdSeconds),
    maxPerUser: drop.maxPerUser === null ? '' : String(drop.maxPerUser),
    hasSizes: sizes.length > 0,
    totalStock: String(drop.totalStock || ''),
    sizes: sizes.map(({ size, totalStock }) => ({ size, stock: String(totalStock) })),
  };
}

/** A copy is a new drop: it gets a time of its own. */
const copyOf = (drop) => ({ ...formOf(drop), dropStartTime: '', dropEndTime: '' });

/** @param {any} context @param {{id?: number, from?: number|null}} which a drop to change, or one to copy */
export function createEditor({ api, go }, { id, from = null }) {
  const isNew = id === undefined;
  const fields = createFields(isNew);
  const sizes = createSizesEditor(() => {});
  const preview = createPreview();
  const summary = h('p', { class: 'field-error', role: 'alert', 'data-testid': 'form-error' });
  const submit = h('button', { class: 'button primary', type: 'submit' }, isNew ? 'Create the drop' : 'Save');
  const heading = h('h1', { tabindex: '-1' }, isNew ? 'New drop' : 'Edit drop');
  const stock = createStock(isNew, fields, sizes);
  const form = h('form', { class: 'editor', novalidate: true, submit: send, input: onInput, 'aria-busy': 'true' },
    h('div', { class: 'editor-fields' },
      group('What', fields.name.element, fields.imageUrl.element, h('div', { class: 'pair' }, fields.price.element, fields.currency.element)),
      stock.element,
      group('When', h('p', { class: 'hint' }, `Times are yours: ${zoneLabel()}.`),
        h('div', { class: 'pair' }, fields.dropStartTime.element, fields.dropEndTime.element)),
      group('Rules', h('div', { class: 'pair' }, fields.holdSeconds.element, fields.maxPerUser.element))),
    preview.element,
    h('div', { class: 'editor-end' }, summary,
      h('div', { class: 'buttons' }, submit, h('a', { class: 'button quiet', href: isNew ? '#/' : `#/drops/${id}` }, 'Leave'))));
  const element = h('section', {}, h('div', { class: 'head' }, heading), form);
  /** The form as it was loaded. @type {import('./validate.js').Form} */
  let loaded = EMPTY;
  /** One key for one wish: the same body sent again, by a double click or after a lost reply, makes no second drop. */
  let wish = { body: '', key: '' };

  /** @returns {import('./validate.js').Form} */
  function read() {
    const texts = Object.fromEntries(Object.entries(fields).map(([name, { input }]) => [name, input.value]));
    return { ...texts, currency: texts.currency.toUpperCase(), hasSizes: stock.hasSizes(), sizes: sizes.value };
  }

  /** @param {import('./validate.js').Form} values */
  function fill(values) {
    for (const [name, { input }] of Object.entries(fields)) input.value = values[name];
    sizes.value = values.sizes;
    stock.show(values.hasSizes);
    setAttribute(form, 'aria-busy', null);
    onInput();
    loaded = read();
  }

  function onInput() {
    const values = read();
    const seconds = whole(values.holdSeconds, 1, 86_400);
    fields.holdSeconds.setHint(`${seconds ? `${clockTime(seconds * 1000)}. ` : ''}How long a buyer may think it over.${
      isNew ? '' : ' Holds that run keep theirs.'}`);
    preview.show(values);
  }

  /** @param {Record<string, string>} found by field; '' is the form as a whole */
  function showProblems(found) {
    for (const [name, field] of Object.entries(fields)) field.setError(found[name]);
    const wrongSize = sizes.setErrors(found);
    const shown = new Set([...Object.keys(fields), 'sizes']);
    const rest = Object.entries(found).filter(([name]) => !shown.has(name) && !/^sizes\.\d+\.(size|stock)$/.test(name));
    const wrong = Object.keys(found).length;
    setText(summary, [...rest.map(([, text]) => text), wrong > rest.length ? 'Please correct what is marked above.' : ''].join(' ').trim());
    const first = form.querySelector('[aria-invalid="true"]') ?? wrongSize;
    first?.focus();
  }

  async function send(event) {
    event.preventDefault();
    if (submit.getAttribute('aria-disabled')) return;
    const values = read();
    const found = problems(values, { isNew });
    showProblems(found);
    if (Object.keys(found).length) return;
    submit.setAttribute('aria-disabled', 'true');
    try {
      const saved = isNew ? await create(newDrop(values)) : await change(changes(loaded, values));
      loaded = values;
      announce(isNew ? `${values.name} is made` : 'Saved');
      go(`#/drops/${saved.id}`);
    } catch (error) {
      showProblems(problemsOf(error));
    }
    submit.removeAttribute('aria-disabled');
  }

  async function create(body) {
    const text = JSON.stringify(body);
    if (wish.body !== text) wish = { body: text, key: newKey() };
    return (await api.post('/api/drops', body, wish.key)).drop;
  }

  async function change(body) {
    if (Object.keys(body).length === 0) return { id };
    return (await api.patch(`/api/drops/${id}`, body)).drop;
  }

  async function load() {
    const source = id ?? from;
    if (source === null) return void fill(EMPTY);
    try {
      const drop = await api.get(`/api/drops/${source}`);
      setText(heading, isNew ? `New drop like ${drop.name}` : `Edit ${drop.name}`);
      fill(isNew ? copyOf(drop) : formOf(drop));
    } catch (error) {
      setText(summary, error.message);
    }
  }

  function beforeUnload(event) {
    if (JSON.stringify(read()) !== JSON.stringify(loaded)) event.preventDefault();
  }

  addEventListener('beforeunload', beforeUnload);
  load();
  return { element, close: () => removeEventListener('beforeunload', beforeUnload) };
}

/** What the server says is wrong, by field. @param {import('./api.js').ApiError} error */
function problemsOf(error) {
  if (!error.fields?.length) return { '': error.message };
  return Object.fromEntries(error.fields.map(({ field, message }) => [field, message.charAt(0).toUpperCase() + message.slice(1)]));
}

function createFields(isNew) {
  const time = { type: 'datetime-local', min: '1970-01-01T00:00', max: '9998-12-31T23:59' };
  return {
    name: createField({ name: 'name', label: 'Name', attributes: { maxlength: 400 } }),
    imageUrl: createField({
      name: 'imageUrl', label: 'Address of the picture', hint: 'Optional. https://… or /… on this site.',
      attributes: { inputmode: 'url', spellcheck: 'false' },
    }),
    price: createField({ name: 'price', label: 'Price', attributes: { inputmode: 'decimal' } }),
    currency: createField({
      name: 'currency', label: 'Currency', hint: isNew ? '' : 'Stays as it is: units were priced in it.',
      attributes: { maxlength: 3, list: 'currencies', spellcheck: 'false', class: 'upper', ...(isNew ? {} : { readonly: true }) },
    }),
    totalStock: createField({ name: 'totalStock', label: 'Units', attributes: { inputmode: 'numeric' } }),
    dropStartTime: createField({
      name: 'dropStartTime', label: 'Start', hint: isNew ? 'Empty: at once.' : '', attributes: time,
    }),
    dropEndTime: createField({ name: 'dropEndTime', label: 'End', hint: 'Empty: no end.', attributes: time }),
    holdSeconds: createField({ name: 'holdSeconds', label: 'Hold time', unit: 'seconds', attributes: { inputmode: 'numeric' } }),
    maxPerUser: createField({
      name: 'maxPerUser', label: 'Limit for each buyer', hint: 'Empty: no limit.', unit: 'units', attributes: { inputmode: 'numeric' },
    }),
  };
}

/** The stock of a new drop, with or without sizes. That of a drop on sale is changed by restocking. */
function createStock(isNew, fields, sizes) {
  const radio = (value, label) => {
    const input = h('input', { type: 'radio', name: 'hasSizes', value, change: () => show(value === 'yes') });
    return { input, element: h('label', { class: 'choice' }, input, label) };
  };
  const [without, withSizes] = [radio('no', 'One stock'), radio('yes', 'Sizes')];
  const choices = h('div', { class: 'choices', role: 'radiogroup', 'aria-label': 'Kind of stock' }, without.element, withSizes.element);
  const element = isNew
    ? group('Stock', choices, fields.totalStock.element, sizes.element,
      h('datalist', { id: 'currencies' }, ...CURRENCIES.map((code) => h('option', { value: code }))))
    : group('Stock', h('p', { class: 'hint' }, 'Units are added and taken away on the drop’s own page, under Restock.'));

  function show(hasSizes) {
    without.input.checked = !hasSizes;
    withSizes.input.checked = hasSizes;
    fields.totalStock.element.hidden = hasSizes;
    sizes.element.hidden = !hasSizes;
    if (hasSizes && sizes.value.length === 0) sizes.value = [{ size: '', stock: '' }];
  }

  return { element, show, hasSizes: () => withSizes.input.checked };
}

/** How the drop will look, as far as the form tells. */
function createPreview() {
  const picture = h('div', { class: 'preview-picture', hidden: true });
  const note = h('p', { class: 'hint', role: 'status' });
  const [name, price, units] = [h('p', { class: 'preview-name' }), h('p', { class: 'preview-price' }), h('p', { class: 'hint' })];
  const element = h('aside', { class: 'card preview', 'aria-label': 'Preview' }, picture, h('div', {}, name, price, units), note);
  let shown = null;
  let timer = null;

  /** Half an address, while it is typed, is nobody's to ask for. */
  function showPictureSoon(address) {
    if (address === shown) return;
    shown = address;
    clearTimeout(timer);
    timer = setTimeout(showPicture, TYPING_MS, address);
  }

  function showPicture(address) {
    setText(note, '');
    picture.hidden = !isImageAddress(address);
    picture.replaceChildren();
    if (picture.hidden) return;
    picture.append(h('img', {
      src: address, alt: '', referrerpolicy: 'no-referrer',
      error: () => {
        picture.hidden = true;
        setText(note, 'No picture loads from this address.');
      },
    }));
  }

  return {
    element,
    /** @param {import('./validate.js').Form} form */
    show(form) {
      showPictureSoon(form.imageUrl);
      setText(name, form.name.trim() || 'Name of the drop');
      const amount = Number(form.price.replace(',', '.'));
      const isPriced = form.price.trim() !== '' && !Number.isNaN(amount) && /^[A-Z]{3}$/.test(form.currency);
      setText(price, isPriced ? money(amount, form.currency) : '–');
      const total = form.hasSizes ? form.sizes.reduce((sum, { stock }) => sum + (Number(stock) || 0), 0) : Number(form.totalStock) || 0;
      setText(units, total ? `${count(total)} units` : '');
    },
  };
}
