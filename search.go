package eider

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/rank"
	"github.com/eiderdb/eider/storage"
)

// Search answers q as of one LSN: it filters, retrieves, fuses, orders and
// fetches from one snapshot. It returns Limit hits whenever Limit documents
// pass the filter and have the vector searched.
//
// Errors: ErrInvalid, ErrDimension, ErrVector, ErrFilter, ErrUnknownField,
// ErrNotFound (an example of Like), ErrEncoder, ErrCursor, ErrClosed, or the
// context's, within 10 ms of its end.
func (c *Collection) Search(ctx context.Context, q Query) (Result, error) {
	s := searches.Get().(*search)
	s.ctx, s.c, s.q = ctx, c, q
	err := s.begin()
	if err == nil {
		err = s.run()
	}
	r := s.result
	s.end()
	if err != nil {
		return Result{}, c.fail("search", "", err)
	}
	return r, nil
}

// search is one query under way.
type search struct {
	ctx    context.Context
	c      *Collection
	st     *state
	view   *storage.View // nil before begin has taken it
	q      Query
	page   page // from the cursor
	want   int  // hits up to the end of this page
	fields fields
	models []*loaded // of the rank phases

	filtered  bool            // matches restricts, otherwise it is all live documents
	matches   *roaring.Bitmap // read only
	result    Result
	distances []map[uint32]float32 // by source and ordinal, for explain
	members   map[string][]row     // rows of each group, best first
	phases    []Phase
	mark      time.Time

	scratch
}

// scratch is what a search leaves to the next. None of it reaches a Result.
type scratch struct {
	accept func(id uint32) bool // whether matches holds id
	reader storage.Reader
	near   []index.Hit // of the source asked last
	found  []row
	ids    []byte // text of the hits' ids
	ends   []int  // of each id in it
}

var searches = sync.Pool{New: func() any {
	s := new(search)
	s.accept = func(id uint32) bool { return s.matches.Contains(id) }
	return s
}}

// begin checks the query, fills its defaults in, and takes the snapshot it
// reads.
func (s *search) begin() error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	if err := s.q.normalise(); err != nil {
		return err
	}
	if s.q.Cursor != "" {
		var err error
		if s.page, err = openCursor(s.q.Cursor, cursorSearch, s.q.fingerprint(s.c.name)); err != nil {
			return err
		}
	}
	var err error
	if s.view, err = s.c.db.viewAt(s.page.LSN); err != nil {
		return err
	}
	if s.st, err = s.c.stateAt(s.view.LSN()); err != nil {
		return err
	}
	s.reader.Reset(s.view)
	s.fields = fields{state: s.st, view: s.view, ctx: s.ctx}
	if err := s.beginRank(); err != nil {
		return err
	}
	s.want = s.page.Offset + s.q.Limit
	if s.want > MaxOffset {
		return fmt.Errorf("%w: page ends at hit %d; pages go to %d, narrow the filter instead", ErrInvalid, s.want, MaxOffset)
	}
	if s.timed() {
		s.mark = time.Now()
	}
	return nil
}

// Memory that a search beyond the ordinary needed is not kept.
const (
	keptRows  = 1024
	keptBytes = 64 << 10
)

// end lets the snapshot go and leaves the memory to the next search.
func (s *search) end() {
	if s.view != nil {
		s.view.Release()
	}
	kept := s.scratch
	kept.reader.Reset(nil)
	kept.reader.Shrink(keptBytes)
	clear(kept.found) // rows hold values of documents
	if cap(kept.found) > keptRows {
		kept.found, kept.near, kept.ends = nil, nil, nil
	}
	if cap(kept.ids) > keptBytes {
		kept.ids = nil
	}
	*s = search{scratch: kept}
	searches.Put(s)
}

// timed reports whether anybody will see the phases.
func (s *search) timed() bool { return s.q.Explain || s.q.Timed }

// phase closes the phase that began at the last mark.
func (s *search) phase(p Phase) {
	if !s.timed() {
		return
	}
	now := time.Now()
	p.Micros = float64(now.Sub(s.mark).Nanoseconds()) / 1e3
	s.mark = now
	s.phases = append(s.phases, p)
}

// row is a candidate on its way to becoming a hit.
type row struct {
	ord    uint32
	score  float64
	parts  []rank.Part
	ranked []RankScore // by the phases that scored it, for explain
	group  any
	key    string // of the group this row heads
}

func (s *search) run() error {
	if err := s.filter(); err != nil {
		return err
	}
	rows, err := s.rows()
	if err != nil {
		return err
	}
	if err := s.facets(); err != nil {
		return err
	}
	more := len(rows) > s.want
	rows = rows[min(s.page.Offset, len(rows)):min(s.want, len(rows))]
	if s.q.GroupBy != nil {
		rows = s.flatten(rows)
	}
	if err := s.fetch(rows); err != nil {
		return err
	}
	s.result.LSN = s.view.LSN()
	if more && len(rows) > 0 && s.q.Paged {
		next := page{Offset: s.want, LSN: s.view.LSN()}
		s.result.Cursor = next.seal(cursorSearch, s.q.fingerprint(s.c.name))
		s.c.db.pin(s.view)
	}
	if s.timed() {
		s.result.Explain = &Explain{Phases: s.phases}
	}
	return nil
}

// filter computes the documents the query may return.
func (s *search) filter() error {
	live := s.view.Live(s.st.id)
	expired, err := s.view.Expired(s.st.id, s.c.db.now())
	if err != nil {
		return err
	}
	s.matches = live
	if !expired.IsEmpty() {
		s.matches, s.filtered = roaring.AndNot(live, expired), true
	}
	if s.q.Filter != nil {
		if err := s.st.checkFilter(s.q.Filter); err != nil {
			return err
		}
		in := int(s.matches.GetCardinality())
		e, err := index.Evaluate(s.ctx, s.q.Filter, s.matches, &s.fields)
		if err != nil {
			return err
		}
		s.matches, s.filtered = e.Matches, true
		p := Phase{Name: "filter", In: in, Out: int(e.Matches.GetCardinality()), Plan: "postings"}
		if e.Read > 0 {
			p.Plan = "postings, then documents"
			if s.q.Explain {
				p.Counts = map[string]int{"documents_read": e.Read}
			}
		}
		s.phase(p)
		for _, name := range e.Scanned {
			s.advise("filter on %q reads every candidate document; add an index to the field", name)
		}
	}
	if s.q.Total {
		n := s.matches.GetCardinality()
		s.result.Total = &n
	}
	return nil
}

func (s *search) advise(format string, args ...any) {
	a := fmt.Sprintf(format, args...)
	if !slices.Contains(s.result.Advice, a) {
		s.result.Advice = append(s.result.Advice, a)
	}
}

// checkFilter is checkFields of what f reads.
func (st *state) checkFilter(f *Filter) error {
	if !st.stored.Schema.Strict {
		return nil
	}
	return st.checkFields(f.Names(), "/filter")
}

// checkFields refuses names a strict schema does not have. It comes before any
// evaluation: not(misspelt = x) would match everything.
func (st *state) checkFields(names []string, at string) error {
	if !st.stored.Schema.Strict {
		return nil
	}
	for _, n := range names {
		if _, ok := st.stored.Schema.Fields[n]; !ok {
			return locate(at, st.stored.unknownField(n))
		}
	}
	return nil
}

// rows returns the ordered candidates, at least one more than wanted when there
// are more; with GroupBy each row heads a group.
func (s *search) rows() ([]row, error) {
	if s.q.GroupBy != nil {
		return s.groups(s.ranked)
	}
	rows, _, err := s.ranked(s.want + 1)
	if err == nil && len(s.q.Retrieve) > 0 && len(s.q.Sort) > 0 {
		return s.sortRows(rows)
	}
	return rows, err
}

// ranked returns candidates in the order of the rank phases; last says that there
// are no more. The rows are good until it is called again.
func (s *search) ranked(need int) (rows []row, last bool, err error) {
	need = s.candidatesWanted(need)
	if len(s.q.Retrieve) == 0 {
		rows, err = s.browse(need)
	} else {
		rows, err = s.retrieve(need)
	}
	if err == nil {
		err = s.rerank(rows)
	}
	return rows, len(rows) < need, err
}

// retrieve asks every source for candidates and fuses them. The rows are good
// until it is called again.
func (s *search) retrieve(need int) ([]row, error) {
	if s.q.Explain {
		s.distances = make([]map[uint32]float32, len(s.q.Retrieve))
	}
	if len(s.q.Retrieve) == 1 {
		return s.alone(need)
	}
	sources := make([]rank.Source, len(s.q.Retrieve))
	for i := range sources {
		hits, metric, err := s.source(i, need)
		if err != nil {
			return nil, err
		}
		src := rank.Source{Weight: s.q.Retrieve[i].Weight, Candidates: make([]rank.Candidate, len(hits))}
		for j, h := range hits {
			src.Candidates[j] = rank.Candidate{ID: h.ID, Score: metric.Score(h.Distance)}
		}
		sources[i] = src
	}
	return s.fuse(sources), nil
}

// alone is the only source as it is.
func (s *search) alone(need int) ([]row, error) {
	hits, metric, err := s.source(0, need)
	if err != nil {
		return nil, err
	}
	s.found = slices.Grow(s.found[:0], len(hits))
	for i, h := range hits {
		r := row{ord: h.ID, score: metric.Score(h.Distance)}
		if s.q.Explain {
			r.parts = []rank.Part{{Rank: i + 1, Score: r.score, Fused: r.score}}
		}
		s.found = append(s.found, r)
	}
	return s.found, nil
}

// fusedK is the number of candidates each source gives when the order is
// decided after retrieval.
const fusedK = 100

// candidates is how many hits a source is asked for.
func (s *search) candidates(r *Retrieve, need int) int {
	switch {
	case r.K == 0 && (len(s.q.Retrieve) > 1 || len(s.q.Sort) > 0):
		return max(need, fusedK)
	case r.K == 0:
		return need
	case s.q.GroupBy == nil:
		return max(r.K, min(need, MaxOffset))
	}
	return r.K
}

func (s *search) fuse(sources []rank.Source) []row {
	var fused []rank.Fused
	plan := "rrf"
	if w := s.q.Fuse.weighted(); w != nil {
		plan = "weighted " + w.Norm
		fused = rank.Weighted(rank.Norm(w.Norm), sources...)
	} else {
		fused = rank.RRF(s.q.Fuse.rrfK(), sources...)
	}
	rows := make([]row, len(fused))
	in := 0
	for _, src := range sources {
		in += len(src.Candidates)
	}
	for i, f := range fused {
		rows[i] = row{ord: f.ID, score: f.Score}
		if s.q.Explain {
			rows[i].parts = f.Parts
		}
	}
	s.phase(Phase{Name: "fuse", Plan: plan, In: in, Out: len(rows)})
	return rows
}

// source runs one retrieval: the nearest allowed documents of a query vector.
// The hits are good until it is called again.
func (s *search) source(i, need int) ([]index.Hit, index.Metric, error) {
	r := &s.q.Retrieve[i]
	k := s.candidates(r, need)
	lv, vec, exclude, err := s.target(i, r)
	if err != nil {
		return nil, "", err
	}
	x, err := lv.wait(s.ctx)
	if err != nil {
		return nil, "", err
	}
	if r.Width < 0 || r.Width > lv.spec.Dim {
		return nil, "", locate(sourceAt(i, "/width"), fmt.Errorf("%w: width %d; use 1 to %d, or 0 for all components", ErrInvalid, r.Width, lv.spec.Dim))
	}
	p := index.Params{K: k, Ef: r.Ef, Recall: r.Recall, At: s.view.LSN(), Exact: r.Exact, Width: r.Width}
	if lv.remote() {
		p.Source = viewed{lv, s.view}
	}
	matches := s.matches
	if exclude != nil {
		matches = roaring.AndNot(matches, exclude)
	}
	if s.filtered || exclude != nil {
		p.Allow = matches
	} else {
		p.Accept = s.accept
	}
	hits, work, err := x.Search(s.ctx, vec, p, s.near[:0])
	s.near = hits
	if err != nil {
		return nil, "", locate(sourceAt(i, ""), err)
	}
	ph := Phase{Name: "retrieve", Plan: retrieved(p, work), In: int(matches.GetCardinality()), Out: len(hits)}
	if s.q.Explain {
		ph.Plan += predicted(p, work) + funnelled(lv.spec.Dim, len(rotationOf(x)) > 0, work)
		ph.Counts = map[string]int{"source": i, "distances": work.Distances, "hops": work.Hops, "fresh": work.Fresh, "ef": work.Ef, "rescored": work.Rescored, "prefix": work.Prefix}
		s.distances[i] = make(map[uint32]float32, len(hits))
		for _, h := range hits {
			s.distances[i][h.ID] = h.Distance
		}
	}
	s.phase(ph)
	return hits, lv.spec.Metric, nil
}

// sourceAt points at a part of the source i of a query.
func sourceAt(i int, part string) string { return "/retrieve/" + strconv.Itoa(i) + part }

// target resolves what a source searches for: the vector index and the query
// vector; for Like also the examples, which are not results.
func (s *search) target(i int, r *Retrieve) (*live, []float32, *roaring.Bitmap, error) {
	if r.Like != nil {
		return s.example(sourceAt(i, "/like"), r.Like)
	}
	n := r.Near
	lv, err := s.st.vector(n.Vector)
	if err != nil {
		return nil, nil, nil, locate(sourceAt(i, "/near/vector"), err)
	}
	if n.Text != "" {
		enc, err := s.c.db.encoder(s.st.stored, lv.name)
		var vec []float32
		if err == nil {
			vec, err = encode(s.ctx, enc, n.Text)
		}
		if err != nil {
			return nil, nil, nil, locate(sourceAt(i, "/near/text"), err)
		}
		s.phase(Phase{Name: "encode", Plan: lv.spec.Encoder, In: 1, Out: 1})
		return lv, vec, nil, nil
	}
	if err := index.CheckVector(lv.spec.Metric, lv.spec.Dim, n.Value); err != nil {
		return nil, nil, nil, locate(sourceAt(i, "/near/value"), err)
	}
	return lv, n.Value, nil, nil
}

// example builds the query vector of a Like.
func (s *search) example(at string, l *Like) (*live, []float32, *roaring.Bitmap, error) {
	lv, err := s.st.vector(l.Vector)
	if err != nil {
		return nil, nil, nil, locate(at+"/vector", err)
	}
	exclude := roaring.New()
	mean := func(ids []string, at string) ([]float64, error) {
		sum := make([]float64, lv.spec.Dim)
		for i, id := range ids {
			ord, err := s.ord(id)
			if err != nil {
				return nil, locate(fmt.Sprintf("%s/%d", at, i), err)
			}
			exclude.Add(ord)
			v, err := s.vector(lv, ord)
			if err != nil {
				return nil, err
			}
			if v == nil {
				return nil, locate(fmt.Sprintf("%s/%d", at, i), fmt.Errorf("%w: document %q has no vector %q", ErrInvalid, id, lv.name))
			}
			norm := 1.0
			if lv.spec.Metric == index.Cosine { // examples count by direction
				norm = length(v)
			}
			for j := range sum {
				sum[j] += float64(v[j]) / norm / float64(len(ids))
			}
		}
		return sum, nil
	}
	pos, err := mean(l.Positive, at+"/positive")
	if err != nil {
		return nil, nil, nil, err
	}
	if len(l.Negative) > 0 {
		neg, err := mean(l.Negative, at+"/negative")
		if err != nil {
			return nil, nil, nil, err
		}
		for j := range pos {
			pos[j] = 2*pos[j] - neg[j]
		}
	}
	vec := make([]float32, len(pos))
	for j, x := range pos {
		vec[j] = float32(x)
	}
	if err := index.CheckVector(lv.spec.Metric, lv.spec.Dim, vec); err != nil {
		return nil, nil, nil, locate(at, fmt.Errorf("the examples cancel out: %w", err))
	}
	s.phase(Phase{Name: "encode", Plan: "mean of examples", In: len(l.Positive) + len(l.Negative), Out: 1})
	return lv, vec, exclude, nil
}

func length(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
