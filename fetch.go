package eider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage"
	"github.com/eiderdb/eider/storage/format"
)

// fetch reads the documents of the final rows. The ids of one result are parts
// of one string.
func (s *search) fetch(rows []row) error {
	hits := make([]Hit, len(rows))
	s.ids, s.ends = s.ids[:0], s.ends[:0]
	for i := range rows {
		if i%64 == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		r := &rows[i]
		rec, id, err := s.reader.Record(s.st.id, r.ord)
		if err != nil {
			return err
		}
		s.ids = append(s.ids, id...)
		s.ends = append(s.ends, len(s.ids))
		d, err := s.st.decode(s.view, rec, s.q.Fields, s.q.Vectors)
		if err != nil {
			return err
		}
		hits[i] = Hit{Score: r.score, Version: d.Version, Fields: d.Fields, Vectors: d.Vectors, Group: r.group, Ranked: r.ranked}
		for _, p := range r.parts {
			hits[i].Explain = append(hits[i].Explain, SourceScore{Source: p.Source, Rank: p.Rank, Score: p.Score, Fused: p.Fused,
				Distance: float64(s.distances[p.Source][r.ord])})
		}
	}
	ids, from := string(s.ids), 0
	for i, to := range s.ends {
		hits[i].ID, from = ids[from:to], to
	}
	s.result.Hits = hits
	s.phase(Phase{Name: "fetch", In: len(rows), Out: len(rows)})
	return nil
}

// ord finds the ordinal of a live document by id.
func (s *search) ord(id string) (uint32, error) {
	ord, _, ok, err := s.view.Lookup(s.st.id, id)
	if err == nil && !ok {
		err = fmt.Errorf("%w: document %q", ErrNotFound, id)
	}
	return ord, err
}

// vector reads the stored vector of a document, nil if it has none.
func (s *search) vector(lv *live, ord uint32) ([]float32, error) {
	return s.st.readVector(s.view, lv.id, lv.spec, ord)
}

// read builds a document from its stored form. fields nil means all; vectors
// names the vectors wanted.
func (st *state) read(v *storage.View, ord uint32, names, vectors []string) (Doc, error) {
	rec, err := v.Record(st.id, ord)
	if err != nil {
		return Doc{}, err
	}
	return st.decode(v, rec, names, vectors)
}

func (st *state) decode(v *storage.View, rec storage.Record, names, vectors []string) (Doc, error) {
	d := Doc{ID: rec.ID, Version: rec.Version, ExpireAt: timeOf(rec.ExpireAt)}
	if names == nil {
		all, err := format.DecodeDocument(rec.Body)
		if err != nil {
			return d, err
		}
		d.Fields = make(map[string]any, len(all))
		for _, f := range all {
			d.Fields[f.Name] = decodeValue(as(f.Value, st.stored.Schema.Fields[f.Name].Type))
		}
	} else if len(names) > 0 {
		d.Fields = make(map[string]any, len(names))
		for _, n := range names {
			if x, ok := format.Lookup(rec.Body, n); ok {
				d.Fields[n] = decodeValue(as(x, st.stored.Schema.Fields[n].Type))
			}
		}
	}
	for _, name := range vectors {
		spec, ok := st.stored.Schema.Vectors[name]
		if !ok {
			return d, st.unknownVector(name)
		}
		vec, err := st.readVector(v, st.stored.VectorID[name], spec, rec.Ord)
		if err != nil {
			return d, err
		}
		if vec != nil {
			if d.Vectors == nil {
				d.Vectors = map[string][]float32{}
			}
			d.Vectors[name] = vec
		}
	}
	return d, nil
}

func (st *state) readVector(v *storage.View, id uint16, spec Vector, ord uint32) ([]float32, error) {
	raw, err := v.Vector(st.id, id, ord, nil)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeVector(spec, raw, nil)
}

// Get reads one document with its vectors. fields, if given, are the only
// fields returned. Errors: ErrNotFound, ErrClosed.
func (c *Collection) Get(ctx context.Context, id string, names ...string) (Doc, error) {
	docs, err := c.get(ctx, []string{id}, names)
	if err != nil {
		return Doc{}, c.fail("get", id, err)
	}
	if len(docs) == 0 {
		return Doc{}, c.fail("get", id, fmt.Errorf("%w: document %q", ErrNotFound, id))
	}
	return docs[0], nil
}

// GetMany reads documents with their vectors, in the order of ids, leaving out
// those that do not exist, as of one LSN.
func (c *Collection) GetMany(ctx context.Context, ids []string) ([]Doc, error) {
	docs, err := c.get(ctx, ids, nil)
	if err != nil {
		return nil, c.fail("get", "", err)
	}
	return docs, nil
}

func (c *Collection) get(ctx context.Context, ids, names []string) ([]Doc, error) {
	view, st, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	if len(names) == 0 {
		names = nil
	}
	now := c.db.now()
	var docs []Doc
	for i, id := range ids {
		if i%64 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		ord, _, ok, err := view.Lookup(st.id, id)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		d, err := st.read(view, ord, names, st.vectorOrder)
		if err != nil {
			return nil, err
		}
		if d.ExpireAt.IsZero() || d.ExpireAt.UnixNano() > now {
			docs = append(docs, d)
		}
	}
	return docs, nil
}

// read takes the current view and the state that belongs to it.
func (c *Collection) read(ctx context.Context) (*storage.View, *state, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	view, err := c.db.viewAt(0)
	if err != nil {
		return nil, nil, err
	}
	st, err := c.stateAt(view.LSN())
	if err != nil {
		view.Release()
		return nil, nil, err
	}
	return view, st, nil
}

// matching computes the documents that pass f (nil: all) in a view.
func (c *Collection) matching(ctx context.Context, view *storage.View, st *state, f *Filter) (*roaring.Bitmap, error) {
	live := view.Live(st.id)
	expired, err := view.Expired(st.id, c.db.now())
	if err != nil {
		return nil, err
	}
	if !expired.IsEmpty() {
		live = roaring.AndNot(live, expired)
	}
	if f == nil {
		return live, nil
	}
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if err := st.checkFilter(f); err != nil {
		return nil, err
	}
	e, err := index.Evaluate(ctx, f, live, &fields{state: st, view: view, ctx: ctx})
	return e.Matches, err
}

// Count returns the exact number of documents that pass f (nil: all).
func (c *Collection) Count(ctx context.Context, f *Filter) (uint64, error) {
	view, st, err := c.read(ctx)
	if err != nil {
		return 0, c.fail("count", "", err)
	}
	defer view.Release()
	m, err := c.matching(ctx, view, st, f)
	if err != nil {
		return 0, c.fail("count", "", err)
	}
	return m.GetCardinality(), nil
}

// Scroll asks for one page of documents in id order.
type Scroll struct {
	Filter  *Filter  `json:"filter,omitempty"`
	Limit   int      `json:"limit,omitempty"`   // 1..1000, default 100
	Cursor  string   `json:"cursor,omitempty"`  // of the last page
	Fields  []string `json:"fields,omitempty"`  // nil means all
	Vectors []string `json:"vectors,omitempty"` // names, default none
}

// Page is one page of a scroll.
type Page struct {
	Docs   []Doc  `json:"docs"`
	Cursor string `json:"cursor,omitempty"` // "" on the last page
	LSN    uint64 `json:"lsn"`
}

// Scroll reads documents in id order, a page a call. Its cursor is the last id,
// so it never expires: a document that is there throughout is returned exactly
// once, whatever is written meanwhile.
func (c *Collection) Scroll(ctx context.Context, sc Scroll) (Page, error) {
	p, err := c.scroll(ctx, sc)
	if err != nil {
		return Page{}, c.fail("scroll", "", err)
	}
	return p, nil
}

func (c *Collection) scroll(ctx context.Context, sc Scroll) (Page, error) {
	if sc.Limit == 0 {
		sc.Limit = 100
	}
	if sc.Limit < 0 || sc.Limit > MaxLimit {
		return Page{}, locate("/limit", fmt.Errorf("%w: limit %d; use 1 to %d", ErrInvalid, sc.Limit, MaxLimit))
	}
	owner := (&Query{Filter: sc.Filter}).fingerprint(c.name)
	var from page
	var err error
	if sc.Cursor != "" {
		if from, err = openCursor(sc.Cursor, cursorScroll, owner); err != nil {
			return Page{}, err
		}
	}
	view, st, err := c.read(ctx)
	if err != nil {
		return Page{}, err
	}
	defer view.Release()
	m, err := c.matching(ctx, view, st, sc.Filter)
	if err != nil {
		return Page{}, err
	}
	out := Page{LSN: view.LSN(), Docs: []Doc{}}
	last, more := "", false
	err = st.eachID(ctx, view, m, string(from.After), func(id string, ord uint32) (bool, error) {
		if len(out.Docs) == sc.Limit {
			more = true
			return false, nil
		}
		d, err := st.read(view, ord, sc.Fields, sc.Vectors)
		out.Docs = append(out.Docs, d)
		last = id
		return true, err
	})
	if more {
		out.Cursor = page{After: []byte(last)}.seal(cursorScroll, owner)
	}
	return out, err
}

// eachID visits the documents of m in id order, after the key given.
func (st *state) eachID(ctx context.Context, view *storage.View, m *roaring.Bitmap, after string, fn func(id string, ord uint32) (bool, error)) error {
	var inner error
	n := 0
	err := view.ScanIDs(st.id, after, func(id string, ord uint32, _ uint64) bool {
		if n++; n%256 == 0 {
			if inner = ctx.Err(); inner != nil {
				return false
			}
		}
		if !m.Contains(ord) {
			return true
		}
		var ok bool
		ok, inner = fn(id, ord)
		return ok && inner == nil
	})
	if inner != nil {
		return inner
	}
	return err
}

// All yields every document that passes f (nil: every one) with its vectors, in
// id order, as of one LSN, which stays readable while the iteration goes on.
func (c *Collection) All(ctx context.Context, f *Filter) iter.Seq2[Doc, error] {
	return func(yield func(Doc, error) bool) {
		view, st, err := c.read(ctx)
		if err != nil {
			yield(Doc{}, c.fail("all", "", err))
			return
		}
		defer view.Release()
		m, err := c.matching(ctx, view, st, f)
		if err == nil {
			err = st.eachID(ctx, view, m, "", func(_ string, ord uint32) (bool, error) {
				d, err := st.read(view, ord, nil, st.vectorOrder)
				return err == nil && yield(d, nil), err
			})
		}
		if err != nil {
			yield(Doc{}, c.fail("all", "", err))
		}
	}
}

// timeOf turns stored nanoseconds into a time, zero for none.
func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
