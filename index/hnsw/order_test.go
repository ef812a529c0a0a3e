package hnsw_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

// answers is what x says to queries: by walks, by scans, with a filter, and what
// the walks took.
func answers(t testing.TB, x *hnsw.Index, queries [][]float32, allow *roaring.Bitmap) (hits [][]index.Hit, work []index.Work) {
	t.Helper()
	for _, q := range queries {
		for _, p := range []index.Params{{K: 10, Ef: 40}, {K: 10, Exact: true}, {K: 10, Ef: 40, Allow: allow}} {
			h, w, err := x.Search(context.Background(), q, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Exact && p.Allow == nil {
				work = append(work, index.Work{Hops: w.Hops, Distances: w.Distances})
			}
			hits = append(hits, h)
		}
	}
	return hits, work
}

// ordering is an index of n vectors that are in no order yet.
func ordering(t testing.TB, cfg index.Config, n int) (x *hnsw.Index, vecs [][]float32, allow *roaring.Bitmap) {
	t.Helper()
	vecs = clustered(rand.New(rand.NewSource(51)), n+50, cfg.Dim)
	x, _ = pair(t, cfg)
	hnsw.SetWorth(x, hnsw.Never)
	fill(t, x, vecs[:n])
	allow = roaring.New()
	for i := 0; i < n; i += 2 {
		allow.Add(uint32(i))
	}
	return x, vecs, allow
}

func TestAnOrderKeepsEveryAnswerAndTheWorkItTakes(t *testing.T) {
	for name, cfg := range map[string]index.Config{
		"float32": {Dim: 16, EfConstruction: 60},
		"float16": {Dim: 16, EfConstruction: 60, Storage: index.Float16, Metric: index.Cosine},
		"int8":    {Dim: 16, EfConstruction: 60, Codes: index.Int8},
		"nested":  {Dim: 32, EfConstruction: 60, Codes: index.Int8, Widths: []int{16}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := size(12000, 50000)
			x, vecs, allow := ordering(t, cfg, n)
			hnsw.SetCosts(x, index.Costs{Scan: 10, Walk: 20, Link: 1, Fresh: 10})
			before := hnsw.Near(x, 50)
			hits, work := answers(t, x, vecs[n:], allow)
			hnsw.Order(x)
			if after := hnsw.Near(x, 50); after < 2*before {
				t.Errorf("%.3f of the links are short, before the order %.3f", after, before)
			}
			if got := hnsw.Slots(x); got != n {
				t.Errorf("%d vectors take %d slots", n, got)
			}
			again, same := answers(t, x, vecs[n:], allow)
			for i := range hits {
				if !slices.Equal(hits[i], again[i]) {
					t.Fatalf("answer %d was %v and is %v", i, hits[i], again[i])
				}
			}
			if !reflect.DeepEqual(work, same) {
				t.Error("walks take another way")
			}
			for i, v := range vecs[:n] {
				if i%100 == 0 {
					want, _, _ := x.Search(context.Background(), v, index.Params{K: 1, Exact: true}, nil)
					if len(want) != 1 || want[0].ID != uint32(i) {
						t.Fatalf("vector %d is found as %v", i, want)
					}
				}
			}
			if err := x.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestABulkLoadIsPutInOrder(t *testing.T) {
	n := size(12000, 12000)
	x, vecs, _ := ordering(t, index.Config{Dim: 8, EfConstruction: 40}, n)
	y, _ := pair(t, index.Config{Dim: 8, EfConstruction: 40})
	hnsw.SetWorth(y, 1)
	fill(t, y, vecs[:n])
	if got, want := hnsw.Near(y, 50), hnsw.Near(x, 50); got < 2*want {
		t.Errorf("%.3f of the links are short, without an order %.3f", got, want)
	}
	if got := hnsw.Slots(y); got != n {
		t.Errorf("%d vectors take %d slots", n, got)
	}
	if y.Stats().Curve == nil {
		t.Error("recall was not calibrated after the order")
	}
}

// Each vector that lives all the while is found by its own query, once, and one
// that is dead is not, while nodes move from order to order and others come and go.
func TestSearchesDuringOrderingLoseNothing(t *testing.T) {
	ctx := context.Background()
	n := max(size(6000, 20000), 3000)
	for name, codes := range map[string]index.Codes{"float32": index.None, "int8": index.Int8} {
		t.Run(name, func(t *testing.T) {
			x, vecs, allow := ordering(t, index.Config{Dim: 8, EfConstruction: 60, Codes: codes}, n)
			stays := n / 2 * 2 // in allow those of even ids below it
			var stop atomic.Bool
			var wg sync.WaitGroup
			for s := range 2 {
				wg.Go(func() {
					r := rand.New(rand.NewSource(int64(s)))
					for !stop.Load() {
						i := r.Intn(stays/2) * 2
						p := index.Params{K: 5, Exact: r.Intn(4) == 0}
						if r.Intn(3) == 0 {
							p.Allow = allow
						}
						time.Sleep(200 * time.Microsecond)
						hits, _, err := x.Search(ctx, vecs[i], p, nil)
						if err != nil || len(hits) != 5 || hits[0].ID != uint32(i) {
							t.Errorf("exact %v, filter %v: id %d asked by its own vector gives %v, %v", p.Exact, p.Allow != nil, i, hits, err)
							return
						}
						slices.SortFunc(hits, func(a, b index.Hit) int { return int(a.ID) - int(b.ID) })
						if len(slices.CompactFunc(hits, func(a, b index.Hit) bool { return a.ID == b.ID })) != 5 {
							t.Errorf("an id is there twice: %v", hits)
							return
						}
					}
				})
			}
			hnsw.SetWorth(x, 1)
			next := uint32(n)
			for round := range uint32(20) {
				hnsw.Stir(x)
				for i := 2*round + 1; i < uint32(n); i += 60 {
					x.Delete(i, uint64(round)+1)
					if err := x.Insert(ctx, next, vecs[i]); err != nil {
						t.Fatal(err)
					}
					next++
				}
				x.Release(uint64(round) + 1)
				if round%2 == 1 {
					if err := errors.Join(x.Drain(ctx), x.Check(ctx)); err != nil {
						t.Fatal(err)
					}
				}
			}
			stop.Store(true)
			wg.Wait()
			if x.Len() != n {
				t.Errorf("%d vectors, want %d", x.Len(), n)
			}
		})
	}
}

// Scans give the same hits, and walks find each vector by itself, while all nodes
// move all the time.
func TestSearchesFindEverythingWhileNodesAreShuffled(t *testing.T) {
	ctx := context.Background()
	n := max(size(6000, 20000), 3000)
	x, vecs, allow := ordering(t, index.Config{Dim: 8, EfConstruction: 60, Codes: index.Int8}, n)
	hits, _ := answers(t, x, vecs[n:], allow)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for s := range 2 {
		wg.Go(func() {
			for r := rand.New(rand.NewSource(int64(s))); !stop.Load(); {
				time.Sleep(20 * time.Microsecond)
				i := r.Intn(len(vecs) - n)
				got, _, err := x.Search(ctx, vecs[n+i], index.Params{K: 10, Exact: true}, nil)
				if err != nil || !slices.Equal(got, hits[3*i+1]) {
					t.Errorf("a scan gives %v, %v, want %v", got, err, hits[3*i+1])
					return
				}
				for range 10 {
					i := r.Intn(n)
					got, _, err := x.Search(ctx, vecs[i], index.Params{K: 1}, nil)
					if err != nil || len(got) != 1 || got[0].ID != uint32(i) {
						t.Errorf("id %d asked by its own vector gives %v, %v", i, got, err)
						return
					}
				}
			}
		})
	}
	r := rand.New(rand.NewSource(9))
	for range size(16, 100) {
		hnsw.Shuffle(x, r)
	}
	stop.Store(true)
	wg.Wait()
	again, _ := answers(t, x, vecs[n:], allow)
	for i := range hits {
		if i%3 != 2 && !slices.Equal(hits[i], again[i]) {
			t.Fatalf("answer %d was %v and is %v", i, hits[i], again[i])
		}
	}
}

func TestASnapshotSavedDuringOrderingAnswersAlike(t *testing.T) {
	ctx := context.Background()
	n := max(size(6000, 20000), 3000)
	cfg := index.Config{Dim: 16, EfConstruction: 40, Codes: index.Int8}
	x, vecs, allow := ordering(t, cfg, n)
	hits, work := answers(t, x, vecs[n:], allow)
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for r := rand.New(rand.NewSource(1)); !stop.Load(); {
			hnsw.Shuffle(x, r)
		}
	})
	defer wg.Wait()
	defer stop.Store(true)
	for range 5 {
		b := save(t, x)
		y, err := hnsw.Load(ctx, cfg, bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		hnsw.SetWorth(y, hnsw.Never)
		for i, v := range vecs[:n] {
			if err := y.Fill(uint32(i), v); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(y.Ready(ctx), y.Check(ctx)); err != nil {
			t.Fatal(err)
		}
		again, same := answers(t, y, vecs[n:], allow)
		for i := range hits {
			if i%3 != 2 && !slices.Equal(hits[i], again[i]) {
				t.Fatalf("answer %d was %v and is %v", i, hits[i], again[i])
			}
		}
		if !reflect.DeepEqual(work, same) {
			t.Fatal("walks take another way")
		}
		y.Close()
	}
	stop.Store(true)
	wg.Wait()
	if err := x.Check(ctx); err != nil {
		t.Error(err)
	}
}

func TestALoadedGraphKeepsItsOrder(t *testing.T) {
	ctx := context.Background()
	n := max(size(6000, 20000), 3000)
	cfg := index.Config{Dim: 8, EfConstruction: 40}
	x, vecs, _ := ordering(t, cfg, n)
	hnsw.Order(x)
	y, err := hnsw.Load(ctx, cfg, bytes.NewReader(save(t, x)))
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	for i, v := range vecs[:n] {
		if err := y.Fill(uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := hnsw.Near(y, 50), hnsw.Near(x, 50); got != want {
		t.Errorf("%.4f of the links are short, in what was saved %.4f", got, want)
	}
}

func TestCloseEndsAnOrdering(t *testing.T) {
	x, _, _ := ordering(t, index.Config{Dim: 8, EfConstruction: 40}, max(size(6000, 20000), 3000))
	hnsw.SetWorth(x, 1)
	hnsw.Stir(x)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
}
