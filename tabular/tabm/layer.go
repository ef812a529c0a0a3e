package tabm

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// layer is a linear layer of k members: y_i = s_i ⊙ (W·(r_i ⊙ x_i)) + b_i.
type layer struct {
	weight  *nn.Param // out x in
	r       *nn.Param // k x in
	s, bias *nn.Param // k x out
}

// newLayer draws W and b as PyTorch does, b alike for all members, and leaves r and s
// at one.
func newLayer(name string, members, in, out int, rng *rand.Rand) *layer {
	limit := float32(1 / math.Sqrt(float64(in)))
	l := &layer{
		weight: nn.NewParam(name+".weight", out, in).Uniform(rng, limit), r: nn.NewParam(name+".r", members, in).Fill(1),
		s: nn.NewParam(name+".s", members, out).Fill(1), bias: nn.NewParam(name+".bias", members, out),
	}
	first := nn.Matrix{Rows: 1, Cols: out, Stride: out, Data: l.bias.Value.Row(0)}
	(&nn.Param{Value: first}).Uniform(rng, limit)
	for i := 1; i < members; i++ {
		copy(l.bias.Value.Row(i), l.bias.Value.Row(0))
	}
	return l
}

// scatter draws r by chunks of columns: one number for each member and chunk, a sign,
// or from N(0, 1).
func (l *layer) scatter(chunks []int, normal bool, rng *rand.Rand) {
	for i := range l.r.Value.Rows {
		row := l.r.Value.Row(i)
		for _, n := range chunks {
			x := float32(1)
			if normal {
				x = float32(rng.NormFloat64())
			} else if rng.Uint64()&1 == 0 {
				x = -1
			}
			for j := range row[:n] {
				row[j] = x
			}
			row = row[n:]
		}
	}
}

func (l *layer) params() []*nn.Param { return []*nn.Param{l.weight, l.r, l.s, l.bias} }

// forward takes x, n x in if all members read the same, else n x k·in, and returns
// n x k·out.
func (l *layer) forward(t *nn.Tape, x *nn.Var, threads int) *nn.Var {
	o := &layerOp{threads: threads}
	return o.forward(t, x, t.Param(l.weight), t.Param(l.r), t.Param(l.s), t.Param(l.bias))
}

// layerOp is the layer as an operation of a tape. With G the gradient of its output
// and z = W·(r ⊙ x):
//
//	∂b = Σ_rows G   ∂s = Σ_rows G⊙z   D = G⊙s   ∂W = Dᵀ·(r⊙x)   E = D·W
//	∂r = Σ_rows E⊙x   ∂x = E⊙r, summed over members if they read the same
type layerOp struct {
	threads int
	xr      nn.Matrix // n·k x in: r ⊙ x
	z       nn.Matrix // n·k x out
}

func (o *layerOp) forward(t *nn.Tape, x, w, r, s, bias *nn.Var) *nn.Var {
	k, n, in, out := r.Rows, x.Rows, w.Cols, w.Rows
	if x.Cols != in && x.Cols != k*in || r.Cols != in || s.Cols != out || s.Rows != k || bias.Cols != out || bias.Rows != k || x.Stride != x.Cols {
		panic(fmt.Sprintf("tabm: layer of x %s, w %s, r %s, s %s, b %s", x, w, r, s, bias))
	}
	o.xr, o.z = t.Matrix(n*k, in), t.Matrix(n*k, out)
	y := t.Matrix(n, k*out)
	for i := range n {
		row := o.xr.Data[i*k*in : (i+1)*k*in]
		repeat(row, x.Row(i))
		simd.Mul(row, r.Data)
	}
	simd.GemmSplit(o.threads, false, true, n*k, out, in, 1, o.xr.Data, in, w.Data, w.Stride, 0, o.z.Data, out)
	for i := range n {
		simd.MulAdd(y.Row(i), o.z.Data[i*k*out:(i+1)*k*out], s.Data, bias.Data)
	}
	return t.Record(o, y, x, w, r, s, bias)
}

// repeat fills dst with copies of row.
func repeat(dst, row []float32) {
	for at := 0; at < len(dst); at += len(row) {
		copy(dst[at:], row)
	}
}

// Backward implements nn.Op.
func (o *layerOp) Backward(t *nn.Tape, result *nn.Var, in []*nn.Var) {
	x, w, r, s, bias, g := in[0], in[1], in[2], in[3], in[4], t.Grad(result)
	k, n, size, out := r.Rows, x.Rows, w.Cols, w.Rows
	ds, db := t.Matrix(k, out), t.Matrix(k, out)
	clear(ds.Data)
	clear(db.Data)
	for i := range n {
		row, z := g.Row(i), o.z.Data[i*k*out:(i+1)*k*out]
		simd.Add(db.Data, row)
		simd.MulAdd(ds.Data, row, z, ds.Data)
		simd.Mul(row, s.Data)
	}
	add(t, s, ds)
	add(t, bias, db)
	if w.Needs() {
		d := t.Grad(w)
		simd.GemmSplit(o.threads, true, false, out, size, n*k, 1, g.Data, out, o.xr.Data, size, 1, d.Data, d.Stride)
	}
	if !r.Needs() && !x.Needs() {
		return
	}
	e := t.Matrix(n*k, size)
	simd.GemmSplit(o.threads, false, false, n*k, size, out, 1, g.Data, out, w.Data, w.Stride, 0, e.Data, size)
	o.spread(t, x, r, e)
}

// spread hands e = D·W to r and x. It leaves anything in e and xr.
func (o *layerOp) spread(t *nn.Tape, x, r *nn.Var, e nn.Matrix) {
	k, size := r.Rows, r.Cols
	shared := x.Cols == size && k > 1
	dr := t.Matrix(k, size)
	clear(dr.Data)
	var dx nn.Matrix
	if x.Needs() {
		dx = t.Grad(x)
	}
	for i := range x.Rows {
		row, full := e.Data[i*k*size:(i+1)*k*size], x.Row(i)
		if shared {
			full = o.xr.Data[i*k*size : (i+1)*k*size]
			repeat(full, x.Row(i))
		}
		simd.MulAdd(dr.Data, row, full, dr.Data)
		if !x.Needs() {
			continue
		}
		simd.Mul(row, r.Data)
		for at := 0; at < len(row); at += len(dx.Row(i)) {
			simd.Add(dx.Row(i), row[at:at+len(dx.Row(i))])
		}
	}
	add(t, r, dr)
}

// add adds g to the gradient of v, if it needs one.
func add(t *nn.Tape, v *nn.Var, g nn.Matrix) {
	if v.Needs() {
		d := t.Grad(v)
		for i := range d.Rows {
			simd.Add(d.Row(i), g.Row(i))
		}
	}
}
