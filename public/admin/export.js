/** Purchases as a file: in parts, each with the token in its header, which a plain link could not carry. */
import { announce, h, setText } from '../storefront/dom.js';

const PART_ROWS = 20_000;
/** Spreadsheets take a file without it for one of their own alphabet. */
const BYTE_ORDER_MARK = '\ufeff';
const KEPT_MS = 60_000;

/** @param {any} api @param {number} dropId @param {(problem: string) => void} onProblem */
export function createExport(api, dropId, onProblem) {
  const label = 'Export CSV';
  const button = h('button', { class: 'button quiet', type: 'button', click: run }, label);
  const stop = new AbortController();

  async function run() {
    if (button.getAttribute('aria-disabled')) return;
    button.setAttribute('aria-disabled', 'true');
    onProblem('');
    try {
      save(await fetchAll());
      announce('The file is ready');
    } catch (error) {
      if (error.code !== 'aborted') onProblem(`The file was not made. ${error.message}`);
    }
    button.removeAttribute('aria-disabled');
    setText(button, label);
  }

  /** Blobs, which browsers keep outside the page's memory, and large ones on disk. */
  async function fetchAll() {
    const parts = [BYTE_ORDER_MARK];
    let address = `/api/drops/${dropId}/purchases.csv?limit=${PART_ROWS}`;
    while (address) {
      setText(button, parts.length > 1 ? `Part ${parts.length}` : 'One moment');
      const part = await api.part(address, { signal: stop.signal });
      parts.push(part.blob);
      address = part.next;
    }
    return new Blob(parts, { type: 'text/csv;charset=utf-8' });
  }

  function save(blob) {
    const url = URL.createObjectURL(blob);
    h('a', { href: url, download: `purchases-of-drop-${dropId}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  }

  return { button, close: () => stop.abort() };
}
