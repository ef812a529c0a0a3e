package tabr

import (
	"math"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// periodic makes of each number x_j of a row the features cos 2πf_jc x_j of all
// frequencies c, then their sines: rows·columns x 2·frequencies.
type periodic struct{ x nn.Matrix }

// waves is periodic features of x, whose columns the frequencies have as rows.
func waves(t *nn.Tape, x nn.Matrix, freq *nn.Var) *nn.Var {
	v := t.Matrix(x.Rows*x.Cols, 2*freq.Cols)
	for i := range x.Rows {
		for j, y := range x.Row(i) {
			wave(v.Row(i*x.Cols+j), y, freq.Row(j))
		}
	}
	return t.Record(&periodic{x}, v, freq)
}

// wave writes the cosines, then the sines, of 2π·f·x.
func wave(dst []float32, x float32, freq []float32) {
	n := len(freq)
	simd.SinCosTurns(dst[n:2*n], dst[:n], freq, x)
}

func (o *periodic) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, to, n := t.Grad(out), t.Grad(in[0]), in[0].Cols
	for i := range o.x.Rows {
		for j, x := range o.x.Row(i) {
			r := i*o.x.Cols + j
			v, d, f := out.Row(r), g.Row(r), to.Row(j)
			x *= 2 * math.Pi
			for k := range f {
				f[k] += x * (d[n+k]*v[k] - d[k]*v[n+k])
			}
		}
	}
}

// scaled makes of each number x_j the numbers x_j·w_jc + b_jc: rows x columns·width.
type scaled struct{ x nn.Matrix }

func scale(t *nn.Tape, x nn.Matrix, w, b *nn.Var) *nn.Var {
	v := t.Matrix(x.Rows, x.Cols*w.Cols)
	for i := range x.Rows {
		for j, y := range x.Row(i) {
			to := v.Row(i)[j*w.Cols:][:w.Cols]
			copy(to, b.Row(j))
			simd.Axpy(y, w.Row(j), to)
		}
	}
	return t.Record(&scaled{x}, v, w, b)
}

func (o *scaled) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, w, b := t.Grad(out), t.Grad(in[0]), t.Grad(in[1])
	for i := range o.x.Rows {
		for j, y := range o.x.Row(i) {
			from := g.Row(i)[j*w.Cols:][:w.Cols]
			simd.Axpy(y, from, w.Row(j))
			simd.Add(b.Row(j), from)
		}
	}
}
