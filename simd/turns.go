package simd

import "math"

// SinCosTurns writes the sine and the cosine of src[i]*x turns, of 2π each, to sin[i]
// and cos[i], within 2⁻²² while |src[i]*x|, in float32, is below 2²⁰; beyond, and for
// NaN, they are anything. It panics if the lengths differ.
func SinCosTurns(sin, cos, src []float32, x float32) {
	pair("SinCosTurns", len(sin), len(src))
	pair("SinCosTurns", len(cos), len(src))
	if len(src) > 0 {
		active.Load().turns(hide(sin), hide(cos), hide(src), x)
	}
}

// turnsGeneric takes off quarters of a turn, and approximates what is left by the
// polynomials of S. Moshier's Cephes library.
func turnsGeneric(sin, cos, src []float32, x float32) {
	const round = 1.5 * (1 << 23) // a sum with it is rounded to an integer, in its low bits
	sin, cos = sin[:len(src)], cos[:len(src)]
	for i, t := range src {
		t *= x
		q := 4*t + round
		r := (t - (q-round)*0.25) * (2 * math.Pi)
		z := r * r
		s := r + r*z*(-1.6666655e-1+z*(8.3321609e-3-z*1.9515296e-4))
		c := 1 + z*(-0.5+z*(4.1666646e-2+z*(-1.3887316e-3+z*2.4433157e-5)))
		n := math.Float32bits(q)
		if n&1 != 0 {
			s, c = c, s
		}
		sin[i] = math.Float32frombits(math.Float32bits(s) ^ n&2<<30)
		cos[i] = math.Float32frombits(math.Float32bits(c) ^ (n+1)&2<<30)
	}
}
