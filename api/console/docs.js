// The API page: every operation of /openapi.json, with its access, parameters
// and the shapes that go in and out.
import { $, h, fill } from './dom.js';

document.documentElement.dataset.theme = localStorage.getItem('eider-theme') || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');

const spec = await (await fetch(new URL('../openapi.json', import.meta.url), { credentials: 'omit' })).json();
const schemas = spec.components.schemas;
const order = ['get', 'head', 'put', 'post', 'patch', 'delete'];

// The data comes first, the machinery last.
const last = (t) => ['health', 'console'].indexOf(t.name);

function name(s) {
  if (!s) return '';
  if (s.$ref) return s.$ref.split('/').pop();
  const type = Array.isArray(s.type) ? s.type.find((t) => t !== 'null') : s.type;
  if (type === 'array') return name(s.items) + '[]';
  if (type === 'object' && typeof s.additionalProperties === 'object') return `{string: ${name(s.additionalProperties)}}`;
  if (s.oneOf) return 'vector';
  return type || 'any';
}

function shape(ref) {
  const s = schemas[ref];
  if (!s || !s.properties) return null;
  return h('pre', { class: 'code' }, Object.entries(s.properties).map(([n, p]) =>
    `${n}${(s.required || []).includes(n) ? '' : '?'}: ${name(p)}${p.description ? '   — ' + p.description : ''}\n`).join(''));
}

function body(label, content) {
  if (!content) return null;
  const [[type, media]] = Object.entries(content);
  const n = name(media.schema);
  const inner = shape(n);
  const title = `${label}: ${n || type}`;
  return inner ? h('details', {}, h('summary', { class: 'small' }, title), inner) : h('p', {}, title);
}

function operation(path, method, op) {
  const params = (op.parameters || []).filter((p) => p.in !== 'path');
  const ok = Object.entries(op.responses).filter(([code]) => code !== 'default');
  return h('div', { class: 'op' },
    h('span', { class: 'method ' + method.toUpperCase() }, method.toUpperCase()), h('code', {}, path),
    h('p', {}, op.summary, ' ', h('span', { class: 'tag' }, op['x-access']), ok.map(([code]) => h('span', { class: 'tag' }, code))),
    params.map((p) => h('p', {}, h('code', {}, p.name), ` (${p.in}) ${p.description || ''}`)),
    op.requestBody ? h('p', {}, body('body', op.requestBody.content)) : null,
    ok[0] && ok[0][1].content ? h('p', {}, body('answer', ok[0][1].content)) : null);
}

fill($('main'), h('h1', {}, 'HTTP API'), h('p', { class: 'muted' }, spec.info.description),
  [...spec.tags].sort((a, b) => last(a) - last(b)).map((t) => h('section', {}, h('h2', {}, t.name),
    Object.entries(spec.paths).flatMap(([path, item]) => order.filter((m) => item[m] && item[m].tags.includes(t.name)).map((m) => operation(path, m, item[m]))))));
