package nn

import "github.com/eiderdb/eider/simd"

// Dice is p⊙x + (1-p)⊙alpha⊙x with p = σ((x-μ)/√(σ²+eps)) by column (DIN,
// section 5.3): PReLU whose turn follows the data. Statistics are those of
// BatchNorm; the paper and FuxiCTR have no gamma and beta in it, and neither has
// this. alpha is 1 x cols.
//
// Published code takes the statistics of padded positions as well; pass a nil
// mask over padded rows for that, or the mask, or no padding at all.
func (t *Tape) Dice(x, alpha *Var, s *Stats, mask []float32) *Var {
	if alpha.Rows != 1 || alpha.Cols != x.Cols {
		panic(wrong("Dice", x, alpha))
	}
	v := t.node(x.Rows, x.Cols, diceBack, x, alpha)
	v.mask, v.a = mask, t.Train
	v.more = t.scratch(2 * x.Cols) // 1/√(σ²+eps), then μ, by column
	r, mean := v.more[:x.Cols], v.more[x.Cols:]
	copy(mean, s.use(t, x, mask, r))
	v.saved = t.scratch(x.Rows * x.Cols) // p
	gate := Wrap(x.Rows, x.Cols, v.saved)
	for i := range x.Rows {
		p := gate.Row(i)
		for j, e := range x.Row(i) {
			p[j] = (e - mean[j]) * r[j]
		}
	}
	simd.Sigmoid(v.saved, v.saved)
	for i := range x.Rows {
		y, p := v.Row(i), gate.Row(i)
		for j, e := range x.Row(i) {
			a := alpha.Data[j]
			y[j] = e * (a + (1-a)*p[j])
		}
	}
	return v
}

// With g = ∂L/∂y and z = (x-μ)·r: ∂L/∂alpha = Σ g(1-p)x, ∂L/∂z = g(1-alpha)x·p(1-p)
// and ∂L/∂x = g(alpha + (1-alpha)p) + r·(∂L/∂z, less its means while training).
func diceBack(t *Tape, v *Var) {
	x, alpha := v.in[0], v.in[1]
	r, mean := v.more[:v.Cols], v.more[v.Cols:]
	sum := t.zeros(v.Cols)
	dz, z := t.Matrix(v.Rows, v.Cols), t.Matrix(v.Rows, v.Cols)
	for i := range v.Rows {
		g, d, h := v.grad.Row(i), dz.Row(i), z.Row(i)
		p := v.saved[i*v.Cols : (i+1)*v.Cols]
		for j, e := range x.Row(i) {
			a, q := alpha.Data[j], 1-p[j]
			sum[j] += float64(g[j] * q * e)
			d[j] = g[j] * (1 - a) * e * p[j] * q
			h[j] = (e - mean[j]) * r[j]
			g[j] *= a + (1-a)*p[j]
		}
	}
	if alpha.needs {
		add64(t.Grad(alpha).Row(0), sum)
	}
	if !x.needs {
		return
	}
	if v.a {
		t.centre(dz, z, v.mask)
	}
	times(dz, Wrap(1, v.Cols, r))
	axpy(1, dz, v.grad)
	t.give(x, v.grad)
}
