package eider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/eiderdb/eider/embed"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// Batch collects writes to any collections and commits them together: all or
// none, at one LSN. It is not safe for concurrent use. A write sees the writes
// before it.
type Batch struct {
	db  *DB
	ops []write
	err error
}

// write is one operation before it is encoded for storage.
type write struct {
	c      *Collection
	st     *state
	kind   storage.OpKind
	doc    Doc
	cond   If
	fields []format.Field  // of an upsert
	vecs   []storage.Vec   // of an upsert
	named  map[string]bool // vectors the document brought
}

// Batch starts an empty batch.
func (db *DB) Batch() *Batch { return &Batch{db: db} }

// Upsert adds documents to be inserted or replaced whole.
func (b *Batch) Upsert(collection string, docs ...Doc) *Batch {
	for _, d := range docs {
		b.UpsertIf(collection, d, If{})
	}
	return b
}

// UpsertIf adds a document to be inserted or replaced if cond holds, else the
// batch fails with ErrExists, ErrNotFound or ErrConflict.
func (b *Batch) UpsertIf(collection string, d Doc, cond If) *Batch {
	return b.add(collection, storage.Put, d, cond)
}

// Update adds a merge into an existing document: fields and vectors given
// replace those stored, fields given as nil are removed, all else stays. A
// document that does not exist is ErrNotFound.
func (b *Batch) Update(collection string, d Doc, cond If) *Batch {
	return b.add(collection, storage.Patch, d, cond)
}

// Delete adds removals; ids that do not exist are ignored.
func (b *Batch) Delete(collection string, ids ...string) *Batch {
	for _, id := range ids {
		b.DeleteIf(collection, id, If{})
	}
	return b
}

// DeleteIf adds a removal if cond holds.
func (b *Batch) DeleteIf(collection, id string, cond If) *Batch {
	return b.add(collection, storage.Delete, Doc{ID: id}, cond)
}

// Len is the number of writes added.
func (b *Batch) Len() int { return len(b.ops) }

func (b *Batch) add(collection string, kind storage.OpKind, d Doc, cond If) *Batch {
	if b.err != nil {
		return b
	}
	c, err := b.db.Collection(collection)
	if err != nil {
		b.err = err
		return b
	}
	b.err = b.addTo(c, kind, d, cond)
	return b
}

// addTo checks a write and encodes what can be encoded without storage.
func (b *Batch) addTo(c *Collection, kind storage.OpKind, d Doc, cond If) error {
	if len(b.ops) >= MaxBatch {
		return c.fail("batch", d.ID, fmt.Errorf("%w: more than %d writes in one batch; split it", ErrTooLarge, MaxBatch))
	}
	w := write{c: c, st: c.state.Load(), kind: kind, doc: d, cond: cond, named: map[string]bool{}}
	err := w.encode()
	if err != nil {
		return c.fail(w.verb(), d.ID, locate(fmt.Sprintf("/%d", len(b.ops)), err))
	}
	b.ops = append(b.ops, w)
	return nil
}

func (w *write) verb() string {
	return map[storage.OpKind]string{storage.Put: "upsert", storage.Patch: "update", storage.Delete: "delete"}[w.kind]
}

func (w *write) encode() error {
	if _, err := format.EncodeID(w.st.stored.idKind(), w.doc.ID); err != nil {
		return fmt.Errorf("%w: %v", ErrInvalid, err)
	}
	if w.cond.Absent && (w.cond.Exists || w.cond.Version != 0) {
		return fmt.Errorf("%w: a document cannot be required both absent and existing", ErrInvalid)
	}
	if w.kind == storage.Delete {
		return nil
	}
	var err error
	if w.fields, err = w.st.stored.encodeFields(w.doc.Fields); err != nil {
		return err
	}
	for _, name := range sortedKeys(w.doc.Vectors) {
		v := w.doc.Vectors[name]
		spec, ok := w.st.stored.Schema.Vectors[name]
		if !ok {
			return locate("/vectors/"+name, w.st.unknownVector(name))
		}
		w.named[name] = true
		if v == nil {
			continue // in an update: remove it
		}
		data, err := encodeVector(spec, v)
		if err != nil {
			return locate("/vectors/"+name, fmt.Errorf("vector %q: %w", name, err))
		}
		w.vecs = append(w.vecs, storage.Vec{Field: w.st.stored.VectorID[name], Data: data})
	}
	if y := w.doc.ExpireAt.Year(); !w.doc.ExpireAt.IsZero() && (y < 1970 || y > 2261) {
		return locate("/expire_at", fmt.Errorf("%w: year %d is outside 1970 to 2261", ErrInvalid, y))
	}
	return nil
}

// Commit applies the batch. When it returns without error every write is
// durable (fsynced unless Options.Async) and visible to every later read, at
// Receipt.LSN; on an error none was applied, but for ErrUnknown: see there.
//
// Errors: ErrInvalid, ErrUnknownField, ErrDimension, ErrVector, ErrExists,
// ErrNotFound, ErrConflict, ErrEncoder, ErrTooLarge, ErrFull, ErrReadOnly,
// ErrClosed, or the context's.
func (b *Batch) Commit(ctx context.Context) (Receipt, error) {
	if b.err != nil {
		return Receipt{}, b.err
	}
	name := ""
	if len(b.ops) > 0 {
		name = b.ops[0].c.name
	}
	r, err := b.commit(ctx)
	return r, b.db.fail("commit", name, "", err)
}

func (b *Batch) commit(ctx context.Context) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	if len(b.ops) == 0 {
		return Receipt{LSN: b.db.LSN()}, nil
	}
	if err := b.encodeTexts(ctx); err != nil {
		return Receipt{}, err
	}
	waited := map[*live]bool{}
	ops := make([]storage.Op, len(b.ops))
	for i := range b.ops {
		w := &b.ops[i]
		var err error
		if ops[i], err = w.op(b.db); err != nil {
			return Receipt{}, b.db.fail(w.verb(), w.c.name, w.doc.ID, err)
		}
		for _, l := range w.st.lives {
			if len(w.vecs) == 0 || waited[l] {
				continue
			}
			waited[l] = true
			if err := l.room(ctx); err != nil {
				return Receipt{}, err
			}
		}
	}
	res, err := b.db.store.Commit(ctx, ops)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{LSN: res.LSN, Docs: make([]Written, len(ops))}
	for i, o := range res.Ops {
		r.Docs[i] = Written{ID: ops[i].ID, Version: o.Version, Existed: o.Existed}
	}
	return r, nil
}

// op gives the storage operation of a write.
func (w *write) op(db *DB) (storage.Op, error) {
	op := storage.Op{Kind: w.kind, Collection: w.c.id, ID: w.doc.ID}
	switch {
	case w.cond.Version != 0:
		op.If = storage.Version(w.cond.Version)
	case w.cond.Absent:
		op.If = storage.Absent
	case w.cond.Exists:
		op.If = storage.Exists
	}
	if !w.doc.ExpireAt.IsZero() {
		op.ExpireAt = w.doc.ExpireAt.UnixNano()
	}
	switch w.kind {
	case storage.Put:
		if ttl := w.st.stored.Schema.TTL; op.ExpireAt == 0 && ttl > 0 {
			op.ExpireAt = db.now() + int64(ttl)
		}
		body, err := format.EncodeDocument(nil, w.fields)
		if err != nil {
			return op, err
		}
		op.Body, op.Vectors = body, w.vecs
	case storage.Patch:
		op.Patch = w.merge
	}
	return op, nil
}

// merge makes the new version of a document out of the stored one. It runs in
// the committer.
func (w *write) merge(old *storage.Record) (storage.Update, error) {
	if old == nil {
		return storage.Update{}, fmt.Errorf("%w: document %q; upsert it to create it", ErrNotFound, w.doc.ID)
	}
	fields, err := format.DecodeDocument(old.Body)
	if err != nil {
		return storage.Update{}, err
	}
	merged := make(map[string]format.Value, len(fields))
	for _, f := range fields {
		merged[f.Name] = f.Value
	}
	for name, x := range w.doc.Fields {
		if x == nil {
			delete(merged, name)
		}
	}
	for _, f := range w.fields {
		merged[f.Name] = f.Value
	}
	list := make([]format.Field, 0, len(merged))
	for name, v := range merged {
		list = append(list, format.Field{Name: name, Value: v})
	}
	u := storage.Update{Vectors: w.vecs, ExpireAt: old.ExpireAt}
	if !w.doc.ExpireAt.IsZero() {
		u.ExpireAt = w.doc.ExpireAt.UnixNano()
	}
	for name, id := range w.st.stored.VectorID {
		if w.named[name] {
			continue
		}
		data, err := old.Vector(id, nil)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return u, err
		}
		if err == nil {
			u.Vectors = append(u.Vectors[:len(u.Vectors):len(u.Vectors)], storage.Vec{Field: id, Data: data})
		}
	}
	u.Body, err = format.EncodeDocument(nil, list)
	return u, err
}

// encodeTexts makes the vectors that documents left to the collection's
// encoders, a call per encoder for the whole batch.
func (b *Batch) encodeTexts(ctx context.Context) error {
	type want struct {
		w    *write
		name string
	}
	texts, wants := map[string][]string{}, map[string][]want{} // by encoder
	encoders := map[string]embed.Encoder{}
	for i := range b.ops {
		w := &b.ops[i]
		for name, spec := range w.st.stored.Schema.Vectors {
			if w.kind == storage.Delete || w.named[name] || len(spec.Source) == 0 {
				continue
			}
			text := sourceText(spec.Source, w.doc.Fields)
			if w.kind == storage.Patch && !touches(spec.Source, w.doc.Fields) || text == "" {
				continue
			}
			if w.kind == storage.Patch {
				var err error
				if text, err = w.mergedText(ctx, spec.Source); err != nil {
					return err
				}
			}
			enc, err := b.db.encoder(w.st.stored, name)
			if err != nil {
				return err
			}
			encoders[spec.Encoder] = enc
			texts[spec.Encoder] = append(texts[spec.Encoder], text)
			wants[spec.Encoder] = append(wants[spec.Encoder], want{w, name})
		}
	}
	for enc, list := range texts {
		vecs, ok, err := encodeAll(ctx, encoders[enc], list)
		if err != nil {
			return err
		}
		for i, t := range wants[enc] {
			if !ok[i] {
				continue // nothing to encode: the document has no such vector
			}
			spec := t.w.st.stored.Schema.Vectors[t.name]
			data, err := encodeVector(spec, vecs[i])
			if err != nil {
				return b.db.fail(t.w.verb(), t.w.c.name, t.w.doc.ID, fmt.Errorf("encoded vector %q: %w", t.name, err))
			}
			t.w.named[t.name] = true
			t.w.vecs = append(t.w.vecs, storage.Vec{Field: t.w.st.stored.VectorID[t.name], Data: data})
		}
	}
	return nil
}

// touches reports whether an update writes any of the source fields.
func touches(source []string, fields map[string]any) bool {
	for _, name := range source {
		if _, ok := fields[name]; ok {
			return true
		}
	}
	return false
}

// mergedText is the source text of a document after an update. It reads the
// document before the commit; a concurrent update of another source field may
// leave the vector of the older text, as two updates in either order would.
func (w *write) mergedText(ctx context.Context, source []string) (string, error) {
	old, err := w.c.get(ctx, []string{w.doc.ID}, source)
	if err != nil || len(old) == 0 {
		return sourceText(source, w.doc.Fields), err
	}
	fields := old[0].Fields
	if fields == nil {
		fields = map[string]any{}
	}
	maps.Copy(fields, w.doc.Fields)
	return sourceText(source, fields), nil
}

// sourceText joins the texts of fields with spaces.
func sourceText(source []string, fields map[string]any) string {
	var parts []string
	for _, name := range source {
		switch v := fields[name].(type) {
		case string:
			parts = append(parts, v)
		case []string:
			parts = append(parts, v...)
		case []any:
			for _, e := range v {
				if s, ok := e.(string); ok {
					parts = append(parts, s)
				}
			}
		}
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// one commits a batch of writes to c.
func (c *Collection) one(ctx context.Context, op string, id string, fill func(b *Batch) error) (Receipt, error) {
	b := c.db.Batch()
	if err := fill(b); err != nil {
		return Receipt{}, c.fail(op, id, err)
	}
	r, err := b.commit(ctx)
	return r, c.fail(op, id, err)
}

// Upsert inserts documents, or replaces them whole, all or none, in one LSN.
// Durable and visible on return; see Batch.Commit for errors. Documents without
// a vector that has an encoder and Source fields get it encoded.
func (c *Collection) Upsert(ctx context.Context, docs ...Doc) (Receipt, error) {
	return c.one(ctx, "upsert", "", func(b *Batch) error {
		b.ops = make([]write, 0, len(docs))
		for _, d := range docs {
			if err := b.addTo(c, storage.Put, d, If{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// UpsertIf is Upsert of one document if cond holds.
func (c *Collection) UpsertIf(ctx context.Context, d Doc, cond If) (Receipt, error) {
	return c.one(ctx, "upsert", d.ID, func(b *Batch) error { return b.addTo(c, storage.Put, d, cond) })
}

// Update merges into an existing document; see Batch.Update.
func (c *Collection) Update(ctx context.Context, d Doc, cond If) (Receipt, error) {
	return c.one(ctx, "update", d.ID, func(b *Batch) error { return b.addTo(c, storage.Patch, d, cond) })
}

// Delete removes documents by id, all or none; ids that do not exist are
// ignored (Written.Existed tells).
func (c *Collection) Delete(ctx context.Context, ids ...string) (Receipt, error) {
	return c.one(ctx, "delete", "", func(b *Batch) error {
		for _, id := range ids {
			if err := b.addTo(c, storage.Delete, Doc{ID: id}, If{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeleteIf removes a document if cond holds.
func (c *Collection) DeleteIf(ctx context.Context, id string, cond If) (Receipt, error) {
	return c.one(ctx, "delete", id, func(b *Batch) error { return b.addTo(c, storage.Delete, Doc{ID: id}, cond) })
}

// whereChunk is the number of documents a write by filter takes per LSN.
const whereChunk = 1000

// DeleteWhere removes the documents that pass f as of one LSN, in chunks of up
// to 1000 per LSN: it is not atomic as a whole, and a document written after
// that LSN stays. It returns how many it removed; with dryRun, how many it
// would.
func (c *Collection) DeleteWhere(ctx context.Context, f Filter, dryRun bool) (uint64, Receipt, error) {
	return c.where(ctx, "delete where", f, dryRun, func(b *Batch, d Doc) error {
		return b.addTo(c, storage.Delete, Doc{ID: d.ID}, If{Version: d.Version})
	})
}

// UpdateWhere merges fields into the documents that pass f, like DeleteWhere.
func (c *Collection) UpdateWhere(ctx context.Context, f Filter, fields map[string]any, dryRun bool) (uint64, Receipt, error) {
	return c.where(ctx, "update where", f, dryRun, func(b *Batch, d Doc) error {
		return b.addTo(c, storage.Patch, Doc{ID: d.ID, Fields: fields}, If{Version: d.Version})
	})
}

func (c *Collection) where(ctx context.Context, op string, f Filter, dryRun bool, add func(*Batch, Doc) error) (uint64, Receipt, error) {
	view, st, err := c.read(ctx)
	if err != nil {
		return 0, Receipt{}, c.fail(op, "", err)
	}
	m, err := c.matching(ctx, view, st, &f)
	if err != nil || dryRun {
		n := uint64(0)
		if err == nil {
			n = m.GetCardinality()
		}
		view.Release()
		return n, Receipt{LSN: c.db.LSN()}, c.fail(op, "", err)
	}
	// The ids are read first: holding the view while writing would keep every
	// version it replaces.
	docs := make([]Doc, 0, m.GetCardinality())
	for it := m.Iterator(); it.HasNext() && err == nil; {
		var d Doc
		d, err = st.read(view, it.Next(), []string{}, nil)
		docs = append(docs, d)
	}
	view.Release()
	var done uint64
	var last Receipt
	for len(docs) > 0 && err == nil {
		n := min(whereChunk, len(docs))
		var wrote uint64
		wrote, last, err = c.whereChunk(ctx, op, docs[:n], add)
		done += wrote
		docs = docs[n:]
	}
	return done, last, c.fail(op, "", err)
}

// whereChunk writes one chunk; if a document of it was written meanwhile, the
// documents go one by one and those are left.
func (c *Collection) whereChunk(ctx context.Context, op string, docs []Doc, add func(*Batch, Doc) error) (uint64, Receipt, error) {
	r, err := c.one(ctx, op, "", func(b *Batch) error {
		for _, d := range docs {
			if err := add(b, d); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		return uint64(len(docs)), r, nil
	}
	if code := CodeOf(err); len(docs) == 1 && (code == CodeConflict || code == CodeNotFound) {
		return 0, Receipt{LSN: c.db.LSN()}, nil
	} else if code != CodeConflict && code != CodeNotFound {
		return 0, Receipt{}, err
	}
	var done uint64
	for _, d := range docs {
		n, one, err := c.whereChunk(ctx, op, []Doc{d}, add)
		if err != nil {
			return done, r, err
		}
		done, r = done+n, one
	}
	return done, r, nil
}

// sweep deletes expired documents. Reads never return them; sweeping frees
// their space.
func (db *DB) sweep() {
	db.mu.RLock()
	colls := slices.Collect(maps.Values(db.colls))
	db.mu.RUnlock()
	for _, c := range colls {
		if err := c.sweep(db.ctx); err != nil && db.ctx.Err() == nil {
			db.log.Warn("expired documents were not deleted; it will be tried again", "collection", c.name, "err", err)
		}
	}
}

func (c *Collection) sweep(ctx context.Context) error {
	view, st, err := c.read(ctx)
	if err != nil {
		return err
	}
	expired, err := view.Expired(st.id, c.db.now())
	var ops []storage.Op
	if err == nil {
		for it := expired.Iterator(); it.HasNext() && len(ops) < whereChunk && err == nil; {
			var d Doc
			if d, err = st.read(view, it.Next(), []string{}, nil); err == nil {
				// An expired document counts as absent. If a new version has come under
				// the id, the condition fails and it stays.
				ops = append(ops, storage.Op{Kind: storage.Delete, Collection: c.id, ID: d.ID, If: storage.Absent})
			}
		}
	}
	view.Release()
	if err != nil || len(ops) == 0 {
		return err
	}
	if _, err = c.db.store.Commit(ctx, ops); errors.Is(err, storage.ErrExists) {
		for _, op := range ops {
			if _, err = c.db.store.Commit(ctx, []storage.Op{op}); err != nil && !errors.Is(err, storage.ErrExists) {
				return err
			}
		}
		return nil
	}
	return err
}
