package din

import (
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// first is the first layer of the activation unit over all pairs of an item
// offered and an item of its user's history, as an operation of a tape. With W =
// [W_q W_k W_d W_p], h x 4d, and δ the gradient of its output by pair:
//
//	y = (W_q+W_d)·v_A + b  +  (W_k-W_d)·e  +  W_p·(v_A⊙e)
//	s = Σ_e δ by item offered, u = Σ_A δ by item of a history, x = W_pᵀ·δ by pair
//	∂W_q = Σ s⊗v_A   ∂W_k = Σ u⊗e   ∂W_d = ∂W_q - ∂W_k   ∂W_p = Σ δ⊗(v_A⊙e)
//	∂v_A = (W_q+W_d)ᵀs + Σ_e x⊙e      ∂e = (W_k-W_d)ᵀu + Σ_A x⊙v_A
type first struct {
	b      *Batch
	wq, wk nn.Matrix // h x d: W_q+W_d, W_k-W_d
	p      nn.Matrix // pairs x d: v_A⊙e
}

// parts views w, h x 4d, as its four parts, h x d each.
func parts(w nn.Matrix) (q, k, diff, prod nn.Matrix) {
	d := w.Cols / 4
	return w.Columns(0, d), w.Columns(d, 2*d), w.Columns(2*d, 3*d), w.Columns(3*d, w.Cols)
}

// fold writes W_q+W_d and W_k-W_d.
func fold(w, wq, wk nn.Matrix) {
	q, k, diff, _ := parts(w)
	wq.Set(q)
	wk.Set(k)
	for i := range w.Rows {
		simd.Add(wq.Row(i), diff.Row(i))
		simd.Sub(wk.Row(i), diff.Row(i))
	}
}

// repeat fills dst with copies of row.
func repeat(dst, row []float32) {
	if len(dst) == 0 {
		return
	}
	for n := copy(dst, row); n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

// forward computes pairs x h for q, n x d, and k, history x d; pairs is their
// number.
func (o *first) forward(t *nn.Tape, q, k, w, bias *nn.Var, b *Batch, pairs int) *nn.Var {
	h, d := w.Rows, q.Cols
	o.b, o.wq, o.wk = b, t.Matrix(h, d), t.Matrix(h, d)
	fold(w.Matrix, o.wq, o.wk)
	byItem, byPast := t.Matrix(q.Rows, h), t.Matrix(k.Rows, h)
	simd.GemmBias(false, true, q.Rows, h, d, 1, q.Data, q.Stride, o.wq.Data, d, bias.Data, simd.None, byItem.Data, h)
	simd.Gemm(false, true, k.Rows, h, d, 1, k.Data, k.Stride, o.wk.Data, d, 0, byPast.Data, h)
	o.p = t.Matrix(pairs, d)
	y := t.Matrix(pairs, h)
	o.each(func(c, lo, hi, at int) {
		end := at + hi - lo
		repeat(o.p.Data[at*d:end*d], q.Row(c))
		simd.Mul(o.p.Data[at*d:end*d], k.Data[lo*d:hi*d])
		repeat(y.Data[at*h:end*h], byItem.Row(c))
		simd.Add(y.Data[at*h:end*h], byPast.Data[lo*h:hi*h])
	})
	_, _, _, wp := parts(w.Matrix)
	simd.Gemm(false, true, pairs, h, d, 1, o.p.Data, d, wp.Data, wp.Stride, 1, y.Data, h)
	return t.Record(o, y, q, k, w, bias)
}

// Backward implements nn.Op.
func (o *first) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	q, k, w, bias, g := in[0], in[1], in[2], in[3], t.Grad(out)
	h, d := w.Rows, q.Cols
	if !g.Packed() {
		panic("din: the gradient of the unit's first layer has gaps between its rows")
	}
	byItem, byPast := o.sums(t, g, q.Rows, k.Rows)
	_, _, _, wp := parts(w.Matrix)
	if w.Needs() {
		dq, dk, dd, dp := parts(t.Grad(w))
		simd.Gemm(true, false, h, d, g.Rows, 1, g.Data, g.Stride, o.p.Data, d, 1, dp.Data, dp.Stride)
		part := t.Matrix(h, d)
		simd.Gemm(true, false, h, d, q.Rows, 1, byItem.Data, h, q.Data, q.Stride, 0, part.Data, d)
		for i := range h {
			simd.Add(dq.Row(i), part.Row(i))
			simd.Add(dd.Row(i), part.Row(i))
		}
		simd.Gemm(true, false, h, d, k.Rows, 1, byPast.Data, h, k.Data, k.Stride, 0, part.Data, d)
		for i := range h {
			simd.Add(dk.Row(i), part.Row(i))
			simd.Sub(dd.Row(i), part.Row(i))
		}
	}
	if bias.Needs() {
		db := t.Grad(bias).Row(0)
		for i := range byItem.Rows {
			simd.Add(db, byItem.Row(i))
		}
	}
	if !q.Needs() && !k.Needs() {
		return
	}
	x := o.p // v_A⊙e is not needed any more
	simd.Gemm(false, false, g.Rows, d, h, 1, g.Data, g.Stride, wp.Data, wp.Stride, 0, x.Data, d)
	dq, dk := o.pull(t, x, q.Matrix, k.Matrix)
	simd.Gemm(false, false, q.Rows, d, h, 1, byItem.Data, h, o.wq.Data, d, 1, dq.Data, d)
	simd.Gemm(false, false, k.Rows, d, h, 1, byPast.Data, h, o.wk.Data, d, 1, dk.Data, d)
	for _, side := range [...]struct {
		v *nn.Var
		g nn.Matrix
	}{{q, dq}, {k, dk}} {
		if side.v.Needs() {
			into := t.Grad(side.v)
			for i := range into.Rows {
				simd.Add(into.Row(i), side.g.Row(i))
			}
		}
	}
}

// sums adds up the gradient of pairs by item offered and by item of a history.
func (o *first) sums(t *nn.Tape, g nn.Matrix, items, past int) (byItem, byPast nn.Matrix) {
	h := g.Cols
	byItem, byPast = t.Matrix(items, h), t.Matrix(past, h)
	clear(byItem.Data)
	clear(byPast.Data)
	part := t.Matrix(o.longest(), h).Data
	o.each(func(c, lo, hi, at int) {
		block, part := g.Data[at*h:(at+hi-lo)*h], part[:(hi-lo)*h]
		simd.Add(byPast.Data[lo*h:hi*h], block)
		copy(part, block)
		collapse(byItem.Row(c), part)
	})
	return byItem, byPast
}

// pull turns x, pairs x d, into Σ_e x⊙e by item offered and Σ_A x⊙v_A by item of a
// history.
func (o *first) pull(t *nn.Tape, x, q, k nn.Matrix) (dq, dk nn.Matrix) {
	d := q.Cols
	dq, dk = t.Matrix(q.Rows, d), t.Matrix(k.Rows, d)
	clear(dq.Data)
	clear(dk.Data)
	part := t.Matrix(o.longest(), d).Data
	o.each(func(c, lo, hi, at int) {
		block, part := x.Data[at*d:(at+hi-lo)*d], part[:(hi-lo)*d]
		repeat(part, q.Row(c))
		simd.Mul(part, block)
		simd.Add(dk.Data[lo*d:hi*d], part)
		simd.Mul(block, k.Data[lo*d:hi*d])
		collapse(dq.Row(c), block)
	})
	return dq, dk
}

// longest is the length of the longest history.
func (o *first) longest() int {
	n := 0
	o.each(func(_, lo, hi, _ int) { n = max(n, hi-lo) })
	return n
}

// collapse adds the sum of rows to sum, half of them onto the other half at a time.
// It leaves anything in rows.
func collapse(sum, rows []float32) {
	d := len(sum)
	for len(rows) > d {
		half := len(rows) / d / 2 * d
		simd.Add(rows[:half], rows[len(rows)-half:])
		rows = rows[:len(rows)-half]
	}
	simd.Add(sum[:len(rows)], rows)
}

// each calls f for every item c with the rows of its history and the first of its
// pairs.
func (o *first) each(f func(c, lo, hi, at int)) {
	at := 0
	for r := range o.b.Requests() {
		lo, hi := int(o.b.Starts[r]), int(o.b.Starts[r+1])
		for c := o.b.Offers[r]; c < o.b.Offers[r+1]; c++ {
			f(int(c), lo, hi, at)
			at += hi - lo
		}
	}
}

// pool is Σ_j a_j·e_j over each item's pairs (3), as an operation of a tape: of the
// weights a, pairs x 1, and k, history x d, it makes n x d.
type pool struct{ b *Batch }

func (o *pool) forward(t *nn.Tape, a, k *nn.Var, b *Batch) *nn.Var {
	o.b = b
	y := t.Matrix(len(b.Items), k.Cols)
	clear(y.Data) // an empty history gives zeros
	o.each(func(lo, hi, past, history, at int) {
		simd.Gemm(false, false, hi-lo, k.Cols, history, 1, a.Data[at:], history, k.Data[past*k.Stride:], k.Stride, 0, y.Data[lo*k.Cols:], k.Cols)
	})
	return t.Record(o, y, a, k)
}

// Backward implements nn.Op: ∂a_j = e_j·g and ∂e_j = Σ_A a_j·g.
func (o *pool) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	a, k, g := in[0], in[1], t.Grad(out)
	if a.Needs() {
		da := t.Grad(a)
		o.each(func(lo, hi, past, history, at int) {
			simd.Gemm(false, true, hi-lo, history, k.Cols, 1, g.Data[lo*g.Stride:], g.Stride, k.Data[past*k.Stride:], k.Stride, 1, da.Data[at:], history)
		})
	}
	if k.Needs() {
		dk := t.Grad(k)
		o.each(func(lo, hi, past, history, at int) {
			simd.Gemm(true, false, history, k.Cols, hi-lo, 1, a.Data[at:], history, g.Data[lo*g.Stride:], g.Stride, 1, dk.Data[past*dk.Stride:], dk.Stride)
		})
	}
}

// each calls f for every request with pairs: the range of its items, where its
// history begins and its length, and where its pairs begin.
func (o *pool) each(f func(lo, hi, past, history, at int)) {
	at := 0
	for r := range o.b.Requests() {
		lo, hi := int(o.b.Offers[r]), int(o.b.Offers[r+1])
		past, history := int(o.b.Starts[r]), int(o.b.Starts[r+1]-o.b.Starts[r])
		if hi > lo && history > 0 {
			f(lo, hi, past, history, at)
		}
		at += (hi - lo) * history
	}
}
