package tabr

import (
	"math"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// periodic makes of each number x_i, of column col_i, the features cos 2πf_c x_i of all
// frequencies c of the column, then their sines: numbers x 2·frequencies.
type periodic struct {
	x   []float32
	col []uint32
}

// waves is periodic features of x; the frequencies have columns as rows.
func waves(t *nn.Tape, x []float32, col []uint32, freq *nn.Var) *nn.Var {
	v := t.Matrix(len(x), 2*freq.Cols)
	for i, y := range x {
		wave(v.Row(i), y, freq.Row(int(col[i])))
	}
	return t.Record(&periodic{x, col}, v, freq)
}

// wave writes the cosines, then the sines, of 2π·f·x.
func wave(dst []float32, x float32, freq []float32) {
	n := len(freq)
	simd.SinCosTurns(dst[n:2*n], dst[:n], freq, x)
}

func (o *periodic) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, to, n := t.Grad(out), t.Grad(in[0]), in[0].Cols
	for i, x := range o.x {
		v, d := out.Row(i), g.Row(i)
		simd.Mul(d[n:], v[:n])
		simd.Mul(d[:n], v[n:])
		simd.Sub(d[n:], d[:n])
		simd.Axpy(2*math.Pi*x, d[n:], to.Row(int(o.col[i])))
	}
}

// scaled makes of each number x_i, of column col_i, the numbers x_i·w_c + b_c: numbers x
// width.
type scaled struct {
	x   []float32
	col []uint32
}

func scale(t *nn.Tape, x []float32, col []uint32, w, b *nn.Var) *nn.Var {
	v := t.Matrix(len(x), w.Cols)
	for i, y := range x {
		to, j := v.Row(i), int(col[i])
		copy(to, b.Row(j))
		simd.Axpy(y, w.Row(j), to)
	}
	return t.Record(&scaled{x, col}, v, w, b)
}

func (o *scaled) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, w, b := t.Grad(out), t.Grad(in[0]), t.Grad(in[1])
	for i, y := range o.x {
		j := int(o.col[i])
		simd.Axpy(y, g.Row(i), w.Row(j))
		simd.Add(b.Row(j), g.Row(i))
	}
}
