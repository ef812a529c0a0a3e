// Documents: pages in id order, and one document in full.
import { $, h, fill, columns, count, show, toast } from './dom.js';
import * as api from './client.js';
import { builder, tree } from './filter.js';
import { failure } from './app.js';

export function documentsView(root, c) {
  const model = { join: 'and', rows: [] };
  const body = h('div', { class: 'results' });
  const filters = builder(model, c.schema, () => { trail = ['']; load(); });
  let trail = ['']; // cursors of the pages up to this one
  let running = null;

  async function load() {
    if (running) running.abort();
    running = new AbortController();
    const q = { limit: 50 };
    try {
      const f = tree(model, c.schema.fields || {});
      if (f) q.filter = f;
    } catch (err) { toast(err.message, true); return; }
    const cursor = trail[trail.length - 1];
    if (cursor) q.cursor = cursor;
    try {
      const { data } = await api.scroll(c.name, q, running.signal);
      draw(data);
    } catch (err) {
      if (err.name !== 'AbortError') fill(body, failure(err));
    }
  }

  function draw(page) {
    const names = columns(page.docs, c.schema, 8);
    const open = (id) => openDocument(c, id, null);
    fill(body,
      page.docs.length === 0 ? h('section', { class: 'empty' }, h('h2', {}, 'No documents here')) : h('div', { class: 'scroll' },
        h('table', { class: 'grid' },
          h('thead', {}, h('tr', {}, h('th', {}, 'id'), names.map((n) => h('th', {}, n)), h('th', {}, 'version'))),
          h('tbody', {}, page.docs.map((d) => h('tr', { class: 'pick', tabindex: '0', data: { id: d.id },
            on: { click: () => open(d.id), keydown: (e) => { if (e.key === 'Enter') open(d.id); } } },
          h('td', { class: 'id' }, d.id),
          names.map((n) => h('td', {}, d.fields && d.fields[n] !== undefined ? h('div', { class: 'clip' }, show(d.fields[n])) : null)),
          h('td', { class: 'num' }, d.version)))))),
      h('div', { class: 'row center' },
        h('button', { type: 'button', class: 'ghost', disabled: trail.length < 2, on: { click: () => { trail.pop(); load(); } } }, '← Back'),
        h('span', { class: 'muted' }, `page ${trail.length}`),
        h('button', { type: 'button', class: 'ghost', disabled: !page.cursor, on: { click: () => { trail.push(page.cursor); load(); } } }, 'Next →')));
  }

  fill(root, filters.box, body);
  load();
  return () => { if (running) running.abort(); };
}

// openDocument shows a document in the drawer. like, if given, searches from it.
export async function openDocument(c, id, like) {
  const dialog = $('drawer');
  const vectors = Object.keys(c.schema.vectors || {});
  let d;
  try { d = await api.doc(c.name, id, vectors); } catch (err) { toast(err.message, true); return; }
  const spark = (v) => {
    const top = Math.max(...v.map(Math.abs), 1e-12);
    return h('div', { class: 'spark', 'aria-hidden': 'true' }, v.slice(0, 128).map((x) => {
      const i = h('i', { class: x < 0 ? 'neg' : null });
      i.style.setProperty('height', Math.max(2, Math.round(Math.abs(x) / top * 100)) + '%');
      return i;
    }));
  };
  fill(dialog, h('div', { class: 'sheet' },
    h('div', { class: 'row' }, h('h2', { class: 'id grow' }, d.id),
      h('button', { type: 'button', class: 'ghost icon', 'aria-label': 'Close', on: { click: () => dialog.close() } }, '×')),
    h('p', { class: 'muted' }, `version ${count(d.version || 0)}`, d.expire_at ? ` · expires ${d.expire_at}` : null),
    h('dl', { class: 'full' }, Object.entries(d.fields || {}).map(([n, v]) => h('div', {}, h('dt', {}, n), h('dd', {}, show(v))))),
    Object.entries(d.vectors || {}).map(([n, v]) => h('section', {}, h('h3', {}, n, h('span', { class: 'muted num' }, `${v.length} numbers`)), spark(v))),
    h('details', {}, h('summary', {}, 'JSON'), h('pre', { class: 'code' }, JSON.stringify(d, (k, v) => (Array.isArray(v) && v.length > 32 && typeof v[0] === 'number' ? v.slice(0, 8).concat(['… ' + (v.length - 8) + ' more']) : v), 2))),
    like ? h('div', { class: 'row end' }, h('button', { type: 'button', class: 'primary', on: { click: () => { dialog.close(); like(d.id); } } }, 'More like this')) : null));
  if (!dialog.open) dialog.showModal();
}
