package indextest

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/eiderdb/eider/index"
)

// prefixDistance is the distance over the first w components, cosine normalised
// over them.
func prefixDistance(m index.Metric, a, b []float32, w int) float64 {
	var l2, dot, aa, bb float64
	for i := range w {
		x, y := float64(a[i]), float64(b[i])
		l2 += (x - y) * (x - y)
		dot += x * y
		aa += x * x
		bb += y * y
	}
	switch m {
	case index.L2:
		return l2
	case index.IP:
		return -dot
	}
	return 1 - dot/math.Sqrt(aa*bb)
}

func widths(t *testing.T, f Factory) {
	const n, dim, k = 400, 24, 10
	vecs := normal(77, n+5, dim)
	for _, m := range []index.Metric{index.L2, index.IP, index.Cosine} {
		x := open(t, f, index.Config{Dim: dim, Metric: m})
		insertAll(t, x, vecs[:n])
		for _, w := range []int{1, 7, 12, dim} {
			for _, q := range vecs[n:] {
				want := make([]float64, n)
				for i := range want {
					want[i] = prefixDistance(m, q, vecs[i], w)
				}
				slices.Sort(want)
				for _, p := range []index.Params{{K: k, Width: w, Exact: true}, {K: k, Width: w}} {
					hits := search(t, x, q, p)
					if len(hits) != k {
						t.Fatalf("%s width %d: %d hits", m, w, len(hits))
					}
					for i, h := range hits {
						if d := math.Abs(float64(h.Distance) - want[i]); d > 1e-4*(1+math.Abs(want[i])) {
							t.Fatalf("%s width %d: hit %d is at %v, want %v", m, w, i, h.Distance, want[i])
						}
					}
				}
			}
		}
		for _, w := range []int{-1, dim + 1} {
			if _, _, err := x.Search(ctx, vecs[n], index.Params{K: k, Width: w}, nil); !errors.Is(err, index.ErrOption) {
				t.Fatalf("width %d: %v", w, err)
			}
		}
	}
}
