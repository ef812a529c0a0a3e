// Package indextest is the contract that every index kind must pass. A kind's own
// test calls Run; what is particular to it (recall, layout, repair) it tests
// itself. All data is seeded.
package indextest

import (
	"context"
	"errors"
	"math"
	"math/rand"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// Factory makes an empty index. The suite closes it.
type Factory func(cfg index.Config) (index.Index, error)

var ctx = context.Background()

// Run checks the contract of package index against the indexes that make makes.
func Run(t *testing.T, name string, make Factory) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"AnEmptyIndexFindsNothing", empty},
		{"OneVectorIsFound", one},
		{"BadVectorsAreRefusedAndChangeNothing", refused},
		{"BadOptionsAreRefused", options},
		{"ATakenIDIsRefused", taken},
		{"TiesAreOrderedByID", ties},
		{"ResultsMatchBruteForce", brute},
		{"KBeyondTheSizeReturnsAll", beyond},
		{"FiltersMatchBruteForce", filters},
		{"AWidthRanksByThePrefix", widths},
		{"AnOldReaderStillFindsWhatDiedLater", versions},
		{"AcceptLeavesOutHits", accept},
		{"ADeletedIDCanBeInsertedAgain", again},
		{"MemoryOfReleasedIDsIsReused", reuse},
		{"UnknownIDsAreIgnored", unknown},
		{"VectorAndDistancesAnswerForIDs", vectors},
		{"EachLiveIDFindsItself", self},
		{"ACancelledContextStopsASearch", cancelled},
		{"SearchAppendsToTheCallersSlice", appends},
		{"ManyGoroutinesMayUseOneIndex", together},
		{"CloseUnderLoadIsClean", closing},
		{"AClosedIndexSaysSo", closed},
		{"SparseIDsWork", sparse},
		{"ARandomLifeMatchesAModel", random},
	} {
		t.Run(name+"/"+c.name, func(t *testing.T) { c.run(t, make) })
	}
}

// open makes an index that is closed at the end of the test.
func open(t *testing.T, f Factory, cfg index.Config) index.Index {
	t.Helper()
	x, err := f(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	})
	return x
}

// normal returns n vectors of normal components.
func normal(seed int64, n, dim int) [][]float32 {
	r := rand.New(rand.NewSource(seed))
	out := make([][]float32, n)
	for i := range out {
		out[i] = make([]float32, dim)
		for j := range out[i] {
			out[i][j] = float32(r.NormFloat64())
		}
	}
	return out
}

func insert(t *testing.T, x index.Index, id uint32, v []float32) {
	t.Helper()
	if err := x.Insert(ctx, id, v); err != nil {
		t.Fatalf("insert %d: %v", id, err)
	}
}

func insertAll(t *testing.T, x index.Index, vecs [][]float32) {
	t.Helper()
	for i, v := range vecs {
		insert(t, x, uint32(i), v)
	}
}

func search(t *testing.T, x index.Index, q []float32, p index.Params) []index.Hit {
	t.Helper()
	hits, _, err := x.Search(ctx, q, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(hits); i++ {
		if !hits[i-1].Less(hits[i]) {
			t.Fatalf("hits %d and %d are out of order: %v", i-1, i, hits)
		}
	}
	return hits
}

func ids(hits []index.Hit) []uint32 {
	out := make([]uint32, len(hits))
	for i, h := range hits {
		out[i] = h.ID
	}
	return out
}

func wantIDs(t *testing.T, hits []index.Hit, want ...uint32) {
	t.Helper()
	if got := ids(hits); !slices.Equal(got, want) {
		t.Fatalf("got ids %v, want %v", got, want)
	}
}

// distance is the meaning of a metric, in float64.
func distance(m index.Metric, a, b []float32) float64 {
	var dot, aa, bb, l2 float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		dot += x * y
		aa += x * x
		bb += y * y
		l2 += (x - y) * (x - y)
	}
	switch m {
	case index.IP:
		return -dot
	case index.Cosine:
		return 1 - dot/math.Sqrt(aa*bb)
	}
	return l2
}

// rounded is v as storage keeps it.
func rounded(m index.Metric, s index.Storage, v []float32) []float32 {
	out := slices.Clone(v)
	if m == index.Cosine {
		var sum float64
		for _, x := range v {
			sum += float64(x) * float64(x)
		}
		for i := range out {
			out[i] = float32(float64(out[i]) / math.Sqrt(sum))
		}
	}
	if s == index.Float16 {
		half := make([]uint16, len(out))
		simd.ToHalf(half, out)
		simd.FromHalf(out, half)
	}
	return out
}

// oracle returns the k nearest of the vectors that keep allows, by brute force.
func oracle(m index.Metric, q []float32, vecs [][]float32, k int, keep func(uint32) bool) []index.Hit {
	var all []index.Hit
	for i, v := range vecs {
		if keep == nil || keep(uint32(i)) {
			all = append(all, index.Hit{ID: uint32(i), Distance: float32(distance(m, q, v))})
		}
	}
	slices.SortFunc(all, func(a, b index.Hit) int {
		if a.Less(b) {
			return -1
		}
		return 1
	})
	return all[:min(k, len(all))]
}

// agree fails unless got is want up to rounding: equal distances by rank.
func agree(t *testing.T, got, want []index.Hit) {
	t.Helper()
	agreeWithin(t, got, want, 1e-4)
}

// agreeWithin is agree with another tolerance: a vector of unit length is not
// quite that any more once rounded to binary16.
func agreeWithin(t *testing.T, got, want []index.Hit, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d hits, want %d", len(got), len(want))
	}
	for i := range got {
		d := math.Abs(float64(got[i].Distance - want[i].Distance))
		if d > tolerance*(1+math.Abs(float64(want[i].Distance))) {
			t.Fatalf("hit %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func empty(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 3})
	if hits := search(t, x, []float32{1, 2, 3}, index.Params{K: 5}); len(hits) != 0 {
		t.Fatalf("found %v", hits)
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
	x.Release(7)
	x.Delete(7, 7)
	if x.Len() != 0 {
		t.Fatalf("len %d", x.Len())
	}
}

func one(t *testing.T, f Factory) {
	for _, dim := range []int{1, 3, 16, 100, index.MaxDim} {
		x := open(t, f, index.Config{Dim: dim})
		v := make([]float32, dim)
		v[dim-1] = 2
		insert(t, x, 42, v)
		hits := search(t, x, make([]float32, dim), index.Params{K: 3})
		if len(hits) != 1 || hits[0] != (index.Hit{ID: 42, Distance: 4}) {
			t.Fatalf("dim %d: got %v", dim, hits)
		}
	}
}

func refused(t *testing.T, f Factory) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		m    index.Metric
		s    index.Storage
		v    []float32
		want error
	}{
		{index.L2, index.Float32, []float32{1}, index.ErrDimension},
		{index.L2, index.Float32, nil, index.ErrDimension},
		{index.L2, index.Float32, []float32{1, 2, 3}, index.ErrDimension},
		{index.L2, index.Float32, []float32{1, nan}, index.ErrNotFinite},
		{index.IP, index.Float32, []float32{inf, 1}, index.ErrNotFinite},
		{index.IP, index.Float32, []float32{1, -inf}, index.ErrNotFinite},
		{index.L2, index.Float32, []float32{3e19, 1}, index.ErrNotFinite},
		{index.L2, index.Float16, []float32{70000, 1}, index.ErrNotFinite},
		{index.Cosine, index.Float32, []float32{0, 0}, index.ErrZeroVector},
	} {
		x := open(t, f, index.Config{Dim: 2, Metric: c.m, Storage: c.s})
		insert(t, x, 1, []float32{1, 1})
		if err := x.Insert(ctx, 2, c.v); !errors.Is(err, c.want) {
			t.Fatalf("insert %v under %s: %v, want %v", c.v, c.m, err, c.want)
		}
		if c.s == index.Float32 {
			if _, _, err := x.Search(ctx, c.v, index.Params{K: 1}, nil); !errors.Is(err, c.want) {
				t.Fatalf("search %v under %s: %v, want %v", c.v, c.m, err, c.want)
			}
			if err := x.Distances(c.v, []uint32{1}, make([]float32, 1)); !errors.Is(err, c.want) {
				t.Fatalf("distances %v under %s: %v, want %v", c.v, c.m, err, c.want)
			}
		}
		if _, ok := x.Vector(2, nil); ok || x.Len() != 1 {
			t.Fatalf("a refused vector left a trace: len %d", x.Len())
		}
	}
}

func options(t *testing.T, f Factory) {
	for _, cfg := range []index.Config{
		{}, {Dim: -1}, {Dim: index.MaxDim + 1}, {Dim: 2, Metric: "l1"}, {Dim: 2, Storage: "int4"},
	} {
		if x, err := f(cfg); !errors.Is(err, index.ErrOption) {
			t.Errorf("%+v: %v, want %v", cfg, err, index.ErrOption)
			if err == nil {
				x.Close()
			}
		}
	}
}

func taken(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 1})
	insert(t, x, 5, []float32{1})
	if err := x.Insert(ctx, 5, []float32{2}); !errors.Is(err, index.ErrExists) {
		t.Fatalf("got %v", err)
	}
	if v, ok := x.Vector(5, nil); !ok || v[0] != 1 {
		t.Fatalf("the first vector became %v", v)
	}
}

func ties(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 4})
	r := rand.New(rand.NewSource(3))
	for _, id := range r.Perm(100) {
		insert(t, x, uint32(id), []float32{float32(id % 2), 0, 0, 0})
	}
	if err := x.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, search(t, x, make([]float32, 4), index.Params{K: 5}), 0, 2, 4, 6, 8)
	wantIDs(t, search(t, x, []float32{1, 0, 0, 0}, index.Params{K: 3, Exact: true}), 1, 3, 5)
	if err := x.Check(ctx); err != nil {
		t.Fatal(err)
	}
}

func brute(t *testing.T, f Factory) {
	for _, m := range []index.Metric{index.L2, index.IP, index.Cosine} {
		for _, s := range []index.Storage{index.Float32, index.Float16} {
			for _, dim := range []int{2, 17, 64} {
				vecs := normal(int64(dim), 300, dim)
				x := open(t, f, index.Config{Dim: dim, Metric: m, Storage: s})
				insertAll(t, x, vecs)
				kept := make([][]float32, len(vecs))
				for i, v := range vecs {
					kept[i] = rounded(m, s, v)
				}
				for _, q := range normal(99, 10, dim) {
					want, tolerance := oracle(m, q, kept, 10, nil), 1e-4
					if s == index.Float16 {
						tolerance = 1e-3
					}
					agreeWithin(t, search(t, x, q, index.Params{K: 10}), want, tolerance)
					agreeWithin(t, search(t, x, q, index.Params{K: 10, Exact: true}), want, tolerance)
				}
			}
		}
	}
}

func beyond(t *testing.T, f Factory) {
	x := open(t, f, index.Config{Dim: 8})
	vecs := normal(5, 50, 8)
	insertAll(t, x, vecs)
	for _, k := range []int{49, 50, 51, 100000} {
		agree(t, search(t, x, vecs[0], index.Params{K: k}), oracle(index.L2, vecs[0], vecs, k, nil))
	}
	if hits := search(t, x, vecs[0], index.Params{K: 0}); len(hits) != 0 {
		t.Fatalf("k=0 found %v", hits)
	}
}

func filters(t *testing.T, f Factory) {
	vecs := normal(6, 1000, 12)
	x := open(t, f, index.Config{Dim: 12})
	insertAll(t, x, vecs)
	r := rand.New(rand.NewSource(8))
	for _, share := range []float64{0, 0.001, 0.01, 0.1, 0.5, 0.9, 1} {
		allow := roaring.New()
		for id := range uint32(len(vecs) + 500) { // ids that do not exist are harmless
			if r.Float64() < share {
				allow.Add(id)
			}
		}
		for _, q := range normal(98, 5, 12) {
			want := oracle(index.L2, q, vecs, 10, allow.Contains)
			agree(t, search(t, x, q, index.Params{K: 10, Allow: allow}), want)
			agree(t, search(t, x, q, index.Params{K: 10, Allow: allow, Exact: true}), want)
		}
	}
}
