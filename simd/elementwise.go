package simd

import "github.com/viterin/vek/vek32"

// Elementwise arithmetic is vek's; it changes its first argument in place and
// copies nothing. Its arguments must not overlap.

// Add adds x[i] to y[i]. It panics if the lengths differ.
func Add(y, x []float32) {
	pair("Add", len(y), len(x))
	if len(x) > 0 {
		vek32.Add_Inplace(y, x)
	}
}

// Sub subtracts x[i] from y[i]. It panics if the lengths differ.
func Sub(y, x []float32) {
	pair("Sub", len(y), len(x))
	if len(x) > 0 {
		vek32.Sub_Inplace(y, x)
	}
}

// Mul multiplies y[i] by x[i]. It panics if the lengths differ.
func Mul(y, x []float32) {
	pair("Mul", len(y), len(x))
	if len(x) > 0 {
		vek32.Mul_Inplace(y, x)
	}
}

// Scale multiplies every y[i] by alpha.
func Scale(y []float32, alpha float32) {
	if len(y) > 0 {
		vek32.MulNumber_Inplace(y, alpha)
	}
}

// Sum returns Σ x[i], 0 if x is empty.
func Sum(x []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	return vek32.Sum(x)
}

// Max returns the largest x[i]. x must not be empty and must hold no NaN; with
// a NaN in x the result may be any element.
func Max(x []float32) float32 {
	if len(x) == 0 {
		panic("simd: Max: x is empty; it must hold at least one element")
	}
	return vek32.Max(x)
}
