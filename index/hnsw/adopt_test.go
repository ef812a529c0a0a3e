package hnsw_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

var update = flag.Bool("update", false, "write the golden snapshot of this version")

// store is where vectors are read from until they are in memory.
type store [][]float32

func (s store) Read(id uint32, dst []float32) ([]float32, error) {
	if int(id) >= len(s) || s[id] == nil {
		return dst, fmt.Errorf("no vector %d", id)
	}
	return append(dst, s[id]...), nil
}

func span(from, to int) *roaring.Bitmap {
	b := roaring.New()
	b.AddRange(uint64(from), uint64(to))
	return b
}

// adopted loads a snapshot and makes the ids of live answer.
func adopted(t testing.TB, cfg index.Config, b []byte, live *roaring.Bitmap, src index.Source) (*hnsw.Index, []uint32) {
	t.Helper()
	x, err := hnsw.Load(context.Background(), cfg, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	if !x.Stocked() {
		t.Fatal("the snapshot has no codes")
	}
	loose, err := x.Adopt(context.Background(), live, src)
	if err != nil {
		t.Fatal(err)
	}
	return x, loose
}

// asked is what x answers to some searches of each kind.
func asked(t testing.TB, x index.Index, queries [][]float32, allow *roaring.Bitmap) (out [][]index.Hit) {
	t.Helper()
	for _, q := range queries {
		for _, p := range []index.Params{{K: 10, Ef: 60}, {K: 10, Exact: true}, {K: 10, Allow: allow}} {
			hits, _, err := x.Search(context.Background(), q, p, nil)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, hits)
		}
		d := make([]float32, 3)
		if err := x.Distances(q, []uint32{1, 2, 3}, d); err != nil {
			t.Fatal(err)
		}
		out = append(out, []index.Hit{{Distance: d[0]}, {Distance: d[1]}, {Distance: d[2]}})
	}
	return out
}

// alike compares distances up to rounding: a vector that was read is scored by
// another kernel than one in memory.
func alike(a, b []index.Hit) bool {
	return slices.EqualFunc(a, b, func(a, b index.Hit) bool { return math.Abs(float64(a.Distance-b.Distance)) < 1e-5 })
}

// A snapshot leaves the dead out, and with them what led to others; nodes that were
// linked in bulk nobody asked for yet.
func TestAnAdoptedGraphFindsWhatTheDeadLedTo(t *testing.T) {
	r := rand.New(rand.NewSource(11))
	for name, vecs := range map[string][][]float32{
		"single writes": append(natives(r, 1500, 48), strangers(r, 300, 48)...),
		"bulk":          clustered(r, 12000, 48),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			cfg := index.Config{Dim: 48, Codes: index.Int8, M: 6, EfConstruction: 60}
			x, _ := pair(t, cfg)
			fill(t, x, vecs[:1500])
			for i, v := range vecs[1500:] {
				if err := x.Insert(ctx, uint32(1500+i), v); err != nil {
					t.Fatal(err)
				}
			}
			for x.Stats().Fresh > 0 {
				time.Sleep(time.Millisecond)
			}
			live := span(0, len(vecs))
			for i := 1500; i < 1800; i += 3 { // they stay in the graph: nothing is released
				x.Delete(uint32(i), 1)
				live.Remove(uint32(i))
			}
			y, _ := adopted(t, cfg, save(t, x), live, store(vecs))
			for i, v := range vecs {
				if err := y.Refill(uint32(i), v); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(y.Attach(), y.Drain(ctx)); err != nil {
				t.Fatal(err)
			}
			if lost := unfound(t, y, vecs, func(i int) bool { return live.Contains(uint32(i)) }); lost > 0 {
				t.Errorf("%d of %d are not found", lost, live.GetCardinality())
			}
		})
	}
}

func TestAnAdoptedGraphAnswersLikeTheSavedOneBeforeAndAfterItsVectorsCome(t *testing.T) {
	const dim = 20
	vecs := clustered(rand.New(rand.NewSource(2)), 2600, dim)
	for _, cfg := range []index.Config{
		{Codes: index.Int8}, {Codes: index.Int4, Metric: index.IP},
		{Codes: index.Int8, Metric: index.Cosine, Storage: index.Float16},
	} {
		t.Run(fmt.Sprint(cfg.Metric, cfg.Storage, cfg.Codes), func(t *testing.T) {
			cfg.Dim, cfg.EfConstruction = dim, 60
			x, _ := pair(t, cfg)
			fill(t, x, vecs)
			allow, queries := span(100, 140), vecs[:20]
			want := asked(t, x, queries, allow)
			y, loose := adopted(t, cfg, save(t, x), span(0, len(vecs)), store(vecs))
			if len(loose) != 0 {
				t.Fatalf("loose %v", loose)
			}
			same := func(when string) {
				t.Helper()
				if got := asked(t, y, queries, allow); !slices.EqualFunc(got, want, alike) {
					t.Fatalf("%s it answers otherwise", when)
				}
			}
			same("without vectors")
			var wg sync.WaitGroup
			for g := range 2 {
				wg.Go(func() {
					for i := g; i < len(vecs); i += 2 {
						if err := y.Refill(uint32(i), vecs[i]); err != nil {
							t.Error(err)
						}
					}
				})
			}
			same("while vectors come")
			wg.Wait()
			if err := y.Attach(); err != nil {
				t.Fatal(err)
			}
			same("with vectors")
			a, _ := x.Vector(5, nil)
			if b, ok := y.Vector(5, nil); !ok || !slices.Equal(a, b) {
				t.Fatalf("vector %v, want %v", b, a)
			}
			if err := y.Check(context.Background()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestASnapshotIsReadFromAStreamToo(t *testing.T) {
	cfg := index.Config{Dim: 3, Codes: index.Int8}
	x, _ := pair(t, cfg)
	fill(t, x, clustered(rand.New(rand.NewSource(6)), 300, 3))
	b := save(t, x)
	y, err := hnsw.Load(context.Background(), cfg, io.MultiReader(bytes.NewReader(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer y.Close()
	if !y.Stocked() || !bytes.Equal(save(t, y), b) {
		t.Fatal("it is not what was saved")
	}
}

func TestASnapshotTakenDuringInsertsNamesTheLoose(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(4)), 1500, 16)
	cfg := index.Config{Dim: 16, Codes: index.Int8, EfConstruction: 400}
	x, _ := pair(t, cfg)
	some := 0
	for i, v := range vecs {
		if err := x.Insert(ctx, uint32(i), v); err != nil {
			t.Fatal(err)
		}
		if i%500 != 499 {
			continue
		}
		y, loose := adopted(t, cfg, save(t, x), span(0, i+1), store(vecs))
		some += len(loose)
		for _, id := range loose {
			if err := y.Insert(ctx, id, vecs[id]); err != nil {
				t.Fatal(err)
			}
		}
		if y.Len() != i+1 {
			t.Fatalf("%d vectors, want %d", y.Len(), i+1)
		}
	}
	if some == 0 {
		t.Fatal("no snapshot was taken while vectors were fresh")
	}
}

func TestAdoptDropsWhatIsGone(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(3)), 3000, 16)
	cfg := index.Config{Dim: 16, Codes: index.Int8}
	x, f := pair(t, cfg)
	fill(t, x, vecs)
	y, _ := adopted(t, cfg, save(t, x), span(1000, len(vecs)), store(vecs))
	for i := 1000; i < len(vecs); i++ {
		if err := f.Insert(ctx, uint32(i), vecs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if got := recall(t, y, f, vecs[:50], index.Params{K: 10}); got < 0.9 {
		t.Errorf("recall %.3f while repairing", got)
	}
	if err := y.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if s := y.Stats(); s.Live != 2000 || s.Dead != 0 {
		t.Fatalf("stats %+v", s)
	}
	if err := y.Check(ctx); err != nil {
		t.Fatal(err)
	}
	if got := recall(t, y, f, vecs[:200], index.Params{K: 10}); got < 0.98 {
		t.Errorf("recall %.3f", got)
	}
}

// Ids die, their slots are freed and used for other vectors, and the ids come back
// with other vectors, all while the old vectors come in.
func TestRefillBesideWritesGivesNoSlotAnotherVector(t *testing.T) {
	ctx := context.Background()
	const n = 2400
	r := rand.New(rand.NewSource(8))
	vecs, next := clustered(r, n, 16), clustered(r, n, 16)
	cfg := index.Config{Dim: 16, Codes: index.Int8, EfConstruction: 40}
	x, _ := pair(t, cfg)
	fill(t, x, vecs)
	y, _ := adopted(t, cfg, save(t, x), span(0, n), store(vecs))
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if err := y.Refill(uint32(i), vecs[i]); err != nil {
				t.Error(err)
			}
		}
	})
	want := slices.Clone(vecs)
	for round := range 3 {
		for i := round * 200; i < round*200+200; i++ {
			y.Delete(uint32(i), uint64(round+1))
			if i%2 == 0 {
				want[i] = nil
			} else if want[i] = next[i]; y.Insert(ctx, uint32(i), next[i]) != nil {
				t.Fatal("an id that died was refused")
			}
		}
		y.Release(uint64(round + 1))
		if err := y.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if err := y.Attach(); err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if got, ok := y.Vector(uint32(i), nil); ok != (w != nil) || !slices.Equal(got, w) {
			t.Fatalf("vector %d is %v, want %v", i, got, w)
		}
	}
}

func TestADeadVectorIsRefilledForThoseWhoStillSeeIt(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(8)), 100, 4)
	cfg := index.Config{Dim: 4, Codes: index.Int8}
	x, _ := pair(t, cfg)
	fill(t, x, vecs)
	y, _ := adopted(t, cfg, save(t, x), span(0, 100), store(vecs))
	y.Delete(42, 9)
	for i, v := range vecs {
		if err := y.Refill(uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.Attach(); err != nil {
		t.Fatal(err)
	}
	hits, _, err := y.Search(ctx, vecs[42], index.Params{K: 1, At: 8}, nil)
	if err != nil || len(hits) != 1 || hits[0] != (index.Hit{ID: 42}) {
		t.Fatalf("%v, %v", hits, err)
	}
}

func TestAttachNamesTheIDsThatLackTheirVector(t *testing.T) {
	vecs := clustered(rand.New(rand.NewSource(8)), 50, 4)
	cfg := index.Config{Dim: 4, Codes: index.Int8}
	x, _ := pair(t, cfg)
	fill(t, x, vecs)
	y, _ := adopted(t, cfg, save(t, x), span(0, 50), store(vecs))
	for i, v := range vecs {
		if i == 7 {
			continue
		}
		if err := y.Refill(uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := y.Attach(); !errors.Is(err, index.ErrCorrupt) || !bytes.Contains([]byte(err.Error()), []byte("[7]")) {
		t.Fatalf("got %v", err)
	}
	if v, ok := y.Vector(7, nil); !ok || !slices.Equal(v, vecs[7]) {
		t.Fatalf("vector 7 is %v, %v", v, ok)
	}
}

func TestSnapshotsOfEveryVersionLoad(t *testing.T) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(9)), 60, 3)
	cfg := index.Config{Dim: 3, M: 4, Workers: 1, Codes: index.Int8}
	if *update {
		x, _ := pair(t, cfg)
		fill(t, x, vecs)
		x.Delete(7, 1)
		x.Release(1)
		if err := x.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("testdata/v2.snapshot", save(t, x), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []int{1, 2} {
		b, err := os.ReadFile(fmt.Sprintf("testdata/v%d.snapshot", version))
		if err != nil {
			t.Fatal(err)
		}
		x, err := hnsw.Load(ctx, cfg, bytes.NewReader(b))
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		defer x.Close()
		if x.Stocked() {
			if _, err := x.Adopt(ctx, span(0, 60), store(vecs)); err != nil {
				t.Fatal(err)
			}
		} else {
			for i, v := range vecs {
				if i == 7 {
					continue
				}
				if err := x.Fill(uint32(i), v); err != nil {
					t.Fatal(err)
				}
			}
			if err := x.Ready(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if x.Stocked() != (version == 2) || x.Len() != 59 {
			t.Fatalf("version %d: codes %v, %d vectors", version, x.Stocked(), x.Len())
		}
		hits, _, err := x.Search(ctx, vecs[11], index.Params{K: 1}, nil)
		if err != nil || len(hits) != 1 || hits[0].ID != 11 {
			t.Fatalf("version %d: %v, %v", version, hits, err)
		}
	}
}
