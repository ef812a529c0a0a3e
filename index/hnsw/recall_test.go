package hnsw_test

import (
	"context"
	"math/rand"
	"os"
	"testing"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/index/hnsw"
)

// clustered returns n vectors of dim components around n/100+1 random centres.
func clustered(r *rand.Rand, n, dim int) [][]float32 {
	centres := make([][]float32, n/100+1)
	for i := range centres {
		centres[i] = gaussian(r, dim, nil, 1)
	}
	out := make([][]float32, n)
	for i := range out {
		out[i] = gaussian(r, dim, centres[r.Intn(len(centres))], 0.5)
	}
	return out
}

// gaussian returns a normal vector around centre (nil: the origin).
func gaussian(r *rand.Rand, dim int, centre []float32, sd float64) []float32 {
	v := make([]float32, dim)
	for i := range v {
		v[i] = float32(r.NormFloat64() * sd)
		if centre != nil {
			v[i] += centre[i]
		}
	}
	return v
}

func fill(t testing.TB, x index.Index, vecs [][]float32) {
	t.Helper()
	for i, v := range vecs {
		if err := x.Insert(context.Background(), uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Drain(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// recall is the share of the true k nearest that x finds, over queries.
func recall(t testing.TB, x, oracle index.Searcher, queries [][]float32, p index.Params) float64 {
	t.Helper()
	found, total := 0, 0
	for _, q := range queries {
		want, _, err := oracle.Search(context.Background(), q, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := x.Search(context.Background(), q, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("got %d hits, want %d", len(got), len(want))
		}
		total += len(want)
		if len(want) == 0 {
			continue
		}
		last := want[len(want)-1].Distance
		for _, h := range got {
			if h.Distance <= last {
				found++
			}
		}
	}
	return float64(found) / float64(total)
}

func pair(t testing.TB, cfg index.Config) (*hnsw.Index, *flat.Index) {
	t.Helper()
	x, err := hnsw.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f, err := flat.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close(); f.Close() })
	return x, f
}

// soak is whether tests run at full size: minutes, not seconds.
var soak = os.Getenv("EIDER_SOAK") != ""

// size is full under EIDER_SOAK, else quick; quarter of it under -race.
func size(quick, full int) int {
	switch {
	case soak:
		return full
	case race:
		return quick / 4
	}
	return quick
}

// R10: recall does not fall as the index grows.
func TestRecallHoldsWithDefaultsAtEverySize(t *testing.T) {
	for _, n := range []int{1000, 2500, size(10000, 10000), size(20000, 100000)} {
		r := rand.New(rand.NewSource(int64(n)))
		dim := 32
		vecs := make([][]float32, n+200)
		for i := range vecs {
			vecs[i] = gaussian(r, dim, nil, 1)
		}
		x, f := pair(t, index.Config{Dim: dim})
		fill(t, x, vecs[:n])
		fill(t, f, vecs[:n])
		if err := x.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := recall(t, x, f, vecs[n:], index.Params{K: 10})
		t.Logf("n=%d: recall %.4f", n, got)
		if got < 0.95 {
			t.Errorf("n=%d: recall %.4f < 0.95", n, got)
		}
	}
}

// degree is the mean number of level-0 links of live nodes.
func degree(t *testing.T, x *hnsw.Index) float64 {
	t.Helper()
	if err := x.Check(context.Background()); err != nil {
		t.Fatal(err)
	}
	return hnsw.MeanDegree(x)
}

// R9: half of the vectors are deleted, at random or a cluster at a time with the
// entry point first; what is left is found as well as in a fresh index.
func TestDeletingHalfKeepsRecall(t *testing.T) {
	ctx := context.Background()
	n, dim := size(8000, 20000), 32
	r := rand.New(rand.NewSource(9))
	spread := make([][]float32, n+size(1000, 5000))
	for i := range spread {
		spread[i] = gaussian(r, dim, nil, 1)
	}
	groups := make([][]float32, len(spread)) // vector i is of group i%20
	for i := range groups {
		groups[i] = gaussian(r, dim, spread[i%20], 0.6)
	}
	for _, c := range []struct {
		name string
		vecs [][]float32
		dies func(i int) bool
	}{
		{"random", spread, func(i int) bool { return i%2 == 0 }},
		{"clusters", groups, func(i int) bool { return i%20 < 10 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := index.Config{Dim: dim}
			x, f := pair(t, cfg)
			fresh, _ := pair(t, cfg)
			fill(t, x, c.vecs[:n])
			x.Delete(hnsw.EntryID(x), 1)
			dead := map[int]bool{int(hnsw.EntryID(x)): true}
			for i := range n {
				if c.dies(i) {
					dead[i] = true
					x.Delete(uint32(i), 1)
				}
			}
			x.Release(1)
			for i, v := range c.vecs[:n] {
				if !dead[i] {
					if err := fresh.Insert(ctx, uint32(i), v); err != nil {
						t.Fatal(err)
					}
					if err := f.Insert(ctx, uint32(i), v); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, i := range []index.Index{x, fresh} {
				if err := i.Drain(ctx); err != nil {
					t.Fatal(err)
				}
			}
			p := index.Params{K: 10, Ef: index.DefaultEf(n/2, 10)} // the same pool in both
			got, want := recall(t, x, f, c.vecs[n:], p), recall(t, fresh, f, c.vecs[n:], p)
			d := degree(t, x)
			t.Logf("recall %.4f, fresh %.4f, degree %.1f", got, want, d)
			if got < 0.95 || got < want-0.002 {
				t.Errorf("recall %.4f after deletes, fresh %.4f", got, want)
			}
			if d < 16 {
				t.Errorf("mean degree %.1f", d)
			}
		})
	}
}

// R11: generations of deletes and inserts do not wear the graph out.
func TestChurnKeepsRecall(t *testing.T) {
	ctx := context.Background()
	n, dim, generations := size(4000, 20000), 32, 40
	r := rand.New(rand.NewSource(11))
	vecs := make([][]float32, n+n*generations/50)
	for i := range vecs {
		vecs[i] = gaussian(r, dim, nil, 1)
	}
	queries := make([][]float32, 300)
	for i := range queries {
		queries[i] = gaussian(r, dim, nil, 1)
	}
	cfg := index.Config{Dim: dim}
	x, f := pair(t, cfg)
	fill(t, x, vecs[:n])
	live := r.Perm(n)
	for g := range generations {
		for i := range n / 50 {
			at := r.Intn(len(live))
			x.Delete(uint32(live[at]), uint64(g+1))
			id := n + g*(n/50) + i
			live[at] = id
			if err := x.Insert(ctx, uint32(id), vecs[id]); err != nil {
				t.Fatal(err)
			}
		}
		x.Release(uint64(g + 1))
		if err := x.Drain(ctx); err != nil {
			t.Fatal(err)
		}
	}
	fresh, _ := pair(t, cfg)
	for _, id := range live {
		for _, y := range []index.Index{fresh, f} {
			if err := y.Insert(ctx, uint32(id), vecs[id]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := fresh.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	p := index.Params{K: 10, Ef: 64}
	got, want, d := recall(t, x, f, queries, p), recall(t, fresh, f, queries, p), degree(t, x)
	t.Logf("recall %.4f, fresh %.4f, degree %.1f, fresh %.1f", got, want, d, degree(t, fresh))
	if got < want-0.005 {
		t.Errorf("recall %.4f after churn, fresh %.4f", got, want)
	}
	if d < 16 {
		t.Errorf("mean degree %.1f", d)
	}
}
