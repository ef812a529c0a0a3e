package nn

import "github.com/eiderdb/eider/simd"

// MatMul is op(a)·op(b), where op transposes if its flag is set.
func (t *Tape) MatMul(a, b *Var, transA, transB bool) *Var {
	m, k, k2, n := a.Rows, a.Cols, b.Rows, b.Cols
	if transA {
		m, k = k, m
	}
	if transB {
		k2, n = n, k2
	}
	if k != k2 {
		panic(wrong("MatMul", a, b))
	}
	v := t.node(m, n, matMulBack, a, b)
	v.a, v.b = transA, transB
	simd.Gemm(transA, transB, m, n, k, 1, a.Data, a.Stride, b.Data, b.Stride, 0, v.Data, v.Stride)
	return v
}

// With C = op(A)·op(B) and G = ∂L/∂C: ∂L/∂op(A) = G·op(B)ᵀ, ∂L/∂op(B) = op(A)ᵀ·G;
// if op transposes, what is added to the operand is the transpose of that.
func matMulBack(t *Tape, v *Var) {
	a, b, g := v.in[0], v.in[1], v.grad
	k := a.Cols
	if v.a {
		k = a.Rows
	}
	if a.needs {
		d, beta := t.dest(a)
		if v.a {
			simd.Gemm(v.b, true, k, v.Rows, v.Cols, 1, b.Data, b.Stride, g.Data, g.Stride, beta, d.Data, d.Stride)
		} else {
			simd.Gemm(false, !v.b, v.Rows, k, v.Cols, 1, g.Data, g.Stride, b.Data, b.Stride, beta, d.Data, d.Stride)
		}
	}
	if b.needs {
		d, beta := t.dest(b)
		if v.b {
			simd.Gemm(true, v.a, v.Cols, k, v.Rows, 1, g.Data, g.Stride, a.Data, a.Stride, beta, d.Data, d.Stride)
		} else {
			simd.Gemm(!v.a, false, k, v.Cols, v.Rows, 1, a.Data, a.Stride, g.Data, g.Stride, beta, d.Data, d.Stride)
		}
	}
}

// Linear is x·wᵀ + b for x of n x in, w of out x in (PyTorch's layout) and b of
// 1 x out, or nil for no bias.
func (t *Tape) Linear(x, w, b *Var) *Var {
	if x.Cols != w.Cols {
		panic(wrong("Linear", x, w))
	}
	if b != nil && (b.Rows != 1 || b.Cols != w.Rows) {
		panic(wrong("Linear", w, b))
	}
	v := t.node(x.Rows, w.Rows, linearBack, x, w, b)
	beta := float32(0)
	if b != nil {
		for i := range v.Rows {
			copy(v.Row(i), b.Row(0))
		}
		beta = 1
	}
	simd.Gemm(false, true, x.Rows, w.Rows, x.Cols, 1, x.Data, x.Stride, w.Data, w.Stride, beta, v.Data, v.Stride)
	return v
}

func linearBack(t *Tape, v *Var) {
	x, w, b, g := v.in[0], v.in[1], v.in[2], v.grad
	if x.needs { // G·W
		d, beta := t.dest(x)
		simd.Gemm(false, false, x.Rows, x.Cols, w.Rows, 1, g.Data, g.Stride, w.Data, w.Stride, beta, d.Data, d.Stride)
	}
	if w.needs { // Gᵀ·X
		d, beta := t.dest(w)
		simd.Gemm(true, false, w.Rows, w.Cols, x.Rows, 1, g.Data, g.Stride, x.Data, x.Stride, beta, d.Data, d.Stride)
	}
	if b != nil && b.needs {
		sumRows(t.Grad(b).Row(0), g)
	}
}
