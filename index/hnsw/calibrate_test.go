package hnsw_test

import (
	"context"
	"errors"
	"math/rand"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/index/hnsw"
)

// calibrated is an index of 6,000 vectors and their oracle, with queries of the
// same kind that it does not hold.
func calibrated(t *testing.T, cfg index.Config, vecs [][]float32) (x *hnsw.Index, oracle index.Index, queries [][]float32) {
	n := len(vecs) - 300
	x, f := pair(t, cfg)
	fill(t, x, vecs[:n])
	fill(t, f, vecs[:n])
	return x, f, vecs[n:]
}

func spread(seed int64, n, dim int) [][]float32 {
	r := rand.New(rand.NewSource(seed))
	out := make([][]float32, n)
	for i := range out {
		out[i] = gaussian(r, dim, nil, 1)
	}
	return out
}

func TestARecallAskedForIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  index.Config
		vecs [][]float32
	}{
		"clustered":       {index.Config{Dim: 32}, clustered(rand.New(rand.NewSource(41)), 6300, 32)},
		"clustered int8":  {index.Config{Dim: 32, Codes: index.Int8, Metric: index.Cosine}, clustered(rand.New(rand.NewSource(42)), 6300, 32)},
		"spread":          {index.Config{Dim: 32}, spread(43, 6300, 32)},
		"spread, by int4": {index.Config{Dim: 32, Codes: index.Int4}, spread(44, 6300, 32)},
		"by bit":          {index.Config{Dim: 128, Codes: index.Bit}, clustered(rand.New(rand.NewSource(49)), 6300, 128)},
	} {
		if race && name != "clustered int8" {
			continue // the others differ in arithmetic only
		}
		t.Run(name, func(t *testing.T) {
			x, f, queries := calibrated(t, c.cfg, c.vecs)
			for _, want := range []float64{0.9, 0.95, 0.99} {
				got := recall(t, x, f, queries, index.Params{K: 10, Recall: want})
				if got < want-0.02 {
					t.Errorf("recall %.4f, asked for %.2f: %+v", got, want, x.Stats().Curve)
				}
				_, w, err := x.Search(context.Background(), queries[0], index.Params{K: 10, Recall: want}, nil)
				if err != nil || !w.Exact && w.Recall < want-1e-9 {
					t.Errorf("predicted %.4f with a pool of %d, asked for %.2f: %v", w.Recall, w.Ef, want, err)
				}
			}
		})
	}
}

func TestACurveRisesAndHarderVectorsNeedLargerPools(t *testing.T) {
	var pools []int
	for _, vecs := range [][][]float32{clustered(rand.New(rand.NewSource(45)), 6300, 32), spread(46, 6300, 32)} {
		x, _, _ := calibrated(t, index.Config{Dim: 32}, vecs)
		curve := x.Stats().Curve
		if len(curve) < 5 {
			t.Fatalf("curve %+v", curve)
		}
		for i, p := range curve[1:] {
			if o := curve[i]; p.Ef <= o.Ef || p.Recall < o.Recall || p.Distances < o.Distances {
				t.Errorf("curve falls from %+v to %+v", o, p)
			}
		}
		i := slices.IndexFunc(curve, func(p index.Pool) bool { return p.Recall >= 0.9 })
		if i < 0 {
			t.Fatalf("curve %+v", curve)
		}
		pools = append(pools, curve[i].Ef)
	}
	if pools[1] < 2*pools[0] {
		t.Errorf("pools %v for clustered and spread vectors", pools)
	}
}

func TestARecallNoWalkReachesIsAScan(t *testing.T) {
	x, f, queries := calibrated(t, index.Config{Dim: 64}, spread(47, 2800, 64))
	p := index.Params{K: 10, Recall: 1 - 1e-9}
	_, w, err := x.Search(context.Background(), queries[0], p, nil)
	if err != nil || !w.Exact || w.Recall != 1 {
		t.Errorf("%+v, %v; want a scan", w, err)
	}
	if got := recall(t, x, f, queries, p); got != 1 {
		t.Errorf("recall %.4f of a scan", got)
	}
}

// Queries from where no vector is are harder to answer than stored vectors.
func TestACalibrationIsOfWhatIsAsked(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewSource(48))
	x, f, _ := calibrated(t, index.Config{Dim: 32}, clustered(r, 6300, 32))
	far := make([][]float32, 1000)
	for i := range far {
		far[i] = gaussian(r, 32, nil, 1)
	}
	before := x.Stats().Curve[0]
	for _, q := range far[:800] {
		if _, _, err := x.Search(ctx, q, index.Params{K: 10, Ef: 50}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if race {
		return // the race detector makes pools drop the searchers that count
	}
	if after := x.Stats().Curve[0]; after.Recall > before.Recall-0.05 {
		t.Errorf("recall of a pool of 10: %.3f of stored vectors, %.3f of what was asked", before.Recall, after.Recall)
	}
	if got := recall(t, x, f, far[800:], index.Params{K: 10, Recall: 0.95}); got < 0.93 {
		t.Errorf("recall %.4f, asked for 0.95", got)
	}
}

func TestMoreHitsGetLargerPools(t *testing.T) {
	x, f, queries := calibrated(t, index.Config{Dim: 32}, clustered(rand.New(rand.NewSource(49)), 6300, 32))
	for _, k := range []int{1, 3, 10, 30, 100} {
		if got := recall(t, x, f, queries, index.Params{K: k, Recall: 0.95}); got < 0.93 {
			t.Errorf("recall@%d %.4f, asked for 0.95", k, got)
		}
	}
}

func TestCloseEndsACalibration(t *testing.T) {
	ctx := context.Background()
	x, _ := pair(t, index.Config{Dim: 256, MaxFresh: 1 << 20, M: 4, EfConstruction: 8})
	for i, v := range spread(50, 3000, 256) {
		if err := x.Insert(ctx, uint32(i), v); err != nil {
			t.Fatal(err)
		}
	}
	for x.Stats().Fresh > 0 {
		time.Sleep(100 * time.Microsecond)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := x.Search(ctx, make([]float32, 256), index.Params{K: 1, Recall: 0.9}, nil); !errors.Is(err, index.ErrClosed) {
		t.Errorf("search of a closed index: %v", err)
	}
}

// countedSource is a source that counts what is read of it.
type countedSource struct {
	vecs  [][]float32
	reads atomic.Int64
}

func (s *countedSource) Read(id uint32, dst []float32) ([]float32, error) {
	s.reads.Add(1)
	return append(dst, s.vecs[id]...), nil
}

// An exact answer by bits may take reading most vectors; a calibration asks for up
// to 96 of them.
func TestCalibratingByBitsReadsFewVectors(t *testing.T) {
	src := &countedSource{vecs: clustered(rand.New(rand.NewSource(50)), 4000, 128)}
	x, err := hnsw.New(index.Config{Dim: 128, Codes: index.Bit, Source: src})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	fill(t, x, src.vecs)
	if len(x.Stats().Curve) == 0 {
		t.Fatal("no calibration")
	}
	n := int64(len(src.vecs))
	if reads := src.reads.Load() - n; reads > 96*n/10 { // each was read once to be linked
		t.Errorf("%d reads to calibrate on %d vectors", reads, n)
	}
}
