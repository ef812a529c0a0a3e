// The filter builder: rows of field, condition and value, joined by and/or,
// become the typed tree that the API takes.
import { h, fill } from './dom.js';

const ordered = [['eq', 'is'], ['not', 'is not'], ['in', 'is one of'], ['gt', '>'], ['gte', '≥'], ['lt', '<'], ['lte', '≤'], ['between', 'between']];
const presence = [['exists', 'exists'], ['missing', 'is missing']];
const conditions = {
  keyword: [['eq', 'is'], ['not', 'is not'], ['in', 'is one of'], ['prefix', 'starts with'], ...presence],
  bool: [['eq', 'is'], ...presence],
  int64: [...ordered, ...presence],
  float64: [...ordered, ...presence],
  time: [['gte', 'from'], ['lt', 'before'], ['between', 'between'], ...presence],
  geo: [['within', 'within km of'], ...presence],
  text: presence,
  json: presence,
  '': [...ordered, ['prefix', 'starts with'], ...presence],
};

// literal reads a typed value. An undeclared field takes what the text looks like.
function literal(text, type) {
  const s = text.trim();
  if (type === 'int64' || type === 'float64') {
    const n = Number(s);
    if (s === '' || !Number.isFinite(n)) throw new Error(`"${s}" is not a number`);
    return n;
  }
  if (type === 'bool') return s === 'true';
  if (type === 'time') {
    const t = new Date(s);
    if (Number.isNaN(t.getTime())) throw new Error(`"${s}" is not a time`);
    return t.toISOString();
  }
  if (type === '') {
    if (s === 'true' || s === 'false') return s === 'true';
    if (s !== '' && Number.isFinite(Number(s))) return Number(s);
  }
  return s;
}

// node makes a row's part of the tree; null when the row is empty.
export function node(row, fields) {
  const name = row.field;
  if (!name) return null;
  const type = (fields[name] && fields[name].type) || '';
  switch (row.op) {
    case 'exists': return { field: name, exists: true };
    case 'missing': return { field: name, exists: false };
  }
  if (row.value.trim() === '') return null;
  switch (row.op) {
    case 'not': return { not: { field: name, eq: literal(row.value, type) } };
    case 'in': return { field: name, in: row.value.split(',').filter((s) => s.trim()).map((s) => literal(s, type)) };
    case 'prefix': return { field: name, prefix: row.value };
    case 'between': {
      const parts = row.value.split(/\s*(?:\.\.|,)\s*/);
      if (parts.length !== 2) throw new Error('write two values: low .. high');
      return { field: name, gte: literal(parts[0], type), lte: literal(parts[1], type) };
    }
    case 'within': {
      const [lat, lon, km] = row.value.split(',').map(Number);
      if (![lat, lon, km].every(Number.isFinite)) throw new Error('write latitude, longitude, kilometres');
      return { field: name, within: { lat, lon, meters: km * 1000 } };
    }
    default: return { field: name, [row.op]: literal(row.value, type) };
  }
}

// tree joins the rows; undefined when there is nothing to filter by.
export function tree(model, fields) {
  const nodes = model.rows.map((r) => node(r, fields)).filter(Boolean);
  if (!nodes.length) return undefined;
  return nodes.length === 1 ? nodes[0] : { [model.join]: nodes };
}

// builder draws a model {join, rows} and calls changed after every edit.
export function builder(model, schema, changed) {
  const fields = schema.fields || {};
  const box = h('div', { class: 'filters' });
  const hint = { between: 'low .. high', in: 'a, b, c', within: 'lat, lon, km' };

  function draw(focus) {
    fill(box,
      model.rows.map((row, i) => line(row, i)),
      h('div', { class: 'row' },
        h('button', { type: 'button', class: 'ghost small', on: { click: () => { model.rows.push({ field: Object.keys(fields)[0] || '', op: '', value: '' }); draw(true); } } }, '+ Filter'),
        model.rows.length > 1 ? h('select', { class: 'small', 'aria-label': 'Join filters', value: null, on: { change: (e) => { model.join = e.target.value; changed(); } } },
          h('option', { value: 'and', selected: model.join === 'and' }, 'all must hold'), h('option', { value: 'or', selected: model.join === 'or' }, 'any may hold')) : null,
        model.rows.length ? h('button', { type: 'button', class: 'ghost small', on: { click: () => { model.rows.length = 0; draw(); changed(); } } }, 'Clear') : null));
    if (focus) { const last = [...box.querySelectorAll('.filter-field')].pop(); if (last) last.focus(); }
  }

  function line(row, i) {
    const declared = Object.keys(fields);
    const type = (fields[row.field] && fields[row.field].type) || '';
    const ops = conditions[type] || conditions[''];
    if (!ops.some(([op]) => op === row.op)) row.op = ops[0][0];
    const list = `fields-${i}`;
    const field = h('input', { class: 'filter-field', list, value: row.field, 'aria-label': 'Field', placeholder: 'field', spellcheck: 'false',
      on: { change: (e) => { row.field = e.target.value.trim(); row.op = ''; draw(); changed(); } } });
    const op = h('select', { 'aria-label': 'Condition', on: { change: (e) => { row.op = e.target.value; draw(); changed(); } } },
      ops.map(([id, label]) => h('option', { value: id, selected: id === row.op }, label)));
    let value = null;
    if (row.op !== 'exists' && row.op !== 'missing') {
      value = type === 'bool'
        ? h('select', { 'aria-label': 'Value', on: { change: (e) => { row.value = e.target.value; changed(); } } },
          ['', 'true', 'false'].map((v) => h('option', { value: v, selected: v === row.value }, v)))
        : h('input', { class: 'grow', value: row.value, 'aria-label': 'Value', placeholder: hint[row.op] || 'value', spellcheck: 'false',
          on: { input: (e) => { row.value = e.target.value; }, change: changed, keydown: (e) => { if (e.key === 'Enter') { e.preventDefault(); row.value = e.target.value; changed(); } } } });
    }
    return h('div', { class: 'filter' }, field, h('datalist', { id: list }, declared.map((n) => h('option', { value: n }))), op, value,
      h('button', { type: 'button', class: 'ghost icon', 'aria-label': 'Remove filter', on: { click: () => { model.rows.splice(i, 1); draw(); changed(); } } }, '×'));
  }

  draw();
  return { box, redraw: () => draw() };
}
