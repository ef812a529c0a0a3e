package simd

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestSinesAndCosinesOfTurnsKeepTheirErrorBound(t *testing.T) {
	implementations(t, func(t *testing.T) {
		for n := range 100 {
			r := seeded(n)
			wide := math.Exp2(float64(r.IntN(40) - 20))
			src := fill(make([]float32, n), r, func(r *rand.Rand) float32 { return float32(r.NormFloat64() * wide / 8) })
			if n > 0 {
				src[0] = 0.25 * float32(r.IntN(100)-50)
			}
			sin, cos := make([]float32, n), make([]float32, n)
			for _, x := range []float32{1, -1.3, 0} {
				SinCosTurns(sin, cos, src, x)
				for i, f := range src {
					s, c := math.Sincos(2 * math.Pi * math.Mod(float64(f*x), 1))
					if math.Abs(float64(sin[i])-s) > 0x1p-22 || math.Abs(float64(cos[i])-c) > 0x1p-22 {
						t.Fatalf("of %v turns: %v %v, want %v %v", f*x, sin[i], cos[i], s, c)
					}
				}
			}
		}
	})
}
