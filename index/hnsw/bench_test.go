package hnsw_test

import (
	"context"
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/index/hnsw"
)

const benchSize, benchDim = 20000, 128

// bench is the index that benchmarks share, built once.
var bench = sync.OnceValue(func() (b struct {
	x       *hnsw.Index
	coded   *hnsw.Index
	f       *flat.Index
	queries [][]float32
}) {
	ctx := context.Background()
	vecs := clustered(rand.New(rand.NewSource(1)), benchSize+500, benchDim)
	cfg := index.Config{Dim: benchDim}
	var err error
	if b.x, err = hnsw.New(cfg); err != nil {
		panic(err)
	}
	coded := cfg
	coded.Codes = index.Int8
	if b.coded, err = hnsw.New(coded); err != nil {
		panic(err)
	}
	if b.f, err = flat.New(cfg); err != nil {
		panic(err)
	}
	for i, v := range vecs[:benchSize] {
		for _, y := range []index.Index{b.x, b.coded, b.f} {
			if err := y.Insert(ctx, uint32(i), v); err != nil {
				panic(err)
			}
		}
	}
	for _, x := range []*hnsw.Index{b.x, b.coded} {
		if err := x.Drain(ctx); err != nil {
			panic(err)
		}
	}
	b.queries = vecs[benchSize:]
	return b
})

func BenchmarkSearch(b *testing.B) {
	s := bench()
	for _, ef := range []int{16, 64, 256} {
		b.Run(fmt.Sprintf("ef=%d", ef), func(b *testing.B) {
			run(b, s.x, s.queries, index.Params{K: 10, Ef: ef})
			b.ReportMetric(recall(b, s.x, s.f, s.queries[:100], index.Params{K: 10, Ef: ef}), "recall")
		})
		b.Run(fmt.Sprintf("int8/ef=%d", ef), func(b *testing.B) {
			run(b, s.coded, s.queries, index.Params{K: 10, Ef: ef})
			b.ReportMetric(recall(b, s.coded, s.f, s.queries[:100], index.Params{K: 10, Ef: ef}), "recall")
		})
	}
	for _, share := range []float64{0.5, 0.1, 0.01} {
		allow := roaring.New()
		r := rand.New(rand.NewSource(2))
		for id := range uint32(benchSize) {
			if r.Float64() < share {
				allow.Add(id)
			}
		}
		b.Run(fmt.Sprintf("share=%g", share), func(b *testing.B) {
			run(b, s.x, s.queries, index.Params{K: 10, Ef: 64, Allow: allow})
		})
	}
	b.Run("exact", func(b *testing.B) { run(b, s.f, s.queries, index.Params{K: 10}) })
}

func run(b *testing.B, x index.Index, queries [][]float32, p index.Params) {
	b.ReportAllocs()
	var hits []index.Hit
	for i := 0; b.Loop(); i++ {
		var err error
		if hits, _, err = x.Search(context.Background(), queries[i%len(queries)], p, hits[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	vecs := clustered(rand.New(rand.NewSource(1)), 5000, benchDim)
	for b.Loop() {
		x, err := hnsw.New(index.Config{Dim: benchDim})
		if err != nil {
			b.Fatal(err)
		}
		fill(b, x, vecs)
		x.Close()
	}
	b.ReportMetric(float64(b.N*len(vecs))/b.Elapsed().Seconds(), "vectors/s")
}
