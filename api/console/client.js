// The HTTP API as functions. The key lives in sessionStorage: it is gone with
// the tab.

const base = new URL('..', import.meta.url);
const slot = 'eider-key';

export const key = {
  get: () => sessionStorage.getItem(slot) || '',
  set: (v) => (v ? sessionStorage.setItem(slot, v) : sessionStorage.removeItem(slot)),
};

// Problem is an RFC 9457 answer.
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || 'HTTP ' + status);
    this.status = status;
    this.code = body.code || '';
    this.hint = body.hint || '';
    this.pointer = body.pointer || '';
  }
}

export async function call(method, path, body, signal) {
  const headers = {};
  if (key.get()) headers.Authorization = 'Bearer ' + key.get();
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const started = performance.now();
  let res;
  try {
    res = await fetch(new URL(path, base), {
      method, headers, signal, credentials: 'omit', cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (err) {
    if (err.name === 'AbortError') throw err;
    throw new Problem(0, { detail: 'the server does not answer', hint: 'is it still running?' });
  }
  const text = await res.text();
  let data = {};
  try { data = text ? JSON.parse(text) : {}; } catch { /* not JSON: the status says enough */ }
  if (!res.ok) throw new Problem(res.status, data);
  return { data, took: performance.now() - started, lsn: res.headers.get('X-LSN') || '' };
}

const seg = encodeURIComponent;
export const collections = () => call('GET', 'v1/collections');
export const stats = () => call('GET', 'v1/stats');
export const models = () => call('GET', 'v1/models');
export const advice = () => call('GET', 'v1/advice');
export const search = (c, q, signal) => call('POST', `v1/collections/${seg(c)}/search`, q, signal);
export const scroll = (c, q, signal) => call('POST', `v1/collections/${seg(c)}/docs/scroll`, q, signal);

// doc reads one document by an id filter: unlike a path, it takes any id.
export async function doc(c, id, vectors) {
  const r = await scroll(c, { filter: { ids: [id] }, limit: 1, vectors });
  if (!r.data.docs.length) throw new Problem(404, { detail: 'the document is gone' });
  return r.data.docs[0];
}
