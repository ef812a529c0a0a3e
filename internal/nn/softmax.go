package nn

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/simd"
)

// Softmax is e^x/Σe^x over each row. Where mask (rows*cols numbers, or nil) is
// 0 the result is 0 and the element takes no part; a row of such elements gives
// zeros, never NaN.
func (t *Tape) Softmax(x *Var, mask []float32) *Var {
	if mask != nil && len(mask) != x.Rows*x.Cols {
		panic(fmt.Sprintf("nn: Softmax: a mask of %d numbers for %s", len(mask), x))
	}
	v := t.node(x.Rows, x.Cols, softmaxBack, x)
	for i := range x.Rows {
		if mask == nil {
			simd.Softmax(v.Row(i), x.Row(i))
		} else {
			maskedSoftmax(v.Row(i), x.Row(i), mask[i*x.Cols:(i+1)*x.Cols])
		}
	}
	return v
}

// maskedSoftmax is softmax over the x whose mask is not 0. y may be x.
func maskedSoftmax(y, x, mask []float32) {
	never, any := float32(math.Inf(-1)), false
	for i, e := range x {
		if mask[i] != 0 {
			any = true
			y[i] = e
		} else {
			y[i] = never
		}
	}
	if !any {
		clear(y)
		return
	}
	simd.Softmax(y, y)
}

// ∂L/∂x_j = y_j·(g_j - Σ_l y_l·g_l); masked elements have y = 0.
func softmaxBack(t *Tape, v *Var) {
	for i := range v.Rows {
		softmaxGrad(v.grad.Row(i), v.Row(i))
	}
	t.give(v.in[0], v.grad)
}

func softmaxGrad(g, y []float32) {
	mean := simd.Dot(g, y)
	for j := range g {
		g[j] = y[j] * (g[j] - mean)
	}
}

// SegmentSoftmax is Softmax over each segment of x, n x 1 and packed, with one
// number a row in mask.
func (t *Tape) SegmentSoftmax(x *Var, s Segments, mask []float32) *Var {
	s.check("SegmentSoftmax", x.Rows, mask)
	if x.Cols != 1 || !x.Packed() {
		panic(fmt.Sprintf("nn: SegmentSoftmax: %s (packed: %t) is not a packed column", x, x.Packed()))
	}
	v := t.node(x.Rows, 1, segmentSoftmaxBack, x)
	v.seg = s
	for i := range s.Len() {
		lo, hi := s.at(i)
		if mask == nil {
			simd.Softmax(v.Data[lo:hi], x.Data[lo:hi])
		} else {
			maskedSoftmax(v.Data[lo:hi], x.Data[lo:hi], mask[lo:hi])
		}
	}
	return v
}

func segmentSoftmaxBack(t *Tape, v *Var) {
	g := Wrap(v.Rows, 1, t.packed(v.grad, nil)) // it may be a column of what Concat made
	for i := range v.seg.Len() {
		lo, hi := v.seg.at(i)
		softmaxGrad(g.Data[lo:hi], v.Data[lo:hi])
	}
	t.give(v.in[0], g)
}
