package nn

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/simd"
)

// The kernels of this file are plain Go with the signatures of package simd's:
// each becomes a call there when simd has it.

// gemm is C = alpha·op(A)·op(B) + beta·C with op(A) m x k, op(B) k x n and C
// m x n, row-major; trans means that the matrix in memory is the transpose.
// With beta 0 what C held is not read.
func gemm(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int) {
	for i := range m {
		row := c[i*ldc : i*ldc+n]
		if beta == 0 {
			clear(row)
		} else if beta != 1 {
			simd.Scale(row, beta)
		}
		switch {
		case transB && !transA:
			x := a[i*lda : i*lda+k]
			for j := range row {
				row[j] += alpha * simd.Dot(x, b[j*ldb:j*ldb+k])
			}
		case transB:
			for j := range row {
				y, sum := b[j*ldb:j*ldb+k], float32(0)
				for l := range y {
					sum += a[l*lda+i] * y[l]
				}
				row[j] += alpha * sum
			}
		default:
			for l := range k {
				at := i*lda + l
				if transA {
					at = l*lda + i
				}
				simd.Axpy(alpha*a[at], b[l*ldb:l*ldb+n], row)
			}
		}
	}
}

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
