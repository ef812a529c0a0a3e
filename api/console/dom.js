// Building blocks of the page. Text reaches the document through text nodes
// only: nothing that is stored can become markup.

// h makes an element. Props are attributes, but for "class", "on" (listeners)
// and "data" (dataset); children are nodes, text, or nothing.
export function h(tag, props, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [type, fn] of Object.entries(value)) el.addEventListener(type, fn);
    else if (name === 'class') el.className = value;
    else if (name === 'data') Object.assign(el.dataset, value);
    else if (name === 'value') el.value = value;
    else el.setAttribute(name, value === true ? '' : String(value));
  }
  put(el, children);
  return el;
}

function put(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

// fill replaces the children of an element.
export function fill(el, ...children) {
  el.replaceChildren();
  put(el, children);
  return el;
}

export const $ = (id) => document.getElementById(id);

// bar is a horizontal bar of a share 0..1.
export function bar(share, cls) {
  const inner = h('i', { class: 'bar-fill' });
  inner.style.setProperty('width', Math.max(0, Math.min(1, share)) * 100 + '%');
  return h('span', { class: 'bar ' + (cls || ''), 'aria-hidden': 'true' }, inner);
}

let toastTimer;
export function toast(text, bad) {
  const el = $('toast');
  el.textContent = text;
  el.className = bad ? 'show bad' : 'show';
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { el.className = ''; }, 5000);
}

const number = new Intl.NumberFormat('en');
export const count = (n) => number.format(n);

export const plural = (n, what) => `${count(n)} ${what}${n === 1 ? '' : 's'}`;

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let u = 0;
  while (n >= 1024 && u < units.length - 1) { n /= 1024; u++; }
  return (u === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' + units[u];
}

export function micros(us) {
  if (us >= 1e6) return (us / 1e6).toFixed(2) + ' s';
  if (us >= 1e3) return (us / 1e3).toFixed(2) + ' ms';
  return (us < 10 ? us.toFixed(1) : Math.round(us)) + ' µs';
}

export function score(x) {
  const a = Math.abs(x);
  return a !== 0 && (a < 0.001 || a >= 1e5) ? x.toExponential(2) : x.toFixed(a < 10 ? 4 : 1);
}

// show draws a value of a document: text, or one of the image types that
// cannot carry script.
export function show(value) {
  if (typeof value === 'string') {
    if (/^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+$/.test(value)) {
      return h('img', { class: 'thumb', src: value, alt: '' });
    }
    return value;
  }
  if (Array.isArray(value) && value.every((v) => typeof v !== 'object')) {
    return h('span', { class: 'tags' }, value.slice(0, 24).map((v) => h('span', { class: 'tag' }, String(v))), value.length > 24 ? ` +${value.length - 24}` : null);
  }
  if (value && typeof value === 'object') {
    if (typeof value.lat === 'number' && typeof value.lon === 'number') return `${value.lat.toFixed(4)}, ${value.lon.toFixed(4)}`;
    return h('code', {}, JSON.stringify(value));
  }
  // Years and codes read best as they are, amounts in groups.
  if (typeof value === 'number' && Math.abs(value) >= 1e5) return h('span', { class: 'num' }, number.format(value));
  return typeof value === 'number' ? h('span', { class: 'num' }, String(value)) : String(value);
}

// columns are the fields a table shows: the heading first, then texts, then the
// rest in the order they appear.
export function columns(docs, schema, limit) {
  const names = [];
  for (const d of docs) for (const n of Object.keys(d.fields || {})) if (!names.includes(n)) names.push(n);
  const decl = schema.fields || {};
  const title = docs.map((d) => heading(d.fields, schema)).find(Boolean);
  const rank = (n) => (n === title ? 0 : decl[n] && decl[n].type === 'text' ? 1 : 2);
  return names.sort((a, b) => rank(a) - rank(b)).slice(0, limit);
}

// glyph returns the one symbol a short field holds (an emoji, say), or "".
export function glyph(fields) {
  for (const v of Object.values(fields || {})) {
    if (typeof v === 'string' && v.length > 0 && v.length <= 16 && /^[^\u0000-\u2000]/u.test(v)) {
      const parts = [...new Intl.Segmenter().segment(v)];
      if (parts.length === 1 && /\p{Extended_Pictographic}|\p{Regional_Indicator}/u.test(v)) return v;
    }
  }
  return '';
}

// present leaves out fields that hold nothing.
export const present = (fields) => Object.entries(fields || {}).filter(([, v]) => v !== '' && v !== null && !(Array.isArray(v) && v.length === 0));

// image returns the first image field of a document, or "".
export function image(fields) {
  for (const v of Object.values(fields || {})) {
    if (typeof v === 'string' && v.length > 64 && show(v) instanceof Node) return v;
  }
  return '';
}

// heading picks the field that names a document best, or "".
export function heading(fields, schema) {
  const names = Object.keys(fields || {});
  const usable = (n) => typeof fields[n] === 'string' && fields[n].length > 0 && fields[n].length < 200 && !fields[n].startsWith('data:');
  for (const want of ['title', 'name', 'label', 'headline', 'subject', 'word', 'lemma']) {
    const n = names.find((x) => x.toLowerCase() === want && usable(x));
    if (n) return n;
  }
  const decl = (schema && schema.fields) || {};
  return names.find((n) => decl[n] && decl[n].type === 'text' && usable(n)) || '';
}
