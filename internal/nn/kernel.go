package nn

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/simd"
)

// Functions over slices in plain Go, as far as package simd has none.

// exp writes e^x to y; both may be the same slice.
func exp(y, x []float32) {
	for i, v := range x {
		y[i] = float32(math.Exp(float64(v)))
	}
}

// log writes the natural logarithm of x to y; both may be the same slice.
func log(y, x []float32) {
	for i, v := range x {
		y[i] = float32(math.Log(float64(v)))
	}
}

// sigmoid writes 1/(1+e^-x) to y; both may be the same slice.
func sigmoid(y, x []float32) {
	for i, v := range x {
		y[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
}

// tanh writes tanh x to y; both may be the same slice.
func tanh(y, x []float32) {
	for i, v := range x {
		y[i] = float32(math.Tanh(float64(v)))
	}
}

// softmax writes e^x/Σe^x to y, shifted by the largest x first; both may be the
// same slice.
func softmax(y, x []float32) {
	if len(x) == 0 {
		return
	}
	top, sum := simd.Max(x), 0.0
	for i, v := range x {
		e := math.Exp(float64(v - top))
		y[i] = float32(e)
		sum += e
	}
	simd.Scale(y[:len(x)], float32(1/sum))
}

// gather copies row ids[i] of rows, each dim long, to row i of out.
func gather(out, rows []float32, dim int, ids []uint32) {
	for i, id := range ids {
		copy(out[i*dim:(i+1)*dim], rows[int(id)*dim:(int(id)+1)*dim])
	}
}

// adam moves w by one step of Adam with decoupled weight decay and updates its
// moments m and v; step counts from 1.
func adam(w, g, m, v []float32, lr, beta1, beta2, eps, decay float32, step int) {
	b1, b2 := float64(beta1), float64(beta2)
	rate := float32(float64(lr) / (1 - math.Pow(b1, float64(step))))
	root := float32(1 / math.Sqrt(1-math.Pow(b2, float64(step))))
	keep := 1 - lr*decay
	for i, x := range g {
		m[i] = beta1*m[i] + (1-beta1)*x
		v[i] = beta2*v[i] + (1-beta2)*x*x
		w[i] = w[i]*keep - rate*m[i]/(float32(math.Sqrt(float64(v[i])))*root+eps)
	}
}

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
