package simd

import "math"

// Errors but Gelu's are in ulp, the distance of float32 numbers at the exact result; the
// bounds hold for every float32 and every implementation. dst may be src, and
// must not overlap it otherwise.

// Exp writes e^src[i] to dst[i], within 1 ulp: +Inf above 88.72, subnormal below
// -87.33, 0 below -103.97. NaN stays NaN. It panics if the lengths differ.
func Exp(dst, src []float32) {
	pair("Exp", len(dst), len(src))
	if len(src) > 0 {
		active.Load().exp(hide(dst), hide(src))
	}
}

// Log writes the natural logarithm of src[i] to dst[i], within 1 ulp: -Inf of a
// zero of either sign, NaN of less than zero. It panics if the lengths differ.
func Log(dst, src []float32) {
	pair("Log", len(dst), len(src))
	if len(src) > 0 {
		active.Load().log(hide(dst), hide(src))
	}
}

// Sigmoid writes 1/(1+e^-src[i]) to dst[i], within 3 ulp, also where that is
// subnormal. It panics if the lengths differ.
func Sigmoid(dst, src []float32) {
	pair("Sigmoid", len(dst), len(src))
	if len(src) > 0 {
		active.Load().sigmoid(hide(dst), hide(src))
	}
}

// Tanh writes the hyperbolic tangent of src[i] to dst[i], within 3 ulp, with the
// sign of src[i], also of zero. It panics if the lengths differ.
func Tanh(dst, src []float32) {
	pair("Tanh", len(dst), len(src))
	if len(src) > 0 {
		active.Load().tanh(hide(dst), hide(src))
	}
}

// Gelu writes src[i]·Φ(src[i]) to dst[i], Φ being the normal distribution
// function: Gaussian error linear units, the form with erf. It is within 2⁻²²·|src[i]|
// of the exact value, and within 2⁻²⁰ below -5.5. It panics if the lengths differ.
func Gelu(dst, src []float32) {
	pair("Gelu", len(dst), len(src))
	if len(src) > 0 {
		active.Load().gelu(hide(dst), hide(src))
	}
}

func expGeneric(dst, src []float32) { each(dst, src, math.Exp) }
func logGeneric(dst, src []float32) { each(dst, src, math.Log) }

func sigmoidGeneric(dst, src []float32) {
	each(dst, src, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) })
}

func tanhGeneric(dst, src []float32) { each(dst, src, math.Tanh) }

func geluGeneric(dst, src []float32) {
	each(dst, src, func(x float64) float64 {
		x = max(x, -40) // below, Φ has no bits left
		return x / 2 * math.Erfc(-x/math.Sqrt2)
	})
}

// each is f of every element, in float64.
func each(dst, src []float32, f func(float64) float64) {
	dst = dst[:len(src)]
	for i, x := range src {
		dst[i] = float32(f(float64(x)))
	}
}
