package tabr

import (
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/tabular"
)

// mixture is the sums over contexts that W_T2 and Y are applied to: row i of the result
// is Σ_j p'_j drop(relu(W_T1(k - k_j) + b_T1)), hidden numbers, then Σ p'_j y_j and
// Σ p'_j, or the sum of p'_j of each class. p = softmax(-‖k - k_j‖²) and p' is p with
// dropout, which is not made to add up to 1 again.
type mixture struct {
	c        *Config
	k        int       // candidates of a context
	ctx      []uint32  // rows x k
	dist     []float32 // rows x k, ‖k - k_j‖²
	y        []float32 // of all candidates, by what ctx holds
	rows     []uint32  // of the table, for masks
	names    []uint32  // of candidates in the table, by what ctx holds; nil: they are that
	units    drop
	contexts drop
	masks    stream

	p, q nn.Matrix // rows x k: p and p'
	x    nn.Matrix // scratch, k x hidden
}

// begin finds p and p', and clears the result.
func (o *mixture) begin(t *nn.Tape) nn.Matrix {
	n := len(o.rows)
	o.p, o.q, o.x = t.Matrix(n, o.k), t.Matrix(n, o.k), t.Matrix(o.k, o.c.hidden())
	for i := range n {
		p, q := o.p.Row(i), o.q.Row(i)
		copy(p, o.dist[i*o.k:][:o.k])
		simd.Scale(p, -1)
		simd.Softmax(p, p)
		row := o.masks.row(o.rows[i])
		for j, x := range p {
			if q[j] = x * o.contexts.scale; uint32(o.bits(row, i, j)>>32) < o.contexts.least {
				q[j] = 0
			}
		}
	}
	out := t.Matrix(n, o.c.hidden()+o.c.labels())
	clear(out.Data)
	return out
}

// giveWay is a turn for others after each few rows.
func giveWay(t *nn.Tape, row int) {
	if t.Yield != nil && row%32 == 0 {
		t.Yield()
	}
}

// bits are those of candidate j of row i.
func (o *mixture) bits(row uint64, i, j int) uint64 {
	id := o.ctx[i*o.k+j]
	if o.names != nil {
		id = o.names[id]
	}
	return pair(row, id)
}

// add adds the context of row i, whose values before relu are in x, to its result.
func (o *mixture) add(i int, out []float32) {
	h := o.c.hidden()
	row := o.masks.row(o.rows[i])
	labels := out[h:]
	for j, q := range o.q.Row(i) {
		if q == 0 {
			continue
		}
		simd.DropReLU(out[:h], o.x.Row(j), q*o.units.scale, uint32(o.bits(row, i, j)), o.units.least)
		addLabel(o.c, labels, q, o.y[o.ctx[i*o.k+j]])
	}
}

// addLabel adds a label of share q to the sums that Y is applied to.
func addLabel(c *Config, sums []float32, q, y float32) {
	if c.Kind == tabular.Regression {
		sums[0] += q * y
		sums[1] += q
	} else {
		sums[int(y)] += q
	}
}

// back takes the gradient of row i of the result: x, which holds the values before relu
// again, becomes the gradient of those, save for factors p'_j times scale, which it
// writes to weight; and ds that of the similarities.
func (o *mixture) back(i int, g, weight, ds []float32) {
	h := o.c.hidden()
	row := o.masks.row(o.rows[i])
	labels := g[h:]
	p, sum := o.p.Row(i), float32(0)
	for j, q := range o.q.Row(i) {
		weight[j] = q * o.units.scale
		ds[j] = 0
		if q == 0 {
			clear(o.x.Row(j))
			continue
		}
		d := o.units.scale * simd.DropReLUGrad(o.x.Row(j), g[:h], uint32(o.bits(row, i, j)), o.units.least)
		y := o.y[o.ctx[i*o.k+j]]
		if o.c.Kind == tabular.Regression {
			d += labels[0]*y + labels[1]
		} else {
			d += labels[int(y)]
		}
		ds[j] = d * o.contexts.scale
		sum += ds[j] * p[j]
	}
	for j := range ds {
		ds[j] = p[j] * (ds[j] - sum)
	}
}

// narrow is mixture in the space of rows: k - k_j = M(u - u_j).
type narrow struct {
	mixture
	u, all nn.Matrix // of the rows and of all candidates
	first  nn.Matrix // transposed [W_T1 M, b_T1], columns+1 x hidden
	delta  nn.Matrix // scratch, k x columns+1
}

// mix records the mixture of M (Dim x columns), A = W_T1 M and b_T1.
func (o *narrow) mix(t *nn.Tape, m, a, b *nn.Var) *nn.Var {
	out := o.begin(t)
	w := m.Cols
	o.first, o.delta = t.Matrix(w+1, a.Rows), t.Matrix(o.k, w+1)
	for i := range a.Rows {
		for j, x := range a.Row(i) {
			o.first.Data[j*a.Rows+i] = x
		}
	}
	copy(o.first.Row(w), b.Row(0))
	for i := range o.rows {
		giveWay(t, i)
		o.differ(i)
		o.add(i, out.Row(i))
	}
	return t.Record(o, out, m, a, b)
}

// differ makes x of row i.
func (o *narrow) differ(i int) {
	differences(o.delta.Data, o.delta.Cols, o.u.Row(i), o.all.Data, o.ctx[i*o.k:][:o.k])
	h, w := o.first.Cols, o.delta.Cols
	simd.Gemm(false, false, o.k, h, w, 1, o.delta.Data, w, o.first.Data, h, 0, o.x.Data, h)
}

// differences writes u - u_j of the candidates, then a one, to rows of delta of w
// numbers.
func differences(delta []float32, w int, u, all []float32, ids []uint32) {
	for j, id := range ids {
		to, from := delta[j*w:][:w], all[int(id)*(w-1):][:w-1]
		for c, x := range from {
			to[c] = u[c] - x
		}
		to[w-1] = 1
	}
}

func (o *narrow) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, m := t.Grad(out), in[0]
	h, w := o.c.hidden(), o.delta.Cols
	first, square := t.Matrix(w, h), t.Matrix(w, w)
	clear(first.Data)
	clear(square.Data)
	weight, ds, scaled := t.Matrix(1, o.k).Data, t.Matrix(1, o.k).Data, t.Matrix(o.k, w)
	for i := range o.rows {
		giveWay(t, i)
		o.differ(i)
		o.back(i, g.Row(i), weight, ds)
		for j, d := range ds { // of s = -δᵀMᵀMδ
			for c, x := range o.delta.Row(j) {
				scaled.Data[j*w+c] = d * x
			}
		}
		simd.Gemm(true, false, w, w, o.k, -2, scaled.Data, w, o.delta.Data, w, 1, square.Data, w)
		for j, q := range weight {
			for c, x := range o.delta.Row(j) {
				scaled.Data[j*w+c] = q * x
			}
		}
		simd.Gemm(true, false, w, h, o.k, 1, scaled.Data, w, o.x.Data, h, 1, first.Data, h)
	}
	if m.Needs() {
		to := t.Grad(m)
		simd.Gemm(false, false, m.Rows, m.Cols, m.Cols, 1, m.Data, m.Stride, square.Data, w, 1, to.Data, to.Stride)
	}
	if in[1].Needs() {
		to := t.Grad(in[1])
		for j := range m.Cols {
			for i, x := range first.Row(j) {
				to.Data[i*to.Stride+j] += x
			}
		}
	}
	if in[2].Needs() {
		simd.Add(t.Grad(in[2]).Row(0), first.Row(m.Cols))
	}
}

// wide is mixture of keys and of W_T1 k, which are rows of two matrices: those of the
// batch are the first ones, and ctx holds rows.
type wide struct {
	mixture
	base nn.Matrix // scratch, 1 x hidden
}

// mix records the mixture of keys (n x Dim), a = W_T1 k (n x hidden) and b_T1.
func (o *wide) mix(t *nn.Tape, keys, a, b *nn.Var) *nn.Var {
	n, d := len(o.rows), keys.Cols
	o.dist = t.Matrix(n, o.k).Data
	for i := range n {
		simd.L2Gather(keys.Row(i), keys.Data, d, o.ctx[i*o.k:][:o.k], o.dist[i*o.k:][:o.k])
	}
	out := o.begin(t)
	o.base = t.Matrix(1, a.Cols)
	for i := range n {
		giveWay(t, i)
		o.differ(i, a, b)
		o.add(i, out.Row(i))
	}
	return t.Record(o, out, keys, a, b)
}

func (o *wide) differ(i int, a, b *nn.Var) {
	base := o.base.Data
	copy(base, a.Row(i))
	simd.Add(base, b.Row(0))
	spans(o.x.Data, base, a.Data, a.Cols, o.ctx[i*o.k:][:o.k])
}

// spans writes base - a_j to row j of x, rows having h numbers.
func spans(x, base, a []float32, h int, ids []uint32) {
	for j, id := range ids {
		copy(x[j*h:][:h], base)
		simd.Sub(x[j*h:][:h], a[int(id)*h:][:h])
	}
}

func (o *wide) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	keys, a, b := in[0], in[1], in[2]
	g, gk, ga, gb := t.Grad(out), t.Grad(keys), t.Grad(a), t.Grad(b)
	weight, ds := t.Matrix(1, o.k).Data, t.Matrix(1, o.k).Data
	h := o.c.hidden()
	sum, diff := t.Matrix(1, h).Data, t.Matrix(1, keys.Cols).Data
	for i := range o.rows {
		giveWay(t, i)
		o.differ(i, a, b)
		o.back(i, g.Row(i), weight, ds)
		clear(sum)
		simd.Gemv(true, o.k, h, 1, o.x.Data, h, weight, 0, sum)
		simd.Add(ga.Row(i), sum)
		simd.Add(gb.Row(0), sum)
		for j, id := range o.ctx[i*o.k:][:o.k] {
			if weight[j] != 0 {
				simd.Axpy(-weight[j], o.x.Row(j), ga.Row(int(id)))
			}
			copy(diff, keys.Row(i))
			simd.Sub(diff, keys.Row(int(id)))
			simd.Axpy(-2*ds[j], diff, gk.Row(i))
			simd.Axpy(2*ds[j], diff, gk.Row(int(id)))
		}
	}
}
