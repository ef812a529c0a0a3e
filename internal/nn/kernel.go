package nn

import (
	"fmt"

	"github.com/eiderdb/eider/simd"
)

// Arithmetic of package simd over matrices.

// axpy adds alpha·x to y, which has x's shape.
func axpy(alpha float32, x, y Matrix) {
	x, y = merge(x, y)
	for i := range x.Rows {
		simd.Axpy(alpha, x.Row(i), y.Row(i))
	}
}

// mul multiplies y by x, which has y's shape. They do not overlap.
func mul(y, x Matrix) {
	y, x = merge(y, x)
	for i := range y.Rows {
		simd.Mul(y.Row(i), x.Row(i))
	}
}

// scale multiplies y by alpha.
func scale(y Matrix, alpha float32) {
	y, _ = merge(y, y)
	for i := range y.Rows {
		simd.Scale(y.Row(i), alpha)
	}
}

func wrong(op string, a, b fmt.Stringer) string {
	return fmt.Sprintf("nn: %s: %s and %s do not fit", op, a, b)
}
