// Search: a text, an example or nothing; filters; results as cards or a table;
// facets; what each phase did.
import { h, fill, bar, count, micros, score, show, glyph, image, heading, columns, plural, present, toast } from './dom.js';
import * as api from './client.js';
import { builder, tree } from './filter.js';
import { failure } from './app.js';
import { openDocument } from './documents.js';

const pageSize = 20;
const remembered = new Map(); // collection -> model, for as long as the tab lives

function fresh(c) {
  const vectors = Object.keys(c.schema.vectors || {});
  return { text: '', like: null, vector: vectors.find((v) => c.schema.vectors[v].encoder) || vectors[0] || '', limit: pageSize, table: false, join: 'and', rows: [], sort: '', rank: '', user: '', exact: false };
}

// facetFields are the indexed fields whose values are worth counting. A field
// whose values turned out to be all different is not asked about again.
const dull = new Set(); // collection/field
function facetFields(c) {
  return Object.entries(c.schema.fields || {})
    .filter(([n, f]) => f.index && (f.type === 'keyword' || f.type === 'bool') && !dull.has(`${c.name}/${n}`)).map(([n]) => n).slice(0, 8);
}

function request(m, c, cursor) {
  const q = { limit: m.limit, explain: true, total: true };
  if (m.like) q.retrieve = [{ like: { vector: m.vector, positive: [m.like] } }];
  else if (m.text.trim()) q.retrieve = [{ near: { vector: m.vector, text: m.text.trim() } }];
  if (q.retrieve && m.exact) q.retrieve[0].exact = true;
  const f = tree(m, c.schema.fields || {});
  if (f) q.filter = f;
  if (m.rank) q.rank = [{ model: m.rank, ...(m.user.trim() ? { user: m.user.trim() } : {}) }];
  else if (m.sort) q.sort = [{ field: m.sort.replace(/^-/, ''), desc: m.sort.startsWith('-') }];
  if (cursor) q.cursor = cursor; // of the same query, or the server refuses it
  return q;
}

export function searchView(root, c) {
  if (!remembered.has(c.name)) remembered.set(c.name, fresh(c));
  const m = remembered.get(c.name);
  const vectors = Object.entries(c.schema.vectors || {});
  const texts = vectors.filter(([, v]) => v.encoder);
  let models = []; // that serve, and are not of another collection
  let running = null;
  let hits = [];

  const results = h('div', { class: 'results', 'aria-live': 'polite' });
  const facetBox = h('div', {});
  const explainBox = h('div', {});
  const requestBox = h('div', {});
  const side = h('aside', { class: 'aside' }, explainBox, facetBox, requestBox);
  let facetsOf = null; // the filter that the facets shown belong to
  const summary = h('div', { class: 'summary muted' });
  const filters = builder(m, c.schema, () => run());
  const bars = h('div', {});

  function queryBar() {
    const canText = texts.length > 0;
    fill(bars, m.like
      ? h('div', { class: 'search' }, h('span', { class: 'chip big' }, 'More like ', h('b', {}, m.like),
        h('button', { type: 'button', class: 'ghost icon', 'aria-label': 'Stop', on: { click: () => { m.like = null; queryBar(); run(); } } }, '×')))
      : h('form', { class: 'search', role: 'search', on: { submit: (e) => { e.preventDefault(); run(); } } },
        h('input', { id: 'q', type: 'search', value: m.text, autocomplete: 'off', spellcheck: 'false', disabled: !canText, 'aria-label': 'Search by meaning',
          placeholder: canText ? 'Search by meaning…   press / to focus' : 'This collection has no text encoder: browse, filter, or pick “more like this”',
          on: { input: (e) => { m.text = e.target.value; if (!m.text) run(); } } }),
        h('button', { class: 'primary', type: 'submit', disabled: !canText }, 'Search')),
    h('div', { class: 'row options' },
      vectors.length > 1 ? h('label', { class: 'inline' }, 'Vector ', h('select', { on: { change: (e) => { m.vector = e.target.value; run(); } } },
        (m.like ? vectors : texts).map(([n]) => h('option', { value: n, selected: n === m.vector }, n)))) : null,
      h('label', { class: 'inline' }, 'Sort ', h('select', { disabled: !!m.rank, on: { change: (e) => { m.sort = e.target.value; run(); } } },
        h('option', { value: '' }, 'best first'),
        Object.entries(c.schema.fields || {}).filter(([, f]) => f.index && f.type !== 'geo').flatMap(([n]) => [
          h('option', { value: n, selected: m.sort === n }, `${n} ↑`), h('option', { value: '-' + n, selected: m.sort === '-' + n }, `${n} ↓`)]))),
      models.length ? h('label', { class: 'inline' }, 'Rank by ', h('select', { id: 'rank', on: { change: (e) => { m.rank = e.target.value; queryBar(); run(); } } },
        h('option', { value: '' }, 'no model'), models.map((name) => h('option', { value: name, selected: m.rank === name }, name)))) : null,
      m.rank ? h('label', { class: 'inline' }, 'for ', h('input', { id: 'user', type: 'text', value: m.user, size: 12, placeholder: 'user', 'aria-label': 'User',
        on: { change: (e) => { m.user = e.target.value; run(); } } })) : null,
      h('label', { class: 'inline' }, h('input', { type: 'checkbox', checked: m.exact, on: { change: (e) => { m.exact = e.target.checked; run(); } } }), ' exact'),
      h('span', { class: 'grow' }),
      h('div', { class: 'seg', role: 'group', 'aria-label': 'Layout' },
        ['Cards', 'Table'].map((label) => h('button', { type: 'button', 'aria-pressed': String(m.table === (label === 'Table')),
          on: { click: (e) => { m.table = label === 'Table'; for (const b of e.target.parentNode.children) b.setAttribute('aria-pressed', String(b === e.target)); draw(); } } }, label)))));
  }

  // A key that may not list models gets no choice of one.
  async function listModels() {
    const { data } = await api.models().catch(() => ({ data: { models: [] } }));
    const fits = (v) => ((v.config || {}).training || { collection: c.name }).collection === c.name;
    models = data.models.filter((x) => x.aliases.some((a) => a.alias === 'production' && x.versions.some((v) => v.version === a.version && fits(v)))).map((x) => x.name);
    if (models.length) queryBar();
  }

  async function run(cursor) {
    if (running) running.abort();
    running = new AbortController();
    const mine = running;
    let q;
    try { q = request(m, c, cursor); } catch (err) { toast(err.message, true); return; }
    results.classList.add('busy');
    try {
      const { data, took } = await api.search(c.name, q, mine.signal);
      hits = cursor ? hits.concat(data.hits) : data.hits;
      fill(summary, data.total !== undefined ? `${plural(data.total, 'document')} pass` : null,
        ` · ${micros((data.explain ? data.explain.phases : []).reduce((s, p) => s + p.us, 0))} in the engine, ${micros(took * 1000)} in all · LSN ${count(data.lsn)}`);
      draw(data.cursor || '', cursor ? data.hits : null);
      results.classList.remove('busy');
      if (!cursor) {
        fill(explainBox, explainPanel(data));
        fill(requestBox, requestPanel(q));
      }
      // On later pages too: asking for one may have cut the counting short.
      await countFacets(q.filter, mine.signal);
    } catch (err) {
      if (err.name === 'AbortError') return;
      fill(results, failure(err));
      fill(summary);
    } finally {
      if (running === mine) results.classList.remove('busy');
    }
  }

  // countFacets depends on the filter only, so a new text does not count again,
  // and the hits need not wait for it.
  async function countFacets(filter, signal) {
    const fields = facetFields(c);
    const now = JSON.stringify(filter || null);
    if (now === facetsOf || !fields.length) return;
    const { data } = await api.search(c.name, { filter, limit: 1, fields: [], facets: Object.fromEntries(fields.map((n) => [n, 8])) }, signal);
    facetsOf = now;
    const facets = Object.entries(data.facets || {});
    if (!filter) for (const [n, v] of facets) if (v.length && v[0].count < 2) dull.add(`${c.name}/${n}`);
    fill(facetBox, facetPanel(facets.filter(([n, v]) => v.length && !dull.has(`${c.name}/${n}`))));
  }

  function like(id) {
    m.like = id; m.text = '';
    queryBar(); run();
    scrollTo({ top: 0, behavior: 'smooth' });
  }

  // draw shows the hits; those from a later page are added to what is there.
  function draw(cursor, page) {
    if (cursor !== undefined) draw.cursor = cursor;
    if (!hits.length) {
      fill(results, h('section', { class: 'empty' }, h('h2', {}, 'Nothing found'), h('p', { class: 'muted' }, 'Loosen the filters, or search for something else.')));
      return;
    }
    const best = Math.max(...hits.map((x) => Math.abs(x.score)), 1e-12);
    const scored = m.like || m.text.trim() || m.rank;
    const cards = results.querySelector('.cards');
    if (page && cards && !m.table) {
      cards.append(...page.map((x) => card(x, scored, best)));
    } else {
      fill(results, m.table ? table(hits, scored, best) : h('div', { class: 'cards' }, hits.map((x) => card(x, scored, best))), h('div', { class: 'row center' }));
    }
    fill(results.querySelector(':scope > .center'), draw.cursor ? h('button', { type: 'button', class: 'ghost', on: { click: () => run(draw.cursor) } }, 'More') : null);
  }

  function actions(x) {
    return [vectors.length ? h('button', { type: 'button', class: 'ghost small', on: { click: (e) => { e.stopPropagation(); like(x.id); } } }, 'More like this') : null,
      h('button', { type: 'button', class: 'ghost small', on: { click: (e) => { e.stopPropagation(); openDocument(c, x.id, like); } } }, 'Open')];
  }

  function card(x, scored, best) {
    const title = heading(x.fields, c.schema);
    const symbol = glyph(x.fields);
    const picture = image(x.fields);
    const rest = present(x.fields).filter(([n, v]) => n !== title && v !== picture && v !== symbol);
    const decl = c.schema.fields || {};
    const long = rest.find(([n, v]) => decl[n] && decl[n].type === 'text' && typeof v === 'string') || rest.find(([, v]) => typeof v === 'string' && v.length > 60);
    return h('article', { class: 'card', data: { id: x.id } },
      picture ? h('img', { class: 'card-img', src: picture, alt: '' }) : symbol ? h('div', { class: 'card-glyph', 'aria-hidden': 'true' }, symbol) : null,
      h('div', { class: 'card-body' },
        h('div', { class: 'card-top' },
          h('h3', {}, title ? x.fields[title] : x.id),
          scored ? h('span', { class: 'score', title: 'score' }, bar(Math.abs(x.score) / best), score(x.score)) : null),
        title && x.fields[title] !== x.id ? h('p', { class: 'id' }, x.id) : null,
        long ? h('p', { class: 'long' }, long[1]) : null,
        h('dl', { class: 'fields' }, rest.filter((e) => e !== long).slice(0, 8).map(([n, v]) => h('div', {}, h('dt', {}, n), h('dd', {}, show(v))))),
        h('div', { class: 'row card-actions' }, actions(x), h('span', { class: 'grow' }),
          (x.ranked || []).map((r) => h('span', { class: 'tag' }, `${r.model}: was ${r.from}`)),
          scored ? (x.explain || []).map((e) => h('span', { class: 'tag' }, `${x.explain.length > 1 ? `source ${e.source + 1}: ` : ''}rank ${e.rank} · distance ${score(e.distance)}`)) : null)));
  }

  function table(list, scored, best) {
    const names = columns(list, c.schema, 7);
    return h('div', { class: 'scroll' }, h('table', { class: 'grid' },
      h('thead', {}, h('tr', {}, scored ? h('th', {}, 'score') : null, h('th', {}, 'id'), names.map((n) => h('th', {}, n)), h('th', {}))),
      h('tbody', {}, list.map((x) => h('tr', { data: { id: x.id } },
        scored ? h('td', { class: 'num' }, bar(Math.abs(x.score) / best), score(x.score)) : null,
        h('td', { class: 'id' }, x.id),
        names.map((n) => h('td', {}, x.fields && x.fields[n] !== undefined ? h('div', { class: 'clip' }, show(x.fields[n])) : null)),
        h('td', { class: 'tight' }, actions(x)))))));
  }

  function facetPanel(facets) {
    if (!facets.length) return null;
    return h('section', { class: 'panel', id: 'facets' }, h('h2', {}, 'Facets'), facets.map(([field, values]) => {
      const top = Math.max(...values.map((v) => v.count));
      return h('div', { class: 'facet' }, h('h3', {}, field), h('ul', {}, values.map((v) => h('li', {},
        h('button', { type: 'button', on: { click: () => { m.rows.push({ field, op: 'eq', value: String(v.value) }); filters.redraw(); run(); } } },
          h('span', { class: 'facet-value' }, String(v.value)), bar(v.count / top, 'soft'), h('span', { class: 'num' }, count(v.count)))))));
    }));
  }

  function explainPanel(data) {
    const phases = (data.explain && data.explain.phases) || [];
    if (!phases.length) return null;
    const total = phases.reduce((s, p) => s + p.us, 0) || 1;
    return h('section', { class: 'panel', id: 'explain' }, h('h2', {}, 'Explain', h('span', { class: 'num muted' }, micros(total))),
      h('ol', { class: 'phases' }, phases.map((p) => h('li', {},
        h('div', { class: 'phase' }, h('b', {}, p.name), h('span', { class: 'num' }, micros(p.us))),
        bar(p.us / total),
        h('p', { class: 'muted' }, `${count(p.in)} in, ${count(p.out)} out`, p.plan ? ` · ${p.plan}` : null,
          p.counts ? ' · ' + Object.entries(p.counts).map(([k, v]) => `${k} ${count(v)}`).join(', ') : null)))),
      (data.advice || []).map((a) => h('p', { class: 'advice' }, a)));
  }

  function requestPanel(q) {
    const body = JSON.stringify(q, null, 2);
    return h('details', { class: 'panel' }, h('summary', {}, 'Request'),
      h('pre', { class: 'code' }, `POST /v1/collections/${c.name}/search\n\n${body}`));
  }

  queryBar();
  fill(root, h('div', { class: 'split' },
    h('div', { class: 'primary-col' }, bars, filters.box, summary, results),
    side));
  listModels();
  run();
  return () => { if (running) running.abort(); };
}
