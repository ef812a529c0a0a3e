package indextest

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
)

func versions(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	for id := range uint32(6) {
		insert(t, x, id, []float32{float32(id)})
	}
	x.Delete(0, 10)
	x.Delete(1, 20)
	q := []float32{0}
	for _, c := range []struct {
		at   uint64
		want []uint32
	}{
		{0, []uint32{2, 3}}, {9, []uint32{0, 1}}, {10, []uint32{1, 2}},
		{19, []uint32{1, 2}}, {20, []uint32{2, 3}}, {30, []uint32{2, 3}},
	} {
		for _, exact := range []bool{false, true} {
			wantIDs(t, search(t, x, q, index.Params{K: 2, At: c.at, Exact: exact}), c.want...)
		}
	}
	if x.Len() != 4 {
		t.Fatalf("len %d", x.Len())
	}
	x.Release(10)
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, search(t, x, q, index.Params{K: 2, At: 11}), 1, 2)
	if s := x.Stats(); s.Dead != 1 || s.Live != 4 {
		t.Fatalf("stats %+v", s)
	}
	x.Release(20)
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if s := x.Stats(); s.Dead != 0 {
		t.Fatalf("stats %+v", s)
	}
}

func accept(t *testing.T, f Factory) {
	vecs := normal(7, 400, 6)
	x := open(t, f, index.Config{Dim: 6})
	insertAll(t, x, vecs)
	for _, refuse := range []uint32{2, 3, 100} {
		keep := func(id uint32) bool { return id%refuse != 0 }
		got := search(t, x, vecs[1], index.Params{K: 40, Accept: keep})
		agree(t, got, oracle(index.L2, vecs[1], vecs, 40, keep))
	}
	var asked []float32
	search(t, x, vecs[1], index.Params{K: 20, Accept: func(id uint32) bool {
		asked = append(asked, float32(distance(index.L2, vecs[1], vecs[id])))
		return true
	}})
	for i := 1; i < len(asked); i++ {
		if asked[i] < asked[i-1]*(1-1e-4) {
			t.Fatalf("accept was asked out of order: %v", asked)
		}
	}
	if hits := search(t, x, vecs[1], index.Params{K: 5, Accept: func(uint32) bool { return false }}); len(hits) != 0 {
		t.Fatalf("found %v though all were refused", hits)
	}
}

func again(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	insert(t, x, 1, []float32{1})
	insert(t, x, 2, []float32{2})
	x.Delete(1, 5)
	insert(t, x, 1, []float32{9})
	wantIDs(t, search(t, x, []float32{9}, index.Params{K: 1}), 1)
	wantIDs(t, search(t, x, []float32{0}, index.Params{K: 3}), 2, 1)
	// An old reader may meet id 1 twice; it gets it once.
	if hits := search(t, x, []float32{0}, index.Params{K: 3, At: 4}); len(hits) != 2 {
		t.Fatalf("got %v", hits)
	}
	x.Release(5)
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, search(t, x, []float32{0}, index.Params{K: 3}), 2, 1)
	if v, ok := x.Vector(1, nil); !ok || v[0] != 9 {
		t.Fatalf("vector 1 is %v", v)
	}
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

func reuse(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 8})
	vecs := normal(11, 300, 8)
	insertAll(t, x, vecs)
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	size := x.Stats().VectorBytes
	for turn := range 5 {
		for i := range vecs {
			x.Delete(uint32(turn*1000+i), uint64(turn+1))
		}
		x.Release(uint64(turn + 1))
		if err := x.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		for i, v := range vecs {
			insert(t, x, uint32((turn+1)*1000+i), v)
		}
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if got := x.Stats().VectorBytes; got > size {
		t.Fatalf("vectors take %d bytes after turnover, %d before", got, size)
	}
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
	for i, v := range vecs[:20] {
		wantIDs(t, search(t, x, v, index.Params{K: 1}), uint32(5000+i))
	}
}

func unknown(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	insert(t, x, 1, []float32{1})
	x.Delete(77, 1)
	x.Delete(1, 2)
	x.Delete(1, 1) // already dead: the first delete counts
	if hits := search(t, x, []float32{1}, index.Params{K: 1, At: 1}); len(hits) != 1 {
		t.Fatalf("a second delete moved the first")
	}
	if x.Len() != 0 {
		t.Fatalf("len %d", x.Len())
	}
}

func vectors(t *testing.T, f Factory) {
	for _, m := range []index.Metric{index.L2, index.IP, index.Cosine} {
		for _, s := range []index.Storage{index.Float32, index.Float16} {
			vecs := normal(12, 40, 9)
			x := open(t, f, index.Config{Dim: 9, Metric: m, Storage: s})
			insertAll(t, x, vecs)
			list, out := []uint32{3, 1000, 0, 39}, make([]float32, 4)
			if err := x.Distances(vecs[5], list, out); err != nil {
				t.Fatal(err)
			}
			for i, id := range list {
				if id == 1000 {
					if !math.IsInf(float64(out[i]), 1) {
						t.Fatalf("unknown id at distance %v", out[i])
					}
					continue
				}
				kept := rounded(m, s, vecs[id])
				got, ok := x.Vector(id, []float32{7})
				if !ok || got[0] != 7 || len(got) != 10 {
					t.Fatalf("vector %d: %v %v", id, got, ok)
				}
				for j := range kept {
					if math.Abs(float64(got[1+j]-kept[j])) > 1e-3 || s == index.Float32 && math.Abs(float64(got[1+j]-kept[j])) > 1e-6 {
						t.Fatalf("vector %d component %d is %v, want %v", id, j, got[1+j], kept[j])
					}
				}
				want := []index.Hit{{ID: id, Distance: float32(distance(m, vecs[5], got[1:]))}}
				agreeWithin(t, []index.Hit{{ID: id, Distance: out[i]}}, want, 1e-3)
			}
			if _, ok := x.Vector(1000, nil); ok {
				t.Fatal("an unknown id has a vector")
			}
		}
	}
}

func self(t *testing.T, f Factory) {
	const n = 3000 // beyond what small indexes scan
	vecs := normal(13, n, 16)
	x := open(t, f, index.Config{Dim: 16})
	insertAll(t, x, vecs)
	for i := 0; i < n; i += 3 {
		x.Delete(uint32(i), 1)
	}
	x.Release(1)
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
	missed := 0
	for i, v := range vecs {
		hits := search(t, x, v, index.Params{K: 1})
		if found := len(hits) == 1 && hits[0] == (index.Hit{ID: uint32(i)}); found == (i%3 == 0) {
			missed++
		}
	}
	if missed > 0 {
		t.Fatalf("%d of %d ids are wrongly found or missed by their own vector", missed, n)
	}
}

func cancelled(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 2})
	insert(t, x, 1, []float32{1, 2})
	c, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := x.Search(c, []float32{1, 2}, index.Params{K: 1}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("search: %v", err)
	}
	if err := x.Insert(c, 2, []float32{1, 2}); !errors.Is(err, context.Canceled) {
		t.Fatalf("insert: %v", err)
	}
	if x.Len() != 1 {
		t.Fatal("a cancelled insert was stored")
	}
}

func appends(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	insert(t, x, 4, []float32{1})
	first := index.Hit{ID: 9, Distance: -1}
	hits, work, err := x.Search(ctx, []float32{1}, index.Params{K: 2}, []index.Hit{first})
	if err != nil || !slices.Equal(hits, []index.Hit{first, {ID: 4}}) {
		t.Fatalf("got %v, %v", hits, err)
	}
	if work.Distances < 1 {
		t.Fatalf("work %+v", work)
	}
}

func together(t *testing.T, f Factory) {
	n, dim := 1500, 8
	if testing.Short() {
		n = 500
	}
	vecs := normal(14, n, dim)
	x := open(t, f, index.Config{Dim: dim, MaxFresh: 200})
	var done atomic.Int64 // ids below are inserted
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		defer close(stop)
		for i, v := range vecs {
			if err := x.Insert(ctx, uint32(i), v); err != nil {
				t.Error(err)
				return
			}
			done.Store(int64(i + 1))
			if i%3 == 2 {
				x.Delete(uint32(i-1), uint64(i))
			}
			if i%50 == 0 {
				x.Release(uint64(i))
			}
		}
	})
	for s := range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewSource(int64(s)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				m := int(done.Load())
				if m == 0 {
					continue
				}
				i := r.Intn(m)
				hits, _, err := x.Search(ctx, vecs[i], index.Params{K: 3}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if i%3 != 1 && (len(hits) == 0 || hits[0].ID != uint32(i)) {
					t.Errorf("acknowledged id %d of %d is not found: %v", i, m, hits)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				if err := x.Check(ctx); err != nil {
					t.Error(err)
				}
				if err := x.Save(ctx, io.Discard); err != nil {
					t.Error(err)
				}
				x.Stats()
			}
		}
	})
	wg.Wait()
	x.Release(uint64(n))
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if s := x.Stats(); s.Fresh != 0 || s.Dead != 0 || s.Live != x.Len() {
		t.Fatalf("stats %+v", s)
	}
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

func closing(t *testing.T, f Factory) {
	vecs := normal(15, 600, 8)
	x := open(t, f, index.Config{Dim: 8, MaxFresh: 50})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < len(vecs); i += 4 {
				var err error
				if g < 2 {
					err = x.Insert(ctx, uint32(i), vecs[i])
				} else {
					_, _, err = x.Search(ctx, vecs[i], index.Params{K: 3}, nil)
				}
				x.Vector(uint32(i), nil)
				x.Delete(uint32(i/2), uint64(i))
				x.Release(uint64(i))
				if err != nil {
					if !errors.Is(err, index.ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	time.Sleep(3 * time.Millisecond)
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

func closed(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	insert(t, x, 1, []float32{1})
	for range 2 {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := x.Search(ctx, []float32{1}, index.Params{K: 1}, nil)
	for i, err := range []error{
		err, x.Insert(ctx, 2, []float32{1}), x.Distances([]float32{1}, []uint32{1}, make([]float32, 1)),
		x.Drain(ctx), x.Save(ctx, io.Discard), x.Check(ctx),
	} {
		if !errors.Is(err, index.ErrClosed) {
			t.Errorf("call %d: %v, want %v", i, err, index.ErrClosed)
		}
	}
	if _, ok := x.Vector(1, nil); ok {
		t.Error("a closed index has a vector")
	}
	x.Delete(1, 1)
	x.Release(1)
	x.Stats()
}

func sparse(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	for i, id := range []uint32{0, 1 << 20, 1<<31 + 5, math.MaxUint32} {
		insert(t, x, id, []float32{float32(i)})
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, search(t, x, []float32{4}, index.Params{K: 2}), math.MaxUint32, 1<<31+5)
	x.Delete(math.MaxUint32, 1)
	wantIDs(t, search(t, x, []float32{4}, index.Params{K: 1}), 1<<31+5)
}
