// The frame of the console: which collection, which view, the key, the theme.
// The place is in the URL's fragment: #/c/<collection>/<view>, #/stats.
import { $, h, fill, toast, count, plural } from './dom.js';
import * as api from './client.js';
import { searchView } from './search.js';
import { documentsView } from './documents.js';
import { schemaView, statsView } from './stats.js';

const state = { collections: [], loaded: false };
const views = { search: ['Search', searchView], documents: ['Documents', documentsView], schema: ['Schema', schemaView] };
let leave = null; // ends what the shown view has running

function place() {
  const parts = location.hash.replace(/^#\/?/, '').split('/').map((p) => { try { return decodeURIComponent(p); } catch { return p; } });
  if (parts[0] === 'stats') return { view: 'stats' };
  if (parts[0] === 'c' && parts[1]) return { view: views[parts[2]] ? parts[2] : 'search', collection: parts[1] };
  return { view: '' };
}

export function go(collection, view) {
  location.hash = `#/c/${encodeURIComponent(collection)}/${view}`;
}

async function refresh() {
  const { data, lsn } = await api.collections();
  state.collections = data.collections;
  state.loaded = true;
  $('lsn').textContent = lsn ? 'LSN ' + count(Number(lsn)) : '';
  $('count').textContent = String(state.collections.length);
  const here = place().collection;
  fill($('collections'), state.collections.map((c) => h('li', {},
    h('a', { href: `#/c/${encodeURIComponent(c.name)}/search`, 'aria-current': c.name === here ? 'page' : null },
      h('span', { class: 'name' }, c.name),
      h('span', { class: 'num' }, count(c.docs))))),
    state.collections.length ? null : h('li', { class: 'muted pad' }, 'None yet'));
}

function tabs(c, current) {
  return h('div', { class: 'head' },
    h('div', {},
      h('h1', {}, c.name),
      h('p', { class: 'muted' }, [plural(c.docs, 'document'), plural(Object.keys(c.schema.fields || {}).length, 'field'), plural(Object.keys(c.schema.vectors || {}).length, 'vector')].join(' · '),
        c.aliases && c.aliases.length ? ` · also ${c.aliases.join(', ')}` : null)),
    h('div', { class: 'tabs', role: 'tablist' }, Object.entries(views).map(([id, [label]]) =>
      h('a', { role: 'tab', class: 'tab', href: `#/c/${encodeURIComponent(c.name)}/${id}`, 'aria-selected': String(id === current) }, label))));
}

function welcome() {
  return h('section', { class: 'empty' }, h('img', { src: 'ui/logo.svg', width: 72, height: 72, alt: '' }),
    h('h1', {}, 'Nothing stored yet'),
    h('p', { class: 'muted' }, 'Create a collection over HTTP or with the command line, then come back.'),
    h('pre', { class: 'code' }, 'eider import films.ndjson --collection films'));
}

async function render() {
  if (leave) { leave(); leave = null; }
  const main = $('main');
  const at = place();
  try {
    await refresh();
    $('nav-stats').toggleAttribute('aria-current', at.view === 'stats');
    if (at.view === 'stats') {
      document.title = 'Database · Eider';
      leave = statsView(fill(main), state);
      return;
    }
    if (!at.view) {
      if (state.collections.length) { go(state.collections[0].name, 'search'); return; }
      document.title = 'Eider';
      fill(main, welcome());
      return;
    }
    const c = state.collections.find((x) => x.name === at.collection || (x.aliases || []).includes(at.collection));
    if (!c) {
      fill(main, h('section', { class: 'empty' }, h('h1', {}, 'No such collection'), h('p', { class: 'muted' }, at.collection)));
      return;
    }
    document.title = `${c.name} · Eider`;
    const body = h('div', { class: 'view' });
    fill(main, tabs(c, at.view), body);
    leave = views[at.view][1](body, c) || null;
  } catch (err) {
    if (err.name === 'AbortError') return;
    fill(main, failure(err));
    if (err.status === 401) askKey();
  }
}

export function failure(err) {
  return h('section', { class: 'failure', role: 'alert' },
    h('strong', {}, err.message), err.hint ? h('p', {}, err.hint) : null,
    err.code ? h('p', { class: 'muted' }, h('code', {}, err.code), err.pointer ? ` at ${err.pointer}` : null) : null);
}

function askKey() {
  const dialog = $('keys');
  const input = h('input', { type: 'password', id: 'key-input', autocomplete: 'off', spellcheck: 'false', placeholder: 'eider_…', value: api.key.get() });
  const save = () => { api.key.set(input.value.trim()); dialog.close(); marks(); render(); };
  fill(dialog, h('form', { class: 'sheet small', on: { submit: (e) => { e.preventDefault(); save(); } } },
    h('h2', {}, 'API key'),
    h('p', { class: 'muted' }, 'Kept in this tab only, and sent to this server only.'),
    h('label', { for: 'key-input' }, 'Key'), input,
    h('div', { class: 'row end' },
      h('button', { type: 'button', class: 'ghost', on: { click: () => { input.value = ''; save(); } } }, 'Forget'),
      h('button', { type: 'submit', class: 'primary' }, 'Use key'))));
  if (!dialog.open) dialog.showModal();
  input.focus();
}

function marks() { $('key').textContent = api.key.get() ? 'Key ●' : 'Key'; }

function theme(next) {
  const root = document.documentElement;
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = next || localStorage.getItem('eider-theme') || (dark ? 'dark' : 'light');
  root.dataset.theme = now;
  if (next) localStorage.setItem('eider-theme', next);
}

$('theme').addEventListener('click', () => theme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'));
$('key').addEventListener('click', askKey);
addEventListener('hashchange', render);
addEventListener('keydown', (e) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
  if (e.key === '/' && !typing && !document.querySelector('dialog[open]')) {
    const q = $('q');
    if (q) { e.preventDefault(); q.focus(); q.select(); }
  }
});
for (const d of document.querySelectorAll('dialog')) {
  d.addEventListener('click', (e) => { if (e.target === d) d.close(); });
}
addEventListener('unhandledrejection', (e) => { if (e.reason && e.reason.name !== 'AbortError') toast(e.reason.message || 'something failed', true); });
theme();
marks();
render();
