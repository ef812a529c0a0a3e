package hnsw_test

import (
	"bytes"
	"context"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

func TestAShrunkIndexGivesMemoryBackAndFindsAsMuch(t *testing.T) {
	ctx := context.Background()
	n := size(12000, 50000)
	vecs := clustered(rand.New(rand.NewSource(41)), n+200, 16)
	for _, c := range []struct {
		name  string
		codes index.Codes
	}{{"float32", index.None}, {"int8", index.Int8}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := index.Config{Dim: 16, EfConstruction: 60, Codes: c.codes}
			x, f := pair(t, cfg)
			fresh, _ := pair(t, cfg)
			fill(t, x, vecs[:n])
			before := x.Stats()
			for i, v := range vecs[:n] {
				if i%4 != 0 {
					x.Delete(uint32(i), 1)
					continue
				}
				for _, y := range []index.Index{fresh, f} {
					if err := y.Insert(ctx, uint32(i), v); err != nil {
						t.Fatal(err)
					}
				}
			}
			x.Release(1)
			for _, y := range []index.Index{x, fresh} {
				if err := y.Drain(ctx); err != nil {
					t.Fatal(err)
				}
				if err := y.Check(ctx); err != nil {
					t.Fatal(err)
				}
			}
			after := x.Stats()
			if after.VectorBytes*3 > before.VectorBytes || after.CodeBytes*3 > before.CodeBytes {
				t.Errorf("a quarter of the vectors takes %+v, all took %+v", after, before)
			}
			p := index.Params{K: 10}
			got, want := recall(t, x, f, vecs[n:], p), recall(t, fresh, f, vecs[n:], p)
			if got < want-0.005 {
				t.Errorf("recall %.4f, fresh %.4f", got, want)
			}
			for i := 0; i < n; i += 4 {
				v, ok := x.Vector(uint32(i), nil)
				if !ok || !slices.Equal(v, vecs[i]) {
					t.Fatalf("vector %d is another after compaction", i)
				}
			}
		})
	}
}

// While nodes move, each vector that lives all the while is found by its own
// query, once; one that dies is found no more.
func TestSearchesFindEachVectorOnceWhileItMoves(t *testing.T) {
	ctx := context.Background()
	n := size(9000, 20000)
	vecs := clustered(rand.New(rand.NewSource(42)), 2*n, 8)
	x, _ := pair(t, index.Config{Dim: 8, EfConstruction: 40, M: 8})
	fill(t, x, vecs[:n])
	stays := func(i int) bool { return i%4 == 0 }
	var stop atomic.Bool
	var wg sync.WaitGroup
	for s := range 2 {
		wg.Go(func() {
			r := rand.New(rand.NewSource(int64(s)))
			for !stop.Load() {
				i := r.Intn(n/4) * 4
				p := index.Params{K: 5, Exact: r.Intn(4) == 0}
				hits, _, err := x.Search(ctx, vecs[i], p, nil)
				if err != nil || len(hits) != 5 || hits[0].ID != uint32(i) {
					t.Errorf("%+v: id %d asked by its own vector gives %v, %v", p, i, hits, err)
					return
				}
				for j := range hits {
					if slices.ContainsFunc(hits[:j], func(h index.Hit) bool { return h.ID == hits[j].ID }) {
						t.Errorf("%+v: an id is there twice: %v", p, hits)
						return
					}
				}
			}
		})
	}
	// Deletes go on during the compactions that the first of them cause, and each
	// round grows the index again.
	lsn := uint64(0)
	next := n
	for range 2 {
		for i := range next {
			if lsn++; !stays(i) {
				x.Delete(uint32(i), lsn)
			}
			if i%500 == 0 {
				x.Release(lsn)
			}
		}
		x.Release(lsn)
		if err := x.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if got := x.Stats().VectorBytes; got > int64(n)*8*4/2 {
			t.Errorf("%d live vectors take %d bytes", x.Len(), got)
		}
		for range n / 4 {
			if next < len(vecs) {
				if err := x.Insert(ctx, uint32(next), vecs[next]); err != nil {
					t.Fatal(err)
				}
				next++
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotNamesEachIDOnce(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(43)), 3000, 8)
	cfg := index.Config{Dim: 8, EfConstruction: 40}
	x, _ := pair(t, cfg)
	fill(t, x, vecs)
	// Not released, so the dead stay in the graph beside their successors.
	for i := range 500 {
		x.Delete(uint32(i), 1)
		if err := x.Insert(ctx, uint32(i), vecs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	y, err := hnsw.Load(ctx, cfg, bytes.NewReader(save(t, x)))
	if err != nil {
		t.Fatal(err)
	}
	y.Close()
}
