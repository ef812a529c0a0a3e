package hnsw_test

import (
	"context"
	"math/rand"
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

func TestRecallHoldsWithDefaults(t *testing.T) {
	for _, n := range []int{1000, 10000} {
		r := rand.New(rand.NewSource(int64(n)))
		vecs := clustered(r, n+200, 64)
		x, f := pair(t, index.Config{Dim: 64})
		fill(t, x, vecs[:n])
		fill(t, f, vecs[:n])
		if err := x.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := recall(t, x, f, vecs[n:], index.Params{K: 10})
		t.Logf("n=%d recall %.4f", n, got)
		if got < 0.95 {
			t.Errorf("n=%d: recall %.3f < 0.95", n, got)
		}
	}
}
