package bench

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/flat"
	"github.com/eiderdb/eider/internal/dataset"
	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/simd"
)

// truth is the exact answer to a set's queries.
type truth struct {
	set       *Set
	k         int
	distances []float32 // k per query, ascending
}

// solve finds the k nearest base vectors of every query with the flat index, or
// reads them from the user's cache, where they are kept by a checksum of the
// vectors.
func solve(ctx context.Context, s *Set, k int) (*truth, error) {
	t := &truth{set: s, k: min(k, s.Base.Rows)}
	path := t.path()
	if m, err := matrix(path, 0); err == nil && m.Rows == s.Queries.Rows && m.Cols == t.k {
		t.distances = m.Data
		return t, nil
	}
	x, err := flat.New(index.Config{Dim: s.Base.Cols, Metric: s.Metric, Workers: 1})
	if err != nil {
		return nil, err
	}
	defer x.Close()
	if err := insertAll(ctx, x, s.Base, runtime.GOMAXPROCS(0)); err != nil {
		return nil, err
	}
	if t.distances, err = t.scan(ctx, x, nil); err != nil {
		return nil, err
	}
	t.save(path)
	return t, nil
}

// scan asks x for the exact answers to all queries, on all CPUs.
func (t *truth) scan(ctx context.Context, x index.Searcher, p *index.Params) ([]float32, error) {
	params := index.Params{K: t.k, Exact: true}
	if p != nil {
		params = *p
	}
	out := make([]float32, t.set.Queries.Rows*t.k)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var hits []index.Hit
			for {
				i := int(next.Add(1)) - 1
				if i >= t.set.Queries.Rows || ctx.Err() != nil {
					return
				}
				var err error
				if hits, _, err = x.Search(ctx, t.set.Queries.Row(i), params, hits[:0]); err == nil && len(hits) != t.k {
					err = fmt.Errorf("exact search of query %d found %d of %d", i, len(hits), t.k)
				}
				if err != nil {
					cancel(err)
					return
				}
				for j, h := range hits {
					out[i*t.k+j] = h.Distance
				}
			}
		})
	}
	wg.Wait()
	return out, context.Cause(ctx)
}

// path is where the cached distances lie, "" without a cache directory.
func (t *truth) path() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Checksum([]byte(fmt.Sprint(t.set.Metric, t.k, t.set.Base.Rows, t.set.Base.Cols, t.set.Queries.Rows)), table)
	sum = crc32.Update(sum, table, simd.Bytes(t.set.Base.Data))
	other := crc32.Checksum(simd.Bytes(t.set.Queries.Data), table)
	return filepath.Join(dir, "eider", "truth", fmt.Sprintf("%08x%08x.fbin", sum, other))
}

// save keeps the distances for the next run; a failure only costs that run time.
func (t *truth) save(path string) {
	if path == "" || os.MkdirAll(filepath.Dir(path), 0o755) != nil {
		return
	}
	f, err := os.CreateTemp(filepath.Dir(path), "truth-*")
	if err != nil {
		return
	}
	err = dataset.Write(f, dataset.Fbin, dataset.Matrix{Rows: t.set.Queries.Rows, Cols: t.k, Data: t.distances})
	if cerr := f.Close(); err == nil && cerr == nil && os.Rename(f.Name(), path) == nil {
		return
	}
	os.Remove(f.Name())
}

// recall is the mean recall@k of ids, k per query. An id outside the base, -1
// included, is a miss.
func (t *truth) recall(ids []int32) float64 {
	sum := 0.0
	for i := range t.set.Queries.Rows {
		q := t.set.Queries.Row(i)
		sum += metric.RecallAt(t.distances[i*t.k:(i+1)*t.k], ids[i*t.k:(i+1)*t.k], func(id int32) float32 {
			if id < 0 || int(id) >= t.set.Base.Rows {
				return infinity
			}
			return distance(t.set.Metric, q, t.set.Base.Row(int(id)))
		}, t.k)
	}
	return sum / float64(t.set.Queries.Rows)
}

// distance is the exact distance, as package index defines it.
func distance(m index.Metric, a, b []float32) float32 {
	if m == index.IP {
		return -simd.Dot(a, b)
	}
	return simd.L2(a, b)
}
