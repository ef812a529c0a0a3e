package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestDroppedReLUIsThatOfThePlainLoop(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := range 140 {
			r := seeded(n)
			x, g := fill(make([]float32, n), r, normal), fill(make([]float32, n), r, normal)
			y := fill(make([]float32, n+1), r, normal)
			for _, threshold := range []uint32{0, 1 << 30, 1 << 31, math.MaxUint32} {
				key := r.Uint32()
				want, got := slices.Clone(y), slices.Clone(y)
				dropReLUGeneric(want[:n], x, -0.7, key, threshold)
				DropReLU(got[:n], x, -0.7, key, threshold)
				for j := range want {
					if !near(got[j], float64(want[j]), 1e-6) {
						t.Fatalf("element %d of %d is %v, want %v", j, n, got[j], want[j])
					}
				}
				dx, dwant := slices.Clone(x), slices.Clone(x)
				sum, wantSum := DropReLUGrad(dx, g, key, threshold), dropReLUGradGeneric(dwant, g, key, threshold)
				if !slices.Equal(dx, dwant) || !near(sum, float64(wantSum), 1e-5) {
					t.Fatalf("backwards, %d elements, threshold %x: sum %v, want %v", n, threshold, sum, wantSum)
				}
			}
		}
	})
}

func TestMasksOfDropoutKeepTheShareAskedForInEveryPlace(t *testing.T) {
	const n, keys = 530, 4000
	ones := slices.Repeat([]float32{1}, n)
	for _, p := range []float64{0.1, 0.38852797479169876, 0.5} {
		y := make([]float32, n)
		r := seeded(3)
		for range keys {
			DropReLU(y, ones, 1, r.Uint32(), uint32(p*(1<<32)))
		}
		total := 0.0
		for j, v := range y {
			// Six standard deviations of a binomial share.
			if share := 1 - float64(v)/keys; math.Abs(share-p) > 6*math.Sqrt(p*(1-p)/keys) {
				t.Errorf("place %d is dropped with a share of %v, want %v", j, share, p)
			}
			total += float64(v)
		}
		if share := 1 - total/keys/n; math.Abs(share-p) > 6*math.Sqrt(p*(1-p)/keys/n) {
			t.Errorf("a share of %v is dropped, want %v", share, p)
		}
	}
}

func TestBelowFindsWhatIsAtMostTheLimit(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := range 140 {
			r := seeded(n)
			x := fill(make([]float32, n), r, func(r *rand.Rand) float32 { return float32(r.IntN(20)) })
			for _, limit := range []float32{-1, 0, 3, 19, float32(math.Inf(1)), float32(math.NaN())} {
				want, got := make([]uint32, n), make([]uint32, n)
				if n > 0 {
					x[n/2] = float32(math.NaN())
				}
				w, m := belowGeneric(x, limit, 7, want), Below(x, limit, 7, got)
				if m != w || !slices.Equal(got[:m], want[:w]) {
					t.Fatalf("of %d at most %v: %v, want %v", n, limit, got[:m], want[:w])
				}
			}
		}
	})
}
