/** The stock over time as a chart that draws as it happens: on sale, held and sold, each a line of steps. */
import { h, setText } from '../storefront/dom.js';
import { count } from '../storefront/words.js';

/** More points than a screen has columns; beyond that the older half is thinned. */
const MOST_POINTS = 4000;
const HEIGHT = 280;
const RECENT_SECONDS = 300;
const LINES = [
  { name: 'available', label: 'On sale', color: '--mine' },
  { name: 'held', label: 'Held', color: '--alarm' },
  { name: 'sold', label: 'Sold', color: '--ink' },
];

/**
 * @typedef {object} Point
 * @property {number} at ms
 * @property {number} total
 * @property {number} available
 * @property {number|null} held null where it is not known
 * @property {number|null} sold
 */

/** @param {{now: () => number}} options the server's time in ms */
export function createChart({ now }) {
  const plot = h('div', { class: 'plot', role: 'img', 'aria-label': 'Stock over time' });
  const values = LINES.map(() => h('b', {}));
  const legend = h('ul', { class: 'legend' }, ...LINES.map(({ name, label }, n) =>
    h('li', { class: name }, h('span', { class: 'swatch', 'aria-hidden': 'true' }), label, ' ', values[n])));
  const recent = h('input', { type: 'checkbox', id: 'recent', change: () => draw() });
  const element = h('div', { class: 'chart' },
    h('div', { class: 'chart-head' }, legend, h('label', { class: 'choice', for: 'recent' }, recent, 'Last 5 minutes only')),
    plot);
  /** @type {Point[]} */
  let points = [];
  let startsAt = -Infinity;
  let chart = null;

  function build() {
    chart?.destroy();
    chart = new window.uPlot(optionsFor(plot), columns(), plot);
  }

  /** The points in seconds and columns, up to this moment: what nobody changed is still so. */
  function columns() {
    const last = points.at(-1);
    const end = Math.max(now(), last?.at ?? 0);
    const all = last ? [...points, { ...last, at: end }] : [];
    const from = Math.max(startsAt, recent.checked ? end - RECENT_SECONDS * 1000 : -Infinity);
    // The state at the left edge is that of the last point before it.
    const before = all.findLast(({ at }) => at < from);
    const shown = [...(before ? [{ ...before, at: from }] : []), ...all.filter(({ at }) => at >= from)];
    return [shown.map(({ at }) => at / 1000), ...LINES.map(({ name }) => shown.map((point) => point[name]))];
  }

  function draw() {
    if (points.length === 0 || !plot.isConnected) return;
    if (!chart) build();
    chart.setData(columns());
    const last = points.at(-1);
    const texts = LINES.map(({ name }) => (last[name] === null ? '–' : count(last[name])));
    texts.forEach((text, n) => setText(values[n], text));
    plot.setAttribute('aria-label', `Stock over time. Now ${texts[0]} on sale, ${texts[1]} held, ${texts[2]} sold.`);
    plot.dataset.points = String(points.length);
  }

  const resized = new ResizeObserver(() => chart?.setSize({ width: plot.clientWidth, height: HEIGHT }));
  const darkness = matchMedia('(prefers-color-scheme: dark)');
  const recolor = () => chart && build();
  resized.observe(plot);
  darkness.addEventListener('change', recolor);

  return {
    element,
    draw,
    /** What was before the page was opened. @param {Point[]} history @param {number} start ms, when the drop begins */
    seed(history, start) {
      const newer = points.filter(({ at }) => at > (history.at(-1)?.at ?? 0));
      points = [...history, ...newer];
      // A drop that was made days before its start: the days are not shown.
      startsAt = start <= now() ? start : -Infinity;
      draw();
    },
    /** @param {Point} point */
    add(point) {
      const last = points.at(-1);
      const same = last && ['total', ...LINES.map(({ name }) => name)].every((name) => last[name] === point[name]);
      // An event's time is this computer's idea of the server's, and may be a little ahead of the figures'.
      if (!same) points.push({ ...point, at: Math.max(point.at, last?.at ?? 0) });
      if (points.length > MOST_POINTS) points = points.filter((_, n) => n % 2 || n > MOST_POINTS / 2);
      draw();
    },
    close() {
      resized.disconnect();
      darkness.removeEventListener('change', recolor);
      chart?.destroy();
    },
  };
}

const DAY_SECONDS = 86_400;

/** A tick of the time axis: the time of day, in days' steps the day, and at the left edge both. */
function timeOf(seconds, step, isFirst) {
  const at = new Date(seconds * 1000);
  const day = at.toLocaleDateString(undefined, { month: 'short', day: 'numeric' });
  if (step >= DAY_SECONDS) return day;
  const time = at.toLocaleTimeString(undefined, { hour: 'numeric', minute: '2-digit', ...(step < 60 ? { second: '2-digit' } : {}) });
  return isFirst ? `${time}\n${day}` : time;
}

function optionsFor(plot) {
  const color = (name) => getComputedStyle(plot).getPropertyValue(name).trim();
  const axis = { stroke: color('--muted'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: `12px ${color('--text')}` };
  const stepped = window.uPlot.paths.stepped({ align: 1 });
  return {
    width: plot.clientWidth,
    height: HEIGHT,
    padding: [12, 8, 0, 0],
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    scales: { y: { range: (_, __, most) => [0, Math.max(1, Math.ceil(most * 1.05))] } },
    axes: [
      { ...axis, space: 80, values: (_, ticks, __, ___, step) => ticks.map((tick, n) => timeOf(tick, step, n === 0)) },
      { ...axis, size: 52, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5], values: (_, ticks) => ticks.map(count) },
    ],
    series: [{}, ...LINES.map(({ label, color: name }, n) => ({
      label, stroke: color(name), width: 2, paths: stepped, points: { show: false }, spanGaps: false,
      ...(n === 0 ? { fill: color('--mine-wash') } : {}),
    }))],
  };
}
