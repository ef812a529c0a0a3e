package hnsw_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand"
	"sync"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

func save(t testing.TB, x index.Index) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := x.Save(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestALoadedGraphSearchesLikeTheSavedOne(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(2)), 5000, 16)
	cfg := index.Config{Dim: 16}
	x, f := pair(t, cfg)
	fill(t, x, vecs)
	fill(t, f, vecs)
	y, err := hnsw.Load(ctx, cfg, bytes.NewReader(save(t, x)))
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < len(vecs); i += 4 {
				if err := y.Fill(uint32(i), vecs[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, w, err := y.Search(ctx, vecs[0], index.Params{K: 5}, nil); err != nil || !w.Exact {
		t.Fatalf("before Ready: %+v, %v", w, err)
	}
	if err := y.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := y.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := y.Check(ctx); err != nil {
		t.Fatal(err)
	}
	for _, q := range vecs[:200] {
		a, wa, _ := x.Search(ctx, q, index.Params{K: 10, Ef: 60}, nil)
		b, wb, err := y.Search(ctx, q, index.Params{K: 10, Ef: 60}, nil)
		if err != nil || len(a) != len(b) || wa.Hops != wb.Hops { // the pool is given: what calibration times may differ
			t.Fatalf("%v: %+v %+v", err, wa, wb)
		}
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("hit %d: %v, saved %v", i, b[i], a[i])
			}
		}
	}
}

func TestNodesWithoutVectorsAreDroppedAndUnknownVectorsAdded(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(3)), 4000, 16)
	cfg := index.Config{Dim: 16}
	x, f := pair(t, cfg)
	fill(t, x, vecs[:3500])
	y, err := hnsw.Load(ctx, cfg, bytes.NewReader(save(t, x)))
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	for i := 1000; i < 4000; i++ { // 0..999 died, 3500..3999 came after the snapshot
		if err := y.Fill(uint32(i), vecs[i]); err != nil {
			t.Fatal(err)
		}
		if err := f.Insert(ctx, uint32(i), vecs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.Fill(2000, vecs[0]); !errors.Is(err, index.ErrExists) {
		t.Fatalf("a second vector: %v", err)
	}
	if err := y.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if got := recall(t, y, f, vecs[:100], index.Params{K: 10}); got < 0.9 {
		t.Errorf("recall %.3f while repairing", got)
	}
	if err := y.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if s := y.Stats(); s.Live != 3000 || s.Dead != 0 || s.Fresh != 0 {
		t.Fatalf("stats %+v", s)
	}
	if err := y.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if got := recall(t, y, f, vecs[:500], index.Params{K: 10}); got < 0.98 {
		t.Errorf("recall %.3f", got)
	}
}

func TestASnapshotTakenDuringWritesLoads(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(4)), 4000, 8)
	cfg := index.Config{Dim: 8}
	x, _ := pair(t, cfg)
	fill(t, x, vecs[:2000])
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 2000; i < 4000; i++ {
			if err := x.Insert(ctx, uint32(i), vecs[i]); err != nil {
				t.Error(err)
			}
			x.Delete(uint32(i-2000), uint64(i))
			x.Release(uint64(i))
		}
		close(stop)
	})
	for running := true; running; {
		select {
		case <-stop:
			running = false
		case <-time.After(time.Millisecond):
		}
		y, err := hnsw.Load(ctx, cfg, bytes.NewReader(save(t, x)))
		if err != nil {
			t.Fatal(err)
		}
		y.Close()
	}
	wg.Wait()
}

func TestADamagedSnapshotIsRefused(t *testing.T) {
	ctx := context.Background()
	cfg := index.Config{Dim: 3, M: 2, Codes: index.Int8}
	x, _ := pair(t, cfg)
	fill(t, x, clustered(rand.New(rand.NewSource(5)), 40, 3))
	whole := save(t, x)
	try := func(what string, i int, b []byte) {
		y, err := hnsw.Load(ctx, cfg, bytes.NewReader(b))
		if !errors.Is(err, index.ErrCorrupt) {
			t.Fatalf("%s %d: %v", what, i, err)
		}
		if y != nil {
			t.Fatal("an index came with an error")
		}
	}
	for i := range whole {
		if i%16 < 2 || i < 64 {
			try("truncated to", i, whole[:i])
		}
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		try("flipped bit in byte", i, b)
	}
	try("appended", 1, append(bytes.Clone(whole), 0))
	for _, other := range []func(*index.Config){
		func(c *index.Config) { c.Dim = 4 }, func(c *index.Config) { c.M = 3 },
		func(c *index.Config) { c.Metric = index.IP }, func(c *index.Config) { c.Storage = index.Float16 },
		func(c *index.Config) { c.Codes = index.Int4 }, func(c *index.Config) { c.Codes = index.None },
		func(c *index.Config) { c.Widths = []int{1} },
	} {
		cfg := cfg
		other(&cfg)
		if _, err := hnsw.Load(ctx, cfg, bytes.NewReader(whole)); !errors.Is(err, index.ErrCorrupt) {
			t.Fatalf("%+v: %v", cfg, err)
		}
	}
}

func TestAnEmptyGraphIsSavedAndLoaded(t *testing.T) {
	ctx := context.Background()
	x, _ := pair(t, index.Config{Dim: 3})
	y, err := hnsw.Load(ctx, index.Config{Dim: 3}, bytes.NewReader(save(t, x)))
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	if err := y.Fill(7, []float32{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if err := y.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	hits, _, err := y.Search(ctx, []float32{1, 2, 3}, index.Params{K: 2}, nil)
	if err != nil || len(hits) != 1 || hits[0].ID != 7 {
		t.Fatalf("%v, %v", hits, err)
	}
}

// Damage that checksums do not show, in units that hold links or codes only, in
// rows that cross from one unit to the next, and in the units at the ends.
func TestEveryRowOfALargeSnapshotIsChecked(t *testing.T) {
	ctx := context.Background()
	const n, dim, m, unit = 12000, 8, 32, 1<<20 - 4
	cfg := index.Config{Dim: dim, M: m, EfConstruction: m, Codes: index.Int8}
	x, _ := pair(t, cfg)
	fill(t, x, clustered(rand.New(rand.NewSource(6)), n, dim))
	whole := save(t, x)
	le := binary.LittleEndian
	lists := int(le.Uint64(whole[48:]))
	links := 64 + n + 4*n + 4*m*lists
	codes := links + 8*m*n
	// at is where a byte of the run is in the snapshot.
	at := func(run int) int { return run + 4*(run/unit) }
	refused := func(what string, slot, run int, bytes4 uint32) {
		t.Helper()
		b := bytes.Clone(whole)
		for i := range 4 {
			b[at(run+i)] = byte(bytes4 >> (8 * i))
		}
		reseal(b)
		y, err := hnsw.Load(ctx, cfg, bytes.NewReader(b))
		if !errors.Is(err, index.ErrCorrupt) {
			t.Errorf("%s of slot %d: %v", what, slot, err)
		}
		if err == nil {
			y.Close()
		}
	}
	for _, row := range []struct {
		what        string
		start, size int
		bad         uint32
	}{{"links", links, 8 * m, n}, {"code", codes, 32, 0x7fc00000}} { // no slot, and a scale that is no number
		slots := []int{0, 1, n / 2, n - 1}
		for u := row.start / unit; u <= (row.start+row.size*n)/unit; u++ {
			slot := (u*unit - row.start) / row.size // crosses the bound, or is beside it
			slots = append(slots, slot-1, slot, slot+1)
		}
		for _, slot := range slots {
			if slot >= 0 && slot < n {
				refused(row.what, slot, row.start+row.size*slot, row.bad)
			}
		}
	}
	y, err := hnsw.Load(ctx, cfg, bytes.NewReader(whole))
	if err != nil {
		t.Fatal(err)
	}
	y.Close()
}
