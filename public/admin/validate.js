/**
 * What the form may hold: the same bounds as lib/fields.py and lib/shop_bodies.py, so that a mistake shows before anything is
 * sent. The server decides in the end. Pure functions, without a page.
 */
import { toInstant } from './zone.js';

export const MAX_STOCK = 1_000_000;
export const MAX_SIZES = 50;
const MAX_PRICE = 9_999_999.99;
const DAY_SECONDS = 86_400;
const CONTROL = /[\p{Cc}\p{Cs}]/u;
const IMAGE = /^(https:\/\/[!-~]|\/[!-.0-\[\]-~])[!-~]*$/;
const FIRST_TIME = Date.UTC(1970, 0, 1);
const LAST_TIME = Date.UTC(9999, 0, 1);

/**
 * @typedef {object} Form What the fields hold, as text.
 * @property {string} name
 * @property {string} price
 * @property {string} currency
 * @property {string} imageUrl
 * @property {string} dropStartTime as in <input type="datetime-local">
 * @property {string} dropEndTime
 * @property {string} holdSeconds
 * @property {string} maxPerUser
 * @property {boolean} hasSizes
 * @property {string} totalStock
 * @property {{size: string, stock: string}[]} sizes
 */

const length = (text) => [...text].length;

/** @param {string} text @param {number} least @param {number} most @returns {number|null} */
export function whole(text, least, most) {
  if (!/^[0-9]{1,9}$/.test(text.trim())) return null;
  const number = Number(text);
  return number >= least && number <= most ? number : null;
}

/** "59,90" is what many keyboards write. @param {string} text */
const decimal = (text) => (/^[0-9]+,[0-9]{1,2}$/.test(text.trim()) ? text.trim().replace(',', '.') : text.trim());

/** @param {string} text @param {number} most characters @param {string} what */
function textProblem(text, most, what) {
  const trimmed = text.trim();
  if (!trimmed) return `Give ${what}.`;
  if (length(trimmed) > most) return `${most} characters at most; these are ${length(trimmed)}.`;
  return CONTROL.test(trimmed) ? 'This has a character that cannot be shown.' : null;
}

/** @param {string} text */
function priceProblem(text) {
  const number = decimal(text);
  if (!/^[0-9]{1,30}(\.[0-9]{1,30})?$/.test(number)) return 'Give a price, such as 59.90.';
  if (Number(number) > MAX_PRICE) return 'The price can be 9,999,999.99 at most.';
  return /\.[0-9]{3}/.test(number) ? 'Two decimals at most.' : null;
}

/** @param {string} text */
export const isImageAddress = (text) => IMAGE.test(text) && text.length <= 2000;

/** @param {string} local */
function timeProblem(local) {
  if (local === '') return null;
  const at = Date.parse(toInstant(local) ?? '');
  if (Number.isNaN(at)) return 'Give a whole date and time.';
  return at >= FIRST_TIME && at < LAST_TIME ? null : 'The year must be 1970 to 9998.';
}

/** @param {Form} form @returns {Record<string, string>} by field */
function sizeProblems({ sizes }) {
  const found = {};
  const seen = new Set();
  if (sizes.length === 0) found.sizes = 'Add a size, or sell without sizes.';
  if (sizes.length > MAX_SIZES) found.sizes = `${MAX_SIZES} sizes at most; these are ${sizes.length}.`;
  sizes.forEach(({ size, stock }, n) => {
    const label = size.trim();
    const problem = textProblem(size, 40, 'a label') ?? (seen.has(label) ? 'This size is there twice.' : null);
    if (problem) found[`sizes.${n}.size`] = problem;
    seen.add(label);
    if (whole(stock, 1, MAX_STOCK) === null) found[`sizes.${n}.stock`] = 'Give 1 to 1,000,000 units.';
  });
  const total = sizes.reduce((sum, { stock }) => sum + (whole(stock, 0, MAX_STOCK) ?? 0), 0);
  if (total > MAX_STOCK) found.sizes = 'All sizes together can have 1,000,000 units at most.';
  return found;
}

/**
 * What is wrong, by the API's field names; {} if nothing is.
 * @param {Form} form @param {{isNew: boolean}} options stock and currency are given once, when the drop is made
 */
export function problems(form, { isNew }) {
  const checks = {
    name: textProblem(form.name, 200, 'the drop a name'),
    price: priceProblem(form.price),
    imageUrl: form.imageUrl === '' || isImageAddress(form.imageUrl)
      ? null : 'Give an address that begins with https:// or /, without spaces.',
    dropStartTime: timeProblem(form.dropStartTime),
    dropEndTime: timeProblem(form.dropEndTime),
    holdSeconds: whole(form.holdSeconds, 1, DAY_SECONDS) === null ? 'Give 1 to 86,400 seconds.' : null,
    maxPerUser: form.maxPerUser.trim() === '' || whole(form.maxPerUser, 1, MAX_STOCK) !== null
      ? null : 'Give 1 to 1,000,000, or leave it empty for no limit.',
  };
  if (isNew) {
    checks.currency = /^[A-Z]{3}$/.test(form.currency) ? null : 'Give the three letters of a currency, such as EUR.';
    if (form.hasSizes) Object.assign(checks, sizeProblems(form));
    else if (whole(form.totalStock, 1, MAX_STOCK) === null) checks.totalStock = 'Give 1 to 1,000,000 units.';
  }
  const [start, end] = [toInstant(form.dropStartTime), toInstant(form.dropEndTime)];
  if (!checks.dropEndTime && end && Date.parse(end) <= (start ? Date.parse(start) : Date.now())) {
    checks.dropEndTime = start ? 'The end must come after the start.' : 'The end must lie ahead: the drop starts at once.';
  }
  return Object.fromEntries(Object.entries(checks).filter(([, problem]) => problem));
}

/** The body of POST /api/drops. @param {Form} form one without problems */
export function newDrop(form) {
  return {
    ...changeable(form),
    currency: form.currency,
    ...(form.hasSizes
      ? { sizes: form.sizes.map(({ size, stock }) => ({ size: size.trim(), stock: Number(stock) })) }
      : { totalStock: Number(form.totalStock) }),
  };
}

function changeable(form) {
  return {
    name: form.name.trim(),
    // As text: a number would pass through binary fractions.
    price: decimal(form.price),
    imageUrl: form.imageUrl || null,
    dropStartTime: toInstant(form.dropStartTime),
    dropEndTime: toInstant(form.dropEndTime),
    holdSeconds: Number(form.holdSeconds),
    maxPerUser: form.maxPerUser.trim() === '' ? null : Number(form.maxPerUser),
  };
}

/**
 * The body of PATCH /api/drops/{id}: only what was changed, so that two people who edit different fields do not undo each
 * other, and a time keeps the microseconds that the form does not show.
 * @param {Form} before @param {Form} form one without problems
 */
export function changes(before, form) {
  const all = changeable(form);
  const changed = Object.keys(all).filter((field) => before[field].trim() !== form[field].trim());
  // A drop that runs has a start; emptied, it starts now.
  if (all.dropStartTime === null) all.dropStartTime = new Date().toISOString();
  return Object.fromEntries(changed.map((field) => [field, all[field]]));
}

/**
 * Sizes out of a pasted list: "38:10, 39:12", or two columns of a spreadsheet.
 * @param {string} text @returns {{size: string, stock: string}[]} [] if it is no such list
 */
export function parseSizes(text) {
  const parts = text.split(/[\n\r;,]+/).map((part) => part.trim()).filter(Boolean);
  const rows = parts.map((part) => /^(.{1,40}?)\s*(?:[:=\t]|\s[x×]?)\s*([0-9]{1,7})$/u.exec(part));
  return rows.every(Boolean) ? rows.map(([, size, stock]) => ({ size: size.trim(), stock })) : [];
}
