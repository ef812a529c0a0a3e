package eider

import (
	"context"
	"fmt"
	"math"
	"slices"
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
	s, err := c.begin(ctx, &q)
	if err != nil {
		return Result{}, c.fail("search", "", err)
	}
	defer s.end()
	r, err := s.run()
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
	view   *storage.View
	q      *Query
	page   page // from the cursor
	want   int  // hits up to the end of this page
	fields fields

	filtered bool            // matches restricts, otherwise it is all live documents
	matches  *roaring.Bitmap // read only
	result   Result
	members  map[string][]row // rows of each group, best first
	phases   []Phase
	mark     time.Time
}

// begin checks q, fills its defaults in, and takes the snapshot it reads.
func (c *Collection) begin(ctx context.Context, q *Query) (*search, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := q.normalise(); err != nil {
		return nil, err
	}
	s := &search{ctx: ctx, c: c, q: q}
	if q.Cursor != "" {
		var err error
		if s.page, err = openCursor(q.Cursor, cursorSearch, q.fingerprint(c.name)); err != nil {
			return nil, err
		}
	}
	var err error
	if s.view, err = c.db.viewAt(s.page.LSN); err != nil {
		return nil, err
	}
	if s.st, err = c.stateAt(s.view.LSN()); err != nil {
		s.view.Release()
		return nil, err
	}
	s.fields = fields{state: s.st, view: s.view, ctx: ctx}
	s.want = s.page.Offset + q.Limit
	if s.want > MaxOffset {
		s.view.Release()
		return nil, fmt.Errorf("%w: page ends at hit %d; pages go to %d, narrow the filter instead", ErrInvalid, s.want, MaxOffset)
	}
	s.mark = time.Now()
	return s, nil
}

func (s *search) end() { s.view.Release() }

// phase closes the phase that began at the last mark.
func (s *search) phase(p Phase) {
	now := time.Now()
	p.Micros = float64(now.Sub(s.mark).Nanoseconds()) / 1e3
	s.mark = now
	s.phases = append(s.phases, p)
}

// row is a candidate on its way to becoming a hit.
type row struct {
	ord   uint32
	score float64
	parts []rank.Part
	group any
	key   string // of the group this row heads
}

func (s *search) run() (Result, error) {
	if err := s.filter(); err != nil {
		return Result{}, err
	}
	rows, err := s.rows()
	if err != nil {
		return Result{}, err
	}
	if err := s.facets(); err != nil {
		return Result{}, err
	}
	more := len(rows) > s.want
	rows = rows[min(s.page.Offset, len(rows)):min(s.want, len(rows))]
	if s.q.GroupBy != nil {
		rows = s.flatten(rows)
	}
	if err := s.fetch(rows); err != nil {
		return Result{}, err
	}
	s.result.LSN = s.view.LSN()
	if more && len(rows) > 0 && s.q.Paged {
		next := page{Offset: s.want, LSN: s.view.LSN()}
		s.result.Cursor = next.seal(cursorSearch, s.q.fingerprint(s.c.name))
		s.c.db.pin(s.view)
	}
	if s.q.Explain {
		s.result.Explain = &Explain{Phases: s.phases}
	}
	return s.result, nil
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
		if err := s.st.checkFields(s.q.Filter.Names(), "/filter"); err != nil {
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
			p.Counts = map[string]int{"documents_read": e.Read}
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
	need := s.want + 1
	var rows []row
	var err error
	switch {
	case len(s.q.Retrieve) == 0 && s.q.GroupBy != nil:
		return s.groups(func(k int) ([]row, bool, error) {
			rows, err := s.browse(k)
			return rows, len(rows) < k, err
		})
	case len(s.q.Retrieve) == 0:
		return s.browse(need)
	case s.q.GroupBy != nil:
		return s.groups(func(k int) ([]row, bool, error) {
			rows, err := s.retrieve(k)
			return rows, len(rows) < k, err
		})
	default:
		if rows, err = s.retrieve(need); err != nil {
			return nil, err
		}
	}
	if len(s.q.Sort) > 0 {
		return s.sortRows(rows)
	}
	return rows, nil
}

// retrieve asks every source for candidates and fuses them.
func (s *search) retrieve(need int) ([]row, error) {
	sources := make([]rank.Source, len(s.q.Retrieve))
	distances := make([]map[uint32]float32, len(sources))
	for i := range s.q.Retrieve {
		r := &s.q.Retrieve[i]
		k := r.K
		if k == 0 {
			k = need
			if len(sources) > 1 || len(s.q.Sort) > 0 {
				k = max(need, fusedK)
			}
		} else if s.q.GroupBy == nil {
			k = max(k, min(need, MaxOffset))
		}
		hits, metric, err := s.source(i, r, k)
		if err != nil {
			return nil, err
		}
		src := rank.Source{Weight: r.Weight, Candidates: make([]rank.Candidate, len(hits))}
		if s.q.Explain {
			distances[i] = make(map[uint32]float32, len(hits))
		}
		for j, h := range hits {
			src.Candidates[j] = rank.Candidate{ID: h.ID, Score: metric.Score(h.Distance)}
			if s.q.Explain {
				distances[i][h.ID] = h.Distance
			}
		}
		sources[i] = src
	}
	rows := s.fuse(sources)
	s.result.distances = distances
	return rows, nil
}

// fusedK is the number of candidates each source gives when the order is
// decided after retrieval.
const fusedK = 100

func (s *search) fuse(sources []rank.Source) []row {
	if len(sources) == 1 {
		rows := make([]row, len(sources[0].Candidates))
		for i, c := range sources[0].Candidates {
			rows[i] = row{ord: c.ID, score: c.Score}
			if s.q.Explain {
				rows[i].parts = []rank.Part{{Rank: i + 1, Score: c.Score, Fused: c.Score}}
			}
		}
		return rows
	}
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

// source runs one retrieval: k nearest allowed documents of a query vector.
func (s *search) source(i int, r *Retrieve, k int) ([]index.Hit, index.Metric, error) {
	at := fmt.Sprintf("/retrieve/%d", i)
	lv, vec, exclude, err := s.target(at, r)
	if err != nil {
		return nil, "", err
	}
	x, err := lv.wait(s.ctx)
	if err != nil {
		return nil, "", err
	}
	p := index.Params{K: k, Ef: r.Ef, At: s.view.LSN(), Exact: r.Exact}
	if lv.onDisk() {
		p.Source = viewed{lv, s.view}
	}
	plan := "exact: asked for"
	matches := s.matches
	if exclude != nil {
		matches = roaring.AndNot(matches, exclude)
	}
	if s.filtered || exclude != nil {
		p.Allow = matches
		if !p.Exact {
			choice := index.Choose(x.Len(), int(matches.GetCardinality()), max(lv.spec.Index.M, 2), max(r.Ef, lv.spec.Index.Ef), k)
			p.Exact, plan = choice.Exact, choice.Reason
		}
	} else {
		p.Accept = matches.Contains
		if !p.Exact {
			plan = "walk the graph"
		}
	}
	hits, work, err := x.Search(s.ctx, vec, p, nil)
	if err != nil {
		return nil, "", locate(at, err)
	}
	if work.Exact && !p.Exact {
		plan += ", then scanned exactly"
	}
	ph := Phase{Name: "retrieve", Plan: plan, In: int(matches.GetCardinality()), Out: len(hits),
		Counts: map[string]int{"source": i, "distances": work.Distances, "hops": work.Hops, "fresh": work.Fresh}}
	s.phase(ph)
	return hits, lv.spec.Metric, nil
}

// target resolves what a source searches for: the vector index and the query
// vector; for Like also the examples, which are not results.
func (s *search) target(at string, r *Retrieve) (*live, []float32, *roaring.Bitmap, error) {
	if r.Like != nil {
		return s.example(at+"/like", r.Like)
	}
	n := r.Near
	lv, err := s.st.vector(n.Vector)
	if err != nil {
		return nil, nil, nil, locate(at+"/near/vector", err)
	}
	if n.Text != "" {
		vec, err := s.c.db.encode(s.ctx, lv.spec.Encoder, n.Text)
		if err != nil {
			return nil, nil, nil, locate(at+"/near/text", err)
		}
		s.phase(Phase{Name: "encode", Plan: lv.spec.Encoder, In: 1, Out: 1})
		return lv, vec, nil, nil
	}
	if err := index.CheckVector(lv.spec.Metric, lv.spec.Dim, n.Value); err != nil {
		return nil, nil, nil, locate(at+"/near/value", err)
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
