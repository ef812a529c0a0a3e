//go:build !race

package simd

import "testing"

// The race detector empties pools at random.

func TestProductsAllocateNothingInSteadyState(t *testing.T) {
	implementations(t, func(t *testing.T) {
		a, b, c := make([]float32, 1<<16), make([]float32, 1<<16), make([]float32, 1<<16)
		calls := func() {
			Gemm(false, true, 100, 120, 90, 1, a, 90, b, 90, 0, c, 120)
			Gemv(true, 90, 200, 1, a, 200, b[:90], 1, c[:200])
			GemmSplit(2, false, false, 100, 100, 100, 1, a, 100, b, 100, 0, c, 100)
		}
		calls()
		// A collection empties pools; it is not counted.
		if n := testing.AllocsPerRun(20, calls); n >= 1 {
			t.Errorf("%v allocations a round", n)
		}
	})
}
