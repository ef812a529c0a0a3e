package eider

import (
	"fmt"
	"math"
	"time"
)

const (
	// MaxOffset is the last hit that pages of a search reach.
	MaxOffset = 10_000
	// CursorLife is how long a search cursor stays valid.
	CursorLife = time.Minute
	// DefaultLimit is the number of hits when a query names none.
	DefaultLimit = 10
)

// normalise checks q on its own, without a schema, and fills defaults in.
// Errors wrap ErrInvalid or ErrFilter and carry a pointer to the bad part.
func (q *Query) normalise() error {
	bad := func(at, format string, args ...any) error {
		return locate(at, fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...)))
	}
	if q.Limit == 0 {
		q.Limit = DefaultLimit
	}
	if len(q.Retrieve) == 0 || q.Cursor != "" {
		q.Paged = true
	}
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return bad("/limit", "limit %d; use 1 to %d", q.Limit, MaxLimit)
	case len(q.Retrieve) > MaxSources:
		return bad("/retrieve", "%d sources; at most %d", len(q.Retrieve), MaxSources)
	case len(q.Facets) > MaxFacets:
		return bad("/facets", "%d facets; at most %d", len(q.Facets), MaxFacets)
	case len(q.Rank) > MaxRanks:
		return bad("/rank", "%d rank phases; at most %d", len(q.Rank), MaxRanks)
	case len(q.Rank) > 0 && len(q.Sort) > 0:
		return bad("/rank", "rank orders by score; drop sort")
	case len(q.Sort) > 8:
		return bad("/sort", "%d sort keys; at most 8", len(q.Sort))
	}
	for i := range q.Retrieve {
		if err := q.Retrieve[i].check(i, bad); err != nil {
			return err
		}
	}
	if f := q.Fuse; f != nil {
		if err := f.check(bad); err != nil {
			return err
		}
	}
	for i := range q.Rank {
		if err := q.Rank[i].check(i, bad); err != nil {
			return err
		}
	}
	for i, s := range q.Sort {
		if !validField(s.Field) {
			return bad(fmt.Sprintf("/sort/%d/field", i), "%q is not a field name", s.Field)
		}
	}
	if g := q.GroupBy; g != nil {
		if g.Size == 0 {
			q.GroupBy = &GroupBy{Field: g.Field, Size: 1}
		}
		if g.Size < 0 || g.Size > 100 {
			return bad("/group_by/size", "size %d; use 1 to 100", g.Size)
		}
		if !validField(g.Field) {
			return bad("/group_by/field", "%q is not a field name", g.Field)
		}
		if len(q.Sort) > 0 && len(q.Retrieve) > 0 {
			return bad("/group_by", "group_by orders groups by score; drop sort")
		}
	}
	for name, n := range q.Facets {
		if !validField(name) || n < 1 || n > 1000 {
			return bad("/facets/"+name, "a facet names a field and asks for 1 to 1000 values")
		}
	}
	if q.Filter != nil {
		return q.Filter.Validate()
	}
	return nil
}

func (r *Retrieve) check(i int, bad func(at, format string, args ...any) error) error {
	switch {
	case (r.Near == nil) == (r.Like == nil):
		return bad(sourceAt(i, ""), "a source is exactly one of near and like")
	case r.K < 0 || r.K > MaxLimit:
		return bad(sourceAt(i, "/k"), "k %d; use 1 to %d", r.K, MaxLimit)
	case r.Ef < 0 || r.Ef > MaxEf:
		return bad(sourceAt(i, "/ef"), "ef %d; use 0 (automatic) to %d", r.Ef, MaxEf)
	case !(r.Recall >= 0 && r.Recall < 1):
		return bad(sourceAt(i, "/recall"), "recall %v; use a share above 0 and below 1 such as 0.95, or exact for all of them", r.Recall)
	case r.Recall > 0 && r.Ef > 0:
		return bad(sourceAt(i, "/recall"), "recall %v with ef %d; give one: recall chooses ef", r.Recall, r.Ef)
	case r.Weight < 0 || math.IsNaN(r.Weight) || math.IsInf(r.Weight, 0):
		return bad(sourceAt(i, "/weight"), "weight %v; use a finite number of at least 0", r.Weight)
	case r.Near != nil && (r.Near.Text == "") == (len(r.Near.Value) == 0):
		return bad(sourceAt(i, "/near"), "near has exactly one of value and text")
	case r.Like != nil && len(r.Like.Positive) == 0:
		return bad(sourceAt(i, "/like/positive"), "like needs at least one positive id")
	case r.Like != nil && len(r.Like.Positive)+len(r.Like.Negative) > 1000:
		return bad(sourceAt(i, "/like"), "at most 1000 examples")
	}
	return nil
}

func (f *Fuse) check(bad func(at, format string, args ...any) error) error {
	switch {
	case f.RRF != nil && f.Weighted != nil:
		return bad("/fuse", "choose one of rrf and weighted")
	case f.RRF != nil && !(f.RRF.K >= 0 && f.RRF.K <= 1e6):
		return bad("/fuse/rrf/k", "k %v; use 0 (means 60) to 1e6", f.RRF.K)
	case f.Weighted != nil && f.Weighted.Norm != "" && f.Weighted.Norm != "minmax" && f.Weighted.Norm != "zscore":
		return bad("/fuse/weighted/norm", "norm %q; use minmax or zscore", f.Weighted.Norm)
	}
	return nil
}

// rrfK is the constant of reciprocal rank fusion.
func (f *Fuse) rrfK() float64 {
	if f == nil || f.RRF == nil || f.RRF.K == 0 {
		return 60
	}
	return f.RRF.K
}

// weighted returns the weighted fusion asked for, with its default, or nil.
func (f *Fuse) weighted() *Weighted {
	if f == nil || f.Weighted == nil {
		return nil
	}
	if f.Weighted.Norm == "" {
		return &Weighted{Norm: "minmax"}
	}
	return f.Weighted
}
