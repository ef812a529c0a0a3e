package simd

import (
	"math"
	"slices"
	"testing"
)

type mark struct {
	d    float32
	slot uint32
}

func TestPlaceIsAfterAllThatAreNoMore(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := range 1200 {
			r := seeded(n)
			e := make([]mark, n)
			for i := range e {
				e[i] = mark{float32(r.IntN(n)-n/2) / 2, r.Uint32()}
			}
			slices.SortFunc(e, func(a, b mark) int { return int(2 * (a.d - b.d)) })
			for _, d := range []float32{float32(math.Inf(-1)), float32(-n), 0, float32(math.Copysign(0, -1)), float32(n), float32(math.Inf(1)),
				float32(r.IntN(n+1)-n/2) / 2, float32(r.IntN(n+1)-n/2)/2 + 0.1} {
				want := 0
				for want < n && e[want].d <= d {
					want++
				}
				if got := Place(e, d); got != want {
					t.Fatalf("%v belongs at %d of %d, want %d", d, got, n, want)
				}
			}
		}
	})
}
