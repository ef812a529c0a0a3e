package tabm

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// grouped is a linear layer for each of g groups of columns, PyTorch's NLinear: it
// maps n x g·in to n x g·out. Heads of members are one, and embeddings of numbers.
type grouped struct {
	weight *nn.Param // g·in x out
	bias   *nn.Param // g x out, or nil
	groups int
}

func newGrouped(name string, groups, in, out int, bias bool, rng *rand.Rand) *grouped {
	limit := float32(1 / math.Sqrt(float64(in)))
	l := &grouped{weight: nn.NewParam(name+".weight", groups*in, out).Uniform(rng, limit), groups: groups}
	if bias {
		l.bias = nn.NewParam(name+".bias", groups, out).Uniform(rng, limit)
	}
	return l
}

func (l *grouped) params() []*nn.Param {
	if l.bias == nil {
		return []*nn.Param{l.weight}
	}
	return []*nn.Param{l.weight, l.bias}
}

func (l *grouped) forward(t *nn.Tape, x *nn.Var) *nn.Var {
	w := t.Param(l.weight)
	if l.bias == nil {
		return groupedOp(l.groups).forward(t, x, w)
	}
	return groupedOp(l.groups).forward(t, x, w, t.Param(l.bias))
}

// groupedOp is the operation, of so many groups.
type groupedOp int

// forward takes x, w and, if there is one, the bias.
func (o groupedOp) forward(t *nn.Tape, in ...*nn.Var) *nn.Var {
	x, w := in[0], in[1]
	g, out := int(o), w.Cols
	size := w.Rows / g
	if x.Cols != g*size || w.Rows != g*size {
		panic(fmt.Sprintf("tabm: %d groups of x %s and w %s", g, x, w))
	}
	y := t.Matrix(x.Rows, g*out)
	beta := float32(0)
	if len(in) > 2 {
		beta = 1
		for i := range y.Rows {
			copy(y.Row(i), in[2].Data)
		}
	}
	for j := range g {
		simd.Gemm(false, false, x.Rows, out, size, 1, x.Data[j*size:], x.Stride, w.Data[j*size*out:], out, beta, y.Data[j*out:], y.Stride)
	}
	return t.Record(o, y, in...)
}

// Backward implements nn.Op: ∂x_j = G_j·W_jᵀ, ∂W_j = x_jᵀ·G_j, ∂b = Σ_rows G.
func (o groupedOp) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	x, w, g := in[0], in[1], t.Grad(out)
	n := w.Cols
	size := w.Rows / int(o)
	if x.Needs() {
		d := t.Grad(x)
		for j := range int(o) {
			simd.Gemm(false, true, x.Rows, size, n, 1, g.Data[j*n:], g.Stride, w.Data[j*size*n:], n, 1, d.Data[j*size:], d.Stride)
		}
	}
	if w.Needs() {
		d := t.Grad(w)
		for j := range int(o) {
			simd.Gemm(true, false, size, n, x.Rows, 1, x.Data[j*size:], x.Stride, g.Data[j*n:], g.Stride, 1, d.Data[j*size*n:], n)
		}
	}
	if len(in) > 2 && in[2].Needs() {
		d := t.Grad(in[2])
		for i := range g.Rows {
			simd.Add(d.Data, g.Row(i))
		}
	}
}
