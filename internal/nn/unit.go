package nn

import (
	"math"

	"github.com/eiderdb/eider/simd"
)

// Unit divides each row by its Euclidean length, or by eps if that is more: the
// dot product of two such rows is their cosine.
func (t *Tape) Unit(x *Var, eps float32) *Var {
	v := t.node(x.Rows, x.Cols, unitBack, x)
	v.x = eps
	v.saved = t.scratch(x.Rows) // 1 over the divisor
	v.Set(x.Matrix)
	for i := range x.Rows {
		v.saved[i] = 1 / max(eps, length(x.Row(i)))
		simd.Scale(v.Row(i), v.saved[i])
	}
	return v
}

func length(x []float32) float32 {
	sum := 0.0
	for _, e := range x {
		sum += float64(e) * float64(e)
	}
	return float32(math.Sqrt(sum))
}

// ∂L/∂x = (g - y·(y·g))/|x|, and g/eps below eps.
func unitBack(t *Tape, v *Var) {
	for i := range v.Rows {
		g, y := v.grad.Row(i), v.Row(i)
		if v.saved[i]*v.x < 1 {
			simd.Axpy(-simd.Dot(g, y), y, g)
		}
		simd.Scale(g, v.saved[i])
	}
	t.give(v.in[0], v.grad)
}
