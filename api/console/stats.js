// Schema of a collection, and sizes of the database.
import { h, fill, bar, bytes, count, plural } from './dom.js';
import * as api from './client.js';
import { failure } from './app.js';

export function schemaView(root, c) {
  const fields = Object.entries(c.schema.fields || {});
  const vectors = Object.entries(c.schema.vectors || {});
  fill(root,
    h('section', { class: 'panel' }, h('h2', {}, 'Fields'),
      fields.length ? h('table', { class: 'grid' }, h('thead', {}, h('tr', {}, h('th', {}, 'name'), h('th', {}, 'type'), h('th', {}, 'filter index'))),
        h('tbody', {}, fields.map(([n, f]) => h('tr', {}, h('td', { class: 'id' }, n), h('td', {}, h('span', { class: 'tag' }, f.type)), h('td', {}, f.index ? 'yes' : '–')))))
        : h('p', { class: 'muted' }, 'None declared: fields keep the type of their values.')),
    h('section', { class: 'panel' }, h('h2', {}, 'Vectors'),
      vectors.length ? h('table', { class: 'grid' }, h('thead', {}, h('tr', {}, ['name', 'dim', 'metric', 'storage', 'index', 'encoder'].map((x) => h('th', {}, x)))),
        h('tbody', {}, vectors.map(([n, v]) => h('tr', {}, h('td', { class: 'id' }, n), h('td', { class: 'num' }, count(v.dim)), h('td', {}, v.metric || 'l2'), h('td', {}, v.storage || 'float32'),
          h('td', {}, (v.index && v.index.kind) || 'hnsw', v.index && v.index.m ? ` · M ${v.index.m}` : null, v.index && v.index.ef_construction ? ` · build ${v.index.ef_construction}` : null),
          h('td', {}, v.encoder || '–', v.source && v.source.length ? ` from ${v.source.join(', ')}` : null)))))
        : h('p', { class: 'muted' }, 'None.')),
    h('section', { class: 'panel' }, h('h2', {}, 'Settings'), h('dl', { class: 'full' },
      h('div', {}, h('dt', {}, 'ids'), h('dd', {}, c.schema.id || 'string')),
      h('div', {}, h('dt', {}, 'undeclared fields'), h('dd', {}, c.schema.strict ? 'refused' : 'kept')),
      h('div', {}, h('dt', {}, 'time to live'), h('dd', {}, c.schema.ttl && c.schema.ttl !== '0s' ? c.schema.ttl : 'for ever')),
      h('div', {}, h('dt', {}, 'schema version'), h('dd', { class: 'num' }, count(c.schema_version || 0))))));
}

export function statsView(root) {
  let gone = false;
  (async () => {
    try {
      const [s, a] = await Promise.all([api.stats(), api.advice()]);
      if (!gone) draw(root, s.data, a.data.advice);
    } catch (err) {
      if (!gone) fill(root, failure(err));
    }
  })();
  return () => { gone = true; };
}

function tile(label, value, note) {
  return h('div', { class: 'tile' }, h('span', { class: 'muted' }, label), h('b', {}, value), note ? h('span', { class: 'muted' }, note) : null);
}

function duration(s) {
  if (s < 120) return Math.round(s) + ' s';
  if (s < 7200) return Math.round(s / 60) + ' min';
  if (s < 172800) return Math.round(s / 3600) + ' h';
  return Math.round(s / 86400) + ' days';
}

function draw(root, s, advice) {
  const colls = s.collections || [];
  const memory = colls.flatMap((c) => Object.entries(c.vectors || {}).map(([name, v]) => ({ coll: c.name, name, ...v })));
  const sum = memory.reduce((n, v) => n + v.vector_bytes + v.graph_bytes, 0);
  const docs = colls.reduce((n, c) => n + (c.docs || 0), 0);
  const most = Math.max(...memory.map((v) => v.vector_bytes + v.graph_bytes), 1);
  const disk = s.storage || {};
  const live = disk.live_bytes || 0;
  const dead = disk.dead_bytes || 0;
  fill(root,
    h('div', { class: 'head' }, h('div', {}, h('h1', {}, 'Database'), h('p', { class: 'muted' }, s.path ? s.path : 'in memory', s.read_only ? ' · read-only' : null))),
    h('div', { class: 'tiles' },
      tile('Documents', count(docs), plural(colls.length, 'collection')),
      tile('LSN', count(s.lsn || 0), 'last write'),
      tile('On disk', bytes(disk.disk_bytes || 0), `${bytes(live)} live, ${bytes(dead)} dead`),
      tile('Vector indexes', bytes(sum), `${count(memory.length)} in memory`),
      tile('Block cache', bytes((disk.cache || {}).bytes || 0)),
      tile('Up', duration(s.uptime_seconds || 0))),
    advice.length ? h('section', { class: 'panel' }, h('h2', {}, 'Advice'), h('ul', { class: 'tips' }, advice.map((t) => h('li', {},
      h('b', {}, [t.collection, t.subject].filter(Boolean).join(' · ') || t.kind.replace(/_/g, ' ')), h('p', {}, t.detail), h('p', { class: 'muted' }, t.hint))))) : null,
    h('section', { class: 'panel' }, h('h2', {}, 'Vector indexes'),
      memory.length ? h('div', { class: 'scroll' }, h('table', { class: 'grid' },
        h('thead', {}, h('tr', {}, ['collection', 'vector', 'kind', 'live', 'fresh', 'dead', 'memory', ''].map((x) => h('th', {}, x)))),
        h('tbody', {}, memory.map((v) => h('tr', {}, h('td', { class: 'id' }, v.coll), h('td', { class: 'id' }, v.name), h('td', {}, v.kind),
          h('td', { class: 'num' }, count(v.live)), h('td', { class: 'num' }, count(v.fresh)), h('td', { class: 'num' }, count(v.dead)),
          h('td', { class: 'num' }, bytes(v.vector_bytes + v.graph_bytes)), h('td', { class: 'wide' }, bar((v.vector_bytes + v.graph_bytes) / most))))))) : h('p', { class: 'muted' }, 'None.')),
    h('section', { class: 'panel' }, h('h2', {}, 'Collections'),
      h('div', { class: 'scroll' }, h('table', { class: 'grid' }, h('thead', {}, h('tr', {}, h('th', {}, 'name'), h('th', {}, 'documents'), h('th', {}))),
        h('tbody', {}, colls.map((c) => h('tr', {}, h('td', { class: 'id' }, h('a', { href: `#/c/${encodeURIComponent(c.name)}/search` }, c.name)),
          h('td', { class: 'num' }, count(c.docs || 0)), h('td', { class: 'wide' }, bar(docs ? c.docs / docs : 0)))))))));
}
