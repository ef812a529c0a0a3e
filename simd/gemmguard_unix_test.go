//go:build linux || darwin

package simd

import (
	"runtime/debug"
	"testing"
)

func TestProductsTouchNothingOutsideTheirMatrices(t *testing.T) {
	implementations(t, func(t *testing.T) {
		debug.SetPanicOnFault(true) // of this test's goroutine
		defer faults(t)
		a, b, c, d := newGuarded(t, 1<<16), newGuarded(t, 1<<16), newGuarded(t, 1<<16), newGuarded(t, 4096)
		r := seeded(35)
		for _, m := range []int{1, 2, 4, 5, 6, 7, 13, 14, 15, 29, 40} {
			for _, n := range []int{1, 2, 7, 8, 9, 16, 17, 31, 33, 63, 70, 140} {
				for _, k := range []int{1, 2, 7, 8, 9, 15, 16, 17, 40} {
					g := newGemmCase(r, m, n, k)
					bias := g.bias
					for _, end := range []bool{false, true} {
						at := first[float32]
						if end {
							at = last[float32]
						}
						g.a, g.b, g.c = at(a, len(g.a)), at(b, len(g.b)), at(c, len(g.c))
						if g.withBias {
							g.bias = at(d, len(bias))
						}
						g.call(0, g.c)
					}
				}
			}
		}
	})
}
