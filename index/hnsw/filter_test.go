package hnsw_test

import (
	"context"
	"errors"
	"math/rand"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/index/hnsw"
)

// field is data to filter in.
type field struct {
	vecs [][]float32
	x    *hnsw.Index
	f    *flat.Index
	r    *rand.Rand
}

func newField(t testing.TB, cfg index.Config, seed int64, n int) *field {
	d := &field{r: rand.New(rand.NewSource(seed))}
	d.vecs = clustered(d.r, n, cfg.Dim)
	d.x, d.f = pair(t, cfg)
	fill(t, d.x, d.vecs)
	fill(t, d.f, d.vecs)
	return d
}

// query is a vector near one of the data.
func (d *field) query() []float32 {
	v := d.vecs[d.r.Intn(len(d.vecs))]
	return gaussian(d.r, len(v), v, 0.3)
}

// predicate is what a filter of some share allows: rows at random, the nearest to
// q, the nearest to a row far from q, or the farthest from q.
func (d *field) predicate(t testing.TB, kind string, share float64, q []float32) *roaring.Bitmap {
	n := len(d.vecs)
	want := max(1, int(share*float64(n)))
	allow := roaring.New()
	if kind == "random" {
		for _, id := range d.r.Perm(n)[:want] {
			allow.Add(uint32(id))
		}
		return allow
	}
	hits := d.nearest(t, q)
	switch kind {
	case "far":
		hits = d.nearest(t, d.vecs[hits[n*9/10].ID])
	case "rim":
		slices.Reverse(hits)
	}
	for _, h := range hits[:want] {
		allow.Add(h.ID)
	}
	return allow
}

// nearest is all data in order of distance from q.
func (d *field) nearest(t testing.TB, q []float32) []index.Hit {
	hits, _, err := d.f.Search(context.Background(), q, index.Params{K: len(d.vecs)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

// plans are costs that lead to every way of answering: as measured, first, and as
// if scans or links were dear, or walks.
var plans = []struct {
	name  string
	costs index.Costs
}{
	{"measured", index.Costs{}},
	{"no scans", index.Costs{Scan: 1e9, Walk: 1, Link: 1, Fresh: 10}},
	{"no links", index.Costs{Scan: 1e9, Walk: 1, Link: 1e3, Fresh: 10}},
	{"few walks", index.Costs{Scan: 10, Walk: 30, Link: 1, Fresh: 10}},
}

// planned calls do for each of plans, with the index made to follow it.
func (d *field) planned(do func(name string)) {
	for _, p := range plans {
		hnsw.SetCosts(d.x, p.costs)
		do(p.name)
	}
}

// request is a query under a filter, with its exact answer.
type request struct {
	index.Params
	q    []float32
	want []index.Hit
}

// requests are some queries under predicates of one kind and share.
func (d *field) requests(t testing.TB, kind string, share float64, queries int) []request {
	out := make([]request, queries)
	for i := range out {
		q := d.query()
		p := index.Params{K: 10, Allow: d.predicate(t, kind, share, q)}
		want, _, err := d.f.Search(context.Background(), q, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = request{p, q, want}
	}
	return out
}

// found is the share of the exact answers to all requests that x finds.
func (d *field) found(t testing.TB, all []request) float64 {
	found, total := 0, 0
	for _, r := range all {
		got, _, err := d.x.Search(context.Background(), r.q, r.Params, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(r.want) {
			t.Fatalf("got %d hits, want %d", len(got), len(r.want))
		}
		total += len(r.want)
		for _, h := range got {
			if h.Distance <= r.want[len(r.want)-1].Distance {
				found++
			}
		}
	}
	return float64(found) / float64(total)
}

func TestFilteredRecallHoldsAtEveryShareAndPlaceHoweverItIsPlanned(t *testing.T) {
	const seed, dim = 21, 32
	n := size(5000, 50000)
	for _, codes := range []index.Codes{index.None, index.Int8} {
		d := newField(t, index.Config{Dim: dim, Codes: codes, Workers: 1}, seed, n)
		for _, kind := range []string{"random", "near", "far", "rim"} {
			for _, share := range []float64{0.9, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001, 0.0001} {
				all := d.requests(t, kind, share, size(12, 100))
				d.planned(func(name string) {
					if got := d.found(t, all); got < 0.98 {
						t.Errorf("codes %q, %s, %s %g %%: recall %.4f < 0.98", codes, name, kind, share*100, got)
					}
				})
			}
		}
	}
}

func TestAFilteredSearchCostsAtMostAboutTwoScans(t *testing.T) {
	d := newField(t, index.Config{Dim: 32, Workers: 1}, 22, 5000)
	d.planned(func(name string) {
		if name == "no scans" || name == "no links" {
			return
		}
		for _, kind := range []string{"random", "near", "far", "rim"} {
			for _, share := range []float64{0.9, 0.5, 0.2, 0.1, 0.05, 0.01} {
				q := d.query()
				allow := d.predicate(t, kind, share, q)
				_, w, err := d.x.Search(context.Background(), q, index.Params{K: 10, Allow: allow}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if most := 2*int(allow.GetCardinality()) + 500; w.Distances > most {
					t.Errorf("%s, %s %g %%: %d distances for %d matches", name, kind, share*100, w.Distances, allow.GetCardinality())
				}
			}
		}
	})
}

func TestEqualBitmapsGiveEqualHits(t *testing.T) {
	d := newField(t, index.Config{Dim: 32, Workers: 1}, 23, 5000)
	d.planned(func(name string) {
		for _, kind := range []string{"random", "near", "far", "rim"} {
			for _, share := range []float64{0.5, 0.1, 0.01} {
				q := d.query()
				a := d.predicate(t, kind, share, q)
				b := roaring.Or(roaring.AndNot(a, roaring.BitmapOf(1, 2, 3)), roaring.And(a, roaring.BitmapOf(1, 2, 3)))
				b.RunOptimize()
				var hits [2][]index.Hit
				for i, allow := range []*roaring.Bitmap{a, b} {
					var err error
					if hits[i], _, err = d.x.Search(context.Background(), q, index.Params{K: 10, Allow: allow}, nil); err != nil {
						t.Fatal(err)
					}
				}
				if !slices.Equal(hits[0], hits[1]) {
					t.Errorf("%s, %s %g %%: %v and %v", name, kind, share*100, hits[0], hits[1])
				}
			}
		}
	})
}

func TestFiltersThatMatchNothingOneOrAllAreAnswered(t *testing.T) {
	d := newField(t, index.Config{Dim: 16}, 24, 3000)
	all := roaring.New()
	all.AddRange(0, uint64(len(d.vecs)))
	sparse := roaring.BitmapOf(17)
	sparse.AddRange(1<<31, 1<<31+5000) // ids that nothing has, too far apart for a bit set
	d.planned(func(name string) {
		for _, c := range []struct {
			what  string
			allow *roaring.Bitmap
			want  int
		}{
			{"nothing", roaring.New(), 0},
			{"ids that are not there", roaring.BitmapOf(1<<20, 1<<21), 0},
			{"one", roaring.BitmapOf(17), 1},
			{"one among ids that are not there", sparse, 1},
			{"all", all, 10},
		} {
			for range 5 {
				q := d.query()
				hits, _, err := d.x.Search(context.Background(), q, index.Params{K: 10, Allow: c.allow}, nil)
				if err != nil || len(hits) != c.want || c.want == 1 && hits[0].ID != 17 {
					t.Fatalf("%s, %s: %v, %v", name, c.what, hits, err)
				}
			}
		}
	})
}

func TestAFilterNeverFindsWhatWasDeleted(t *testing.T) {
	d := newField(t, index.Config{Dim: 32, Workers: 1}, 25, 5000)
	dead := map[uint32]bool{}
	for _, id := range d.r.Perm(5000)[:2000] {
		d.x.Delete(uint32(id), 7)
		d.f.Delete(uint32(id), 7)
		dead[uint32(id)] = true
	}
	d.planned(func(name string) {
		for _, kind := range []string{"random", "near", "far", "rim"} {
			for _, at := range []uint64{0, 6, 7} {
				queries, got := 10, 0.0
				for range queries {
					q := d.query()
					p := index.Params{K: 10, At: at, Allow: roaring.New()}
					for id := range uint32(5000) {
						if id%3 != 0 {
							p.Allow.Add(id)
						}
					}
					if kind != "random" {
						hits, _, err := d.f.Search(context.Background(), q, index.Params{K: 1500, At: at}, nil)
						if err != nil {
							t.Fatal(err)
						}
						p.Allow = roaring.New()
						for _, h := range hits {
							p.Allow.Add(h.ID)
						}
						if kind == "rim" {
							p.Allow.Flip(0, 5000)
						}
					}
					got += recall(t, d.x, d.f, [][]float32{q}, p) / float64(queries)
					hits, _, err := d.x.Search(context.Background(), q, p, nil)
					if err != nil {
						t.Fatal(err)
					}
					for _, h := range hits {
						if !p.Allow.Contains(h.ID) || at != 6 && dead[h.ID] {
							t.Fatalf("%s, %s at %d: found %d", name, kind, at, h.ID)
						}
					}
				}
				if got < 0.95 { // of a hundred hits; the matrix above is about recall
					t.Errorf("%s, %s at %d: recall %.4f", name, kind, at, got)
				}
			}
		}
	})
}

// fading is a context that ends after so many looks.
type fading struct {
	context.Context
	looks int
	done  chan struct{}
}

func (f *fading) Done() <-chan struct{} {
	if f.looks--; f.looks == 0 {
		close(f.done)
	}
	return f.done
}

func (f *fading) Err() error {
	if f.looks <= 0 {
		return context.Canceled
	}
	return nil
}

func TestAFilteredWalkEndsSoonAfterItsContext(t *testing.T) {
	d := newField(t, index.Config{Dim: 32, Workers: 1}, 26, 5000)
	hnsw.SetCosts(d.x, plans[1].costs)
	for _, kind := range []string{"random", "near", "far", "rim"} {
		for _, share := range []float64{0.5, 0.1} {
			q := d.query()
			p := index.Params{K: 10, Ef: 300, Allow: d.predicate(t, kind, share, q)}
			ctx := &fading{context.Background(), 2, make(chan struct{})}
			_, w, err := d.x.Search(ctx, q, p, nil)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s %g %%: %v after %d hops", kind, share*100, err, w.Hops)
			}
			if w.Hops > 100 {
				t.Errorf("%s %g %%: %d hops", kind, share*100, w.Hops)
			}
		}
	}
}
