package nn

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/simd"
)

// LayerNorm is gamma ⊙ (x-μ)/√(σ²+eps) + beta with the mean and biased variance
// of each row; gamma and beta are 1 x cols, nil for 1 and 0.
func (t *Tape) LayerNorm(x, gamma, beta *Var, eps float32) *Var {
	v := t.normed(x, gamma, beta, layerNormBack)
	v.more = t.scratch(2 * x.Rows) // μ, then 1/√(σ²+eps), by row
	mean, r := v.more[:x.Rows], v.more[x.Rows:]
	g, b := t.rowOr(gamma, v.Cols, 1), t.rowOr(beta, v.Cols, 0)
	for i := range x.Rows {
		mean[i], r[i] = simd.LayerNorm(v.Row(i), x.Row(i), g, b, eps)
	}
	return v
}

func layerNormBack(t *Tape, v *Var) {
	x, gamma, beta := v.in[0], v.in[1], v.in[2]
	mean, r := v.more[:v.Rows], v.more[v.Rows:]
	g, dgamma, dbeta := t.rowOr(gamma, v.Cols, 1), t.gradOr(gamma, v.Cols), t.gradOr(beta, v.Cols)
	for i := range v.Rows {
		d := v.grad.Row(i)
		simd.LayerNormGrad(d, d, x.Row(i), mean[i], r[i], g, dgamma, dbeta)
	}
	t.give(x, v.grad)
}

// BatchNorm is gamma ⊙ (x-μ)/√(σ²+eps) + beta by column. While the tape trains,
// μ and σ² are those of the rows (of those whose mask is not 0, if there is a
// mask), and s moves towards them; otherwise they are the running ones of s.
// gamma and beta are 1 x cols, nil for 1 and 0.
func (t *Tape) BatchNorm(x, gamma, beta *Var, s *Stats, mask []float32) *Var {
	v := t.normed(x, gamma, beta, batchNormBack)
	v.mask, v.a = mask, t.Train
	v.more = t.scratch(x.Cols) // 1/√(σ²+eps)
	mean := s.use(t, x, mask, v.more)
	v.saved = v.Data // the normalised rows
	if gamma != nil || beta != nil {
		v.saved = t.scratch(x.Rows * x.Cols)
	}
	h := v.normalised()
	for i := range x.Rows {
		row := h.Row(i)
		for j, e := range x.Row(i) {
			row[j] = (e - mean[j]) * v.more[j]
		}
	}
	if gamma != nil || beta != nil {
		g, b := t.rowOr(gamma, v.Cols, 1), t.rowOr(beta, v.Cols, 0)
		for i := range x.Rows {
			simd.MulAdd(v.Row(i), h.Row(i), g, b)
		}
	}
	return v
}

func batchNormBack(t *Tape, v *Var) {
	t.affineBack(v)
	if v.a {
		t.centre(v.grad, v.normalised(), v.mask)
	}
	times(v.grad, Wrap(1, v.Cols, v.more))
	t.give(v.in[0], v.grad)
}

// centre turns g = ∂L/∂h, for h normalised by statistics of the rows with a
// mask of 1, n in all, into g_i - mask_i·(Σg + h_i·Σ(g⊙h))/n by column: all but
// the factor r of ∂L/∂x. Rows that are masked depend on the statistics, which do
// not depend on them.
func (t *Tape) centre(g, h Matrix, mask []float32) {
	sum, dot := t.zeros(g.Cols), t.zeros(g.Cols)
	for i := range g.Rows {
		a, b := g.Row(i), h.Row(i)
		for j, e := range a {
			sum[j] += float64(e)
			dot[j] += float64(e) * float64(b[j])
		}
	}
	n := counted(g.Rows, mask)
	s, d := t.scratch(g.Cols), t.scratch(g.Cols)
	for j := range s {
		s[j], d[j] = float32(sum[j]/n), float32(dot[j]/n)
	}
	for i := range g.Rows {
		if mask != nil && mask[i] == 0 {
			continue
		}
		a, b := g.Row(i), h.Row(i)
		for j := range a {
			a[j] -= s[j] + b[j]*d[j]
		}
	}
}

// normed appends a node for a norm.
func (t *Tape) normed(x, gamma, beta *Var, back func(*Tape, *Var)) *Var {
	v := t.node(x.Rows, x.Cols, back, x, gamma, beta)
	for _, p := range [...]*Var{gamma, beta} {
		if p != nil && (p.Rows != 1 || p.Cols != v.Cols) {
			panic(wrong("gamma or beta", v, p))
		}
	}
	return v
}

// rowOr is the row p, or n numbers x if p is nil.
func (t *Tape) rowOr(p *Var, n int, x float32) []float32 {
	if p != nil {
		return p.Row(0)
	}
	row := t.scratch(n)
	for i := range row {
		row[i] = x
	}
	return row
}

// gradOr is the gradient of the row p, or scratch of n numbers if p has none.
func (t *Tape) gradOr(p *Var, n int) []float32 {
	if p != nil && p.needs {
		return t.Grad(p).Row(0)
	}
	return t.rowOr(nil, n, 0)
}

func (v *Var) normalised() Matrix { return Wrap(v.Rows, v.Cols, v.saved) }

// affineBack adds the gradients of gamma and beta, and turns that of the value
// into that of the normalised rows.
func (t *Tape) affineBack(v *Var) {
	gamma, beta := v.in[1], v.in[2]
	if beta != nil && beta.needs {
		sumRows(t.Grad(beta).Row(0), v.grad)
	}
	if gamma == nil {
		return
	}
	if gamma.needs {
		sum := t.zeros(v.Cols)
		for i := range v.Rows {
			g, h := v.grad.Row(i), v.normalised().Row(i)
			for j, e := range g {
				sum[j] += float64(e) * float64(h[j])
			}
		}
		add64(t.Grad(gamma).Row(0), sum)
	}
	times(v.grad, gamma.Matrix)
}

// Stats are the running mean and variance of columns. They are part of a
// model's state: save them with its parameters.
type Stats struct {
	Mean, Var []float32 // start at 0 and 1
	Eps       float32   // added to variances
	Momentum  float32   // share that a batch has in the new running value
}

// NewStats returns statistics of cols columns: mean 0, variance 1.
func NewStats(cols int, eps, momentum float32) *Stats {
	s := &Stats{Mean: make([]float32, cols), Var: make([]float32, cols), Eps: eps, Momentum: momentum}
	for i := range s.Var {
		s.Var[i] = 1
	}
	return s
}

// use returns the means to normalise x by and writes 1/√(σ²+Eps) to r. While t
// trains they are those of x, and the running ones move towards them: the
// variance that is kept is the unbiased one, as in PyTorch.
func (s *Stats) use(t *Tape, x *Var, mask []float32, r []float32) (mean []float32) {
	if len(s.Mean) != x.Cols || mask != nil && len(mask) != x.Rows {
		panic(fmt.Sprintf("nn: statistics of %d columns and a mask of %d rows for %s", len(s.Mean), len(mask), x))
	}
	if !t.Train {
		for j, v := range s.Var {
			r[j] = s.reciprocal(v)
		}
		return s.Mean
	}
	mean = t.scratch(x.Cols)
	simd.ColumnMoments(t.packed(x.Matrix, mask), mean, r)
	n := counted(x.Rows, mask)
	unbiased := float32(n / max(n-1, 1))
	for j, v := range r {
		s.Mean[j] += s.Momentum * (mean[j] - s.Mean[j])
		s.Var[j] += s.Momentum * (v*unbiased - s.Var[j])
		r[j] = s.reciprocal(v)
	}
	return mean
}

func (s *Stats) reciprocal(variance float32) float32 {
	return float32(1 / math.Sqrt(float64(variance)+float64(s.Eps)))
}

// counted is the number of rows that count, at least 1.
func counted(rows int, mask []float32) float64 {
	if mask == nil {
		return float64(max(rows, 1))
	}
	n := 0
	for _, m := range mask {
		if m != 0 {
			n++
		}
	}
	return float64(max(n, 1))
}
