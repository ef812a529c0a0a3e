//go:build unix

package hnsw_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
	"github.com/eiderdb/eider/internal/dataset"
)

// BenchmarkOrder measures walks of a graph beside those of the same graph with its
// nodes put in order, and what that costs beside the build.
func BenchmarkOrder(b *testing.B) {
	ctx := context.Background()
	wide := dataset.Spectrum{Rows: 100000, Queries: 2000, Dim: 768, Knee: 1, Decay: 0.6, Seed: 1}
	for _, set := range []struct {
		name string
		load func() (rows, queries dataset.Matrix)
	}{
		{"20k", dataset.Sift{Rows: 20000, Queries: 2000, Seed: 1}.Generate},
		{"50k", dataset.Sift{Rows: 50000, Queries: 2000, Seed: 1}.Generate},
		{"300k", dataset.Sift{Rows: 300000, Queries: 2000, Seed: 1}.Generate},
		{"100kx768", wide.Generate},
	} {
		b.Run(set.name, func(b *testing.B) {
			rows, queries := set.load()
			for range b.N {
				cfg := index.Config{Dim: rows.Cols, Seed: 1, Codes: index.Int8}
				x, err := hnsw.New(cfg)
				if err != nil {
					b.Fatal(err)
				}
				hnsw.SetWorth(x, hnsw.Never)
				start := cpu()
				for i := range rows.Rows {
					if err := x.Insert(ctx, uint32(i), rows.Row(i)); err != nil {
						b.Fatal(err)
					}
				}
				if err := x.Drain(ctx); err != nil {
					b.Fatal(err)
				}
				build := cpu() - start
				snapshot := save(b, x)
				x.Close()
				x, y := reloaded(b, cfg, snapshot, rows), reloaded(b, cfg, snapshot, rows)
				start = cpu()
				hnsw.Order(y)
				b.ReportMetric((cpu() - start).Seconds(), "order-CPU-s")
				b.ReportMetric(build.Seconds(), "build-CPU-s")
				took := walks(b, queries, x, y)
				b.ReportMetric(took[0], "before-us")
				b.ReportMetric(took[1], "after-us")
				x.Close()
				y.Close()
			}
		})
	}
}

// reloaded is the index of rows that a snapshot holds. Both sides of a comparison are
// loaded: one that was built lies in memory in another way.
func reloaded(b *testing.B, cfg index.Config, snapshot []byte, rows dataset.Matrix) *hnsw.Index {
	ctx := context.Background()
	x, err := hnsw.Load(ctx, cfg, bytes.NewReader(snapshot))
	if err != nil {
		b.Fatal(err)
	}
	hnsw.SetWorth(x, hnsw.Never)
	for i := range rows.Rows {
		if err := x.Fill(uint32(i), rows.Row(i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := errors.Join(x.Ready(ctx), x.Drain(ctx)); err != nil {
		b.Fatal(err)
	}
	return x
}

// walks is the microseconds of a search of each index: of some queries at a time,
// in turn, the fastest of rounds, since the machine has other work.
func walks(b testing.TB, queries dataset.Matrix, indexes ...*hnsw.Index) []float64 {
	const part = 100
	total := make([]float64, len(indexes))
	var hits []index.Hit
	for from := 0; from < queries.Rows; from += part {
		best := make([]time.Duration, len(indexes))
		for range 8 {
			for i, x := range indexes {
				start := time.Now()
				for q := from; q < min(from+part, queries.Rows); q++ {
					var err error
					if hits, _, err = x.Search(context.Background(), queries.Row(q), index.Params{K: 10, Ef: 128}, hits[:0]); err != nil {
						b.Fatal(err)
					}
				}
				if took := time.Since(start); best[i] == 0 || took < best[i] {
					best[i] = took
				}
			}
		}
		for i := range best {
			total[i] += best[i].Seconds() * 1e6 / float64(queries.Rows)
		}
	}
	return total
}
