package din

import (
	"math"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// frozen is a network with its running statistics folded in.
type frozen []frozenLayer

// frozenLayer is act(x·wᵀ + b). Dice is computed from z = (x-μ)/√(σ²+eps), which
// the linear layer gives, as (z·spread + μ)·(alpha + (1-alpha)·σ(z)).
type frozenLayer struct {
	w    nn.Matrix // out x in
	b    []float32 // out
	kind string
	// Of dice, by column, repeated so that a call of simd covers many rows.
	alpha, rest, spread, mean []float32
	slope                     [][2]float32 // of prelu, by column: 1, alpha
}

// repeated is how many rows the parameters of an activation are repeated for.
const repeated = 32

func (net *network) freeze() frozen {
	var f frozen
	for _, l := range net.layers {
		w := nn.NewMatrix(l.linear.Weight.Value.Rows, l.linear.Weight.Value.Cols)
		w.Set(l.linear.Weight.Value)
		z := frozenLayer{w: w, b: append([]float32{}, l.linear.Bias.Value.Data...), kind: l.kind}
		if n := l.norm; n != nil {
			z.normalise(n.Stats, n.Weight.Value.Data, n.Bias.Value.Data)
		}
		switch l.kind {
		case "prelu":
			for _, a := range l.alpha.Value.Data {
				z.slope = append(z.slope, [2]float32{1, a})
			}
		case "dice":
			z.normalise(l.dice.Stats, nil, nil)
			z.alpha = tiled(l.dice.Alpha.Value.Data, func(a float32) float32 { return a })
			z.rest = tiled(l.dice.Alpha.Value.Data, func(a float32) float32 { return 1 - a })
			z.mean = tiled(l.dice.Stats.Mean, func(m float32) float32 { return m })
			z.spread = tiled(l.dice.Stats.Var, func(v float32) float32 {
				return float32(math.Sqrt(float64(v) + float64(l.dice.Stats.Eps)))
			})
		}
		f = append(f, z)
	}
	if net.input != nil {
		f[0].absorb(net.input)
	}
	return f
}

// absorb makes the layer read what the norm n would have given it.
func (l *frozenLayer) absorb(n *nn.Norm) {
	for i := range l.b {
		sum := float64(l.b[i])
		for j, w := range l.w.Row(i) {
			r := float64(n.Weight.Value.Data[j]) / math.Sqrt(float64(n.Stats.Var[j])+float64(n.Stats.Eps))
			sum += float64(w) * (float64(n.Bias.Value.Data[j]) - float64(n.Stats.Mean[j])*r)
			l.w.Row(i)[j] = float32(float64(w) * r)
		}
		l.b[i] = float32(sum)
	}
}

// normalise makes the layer give gamma·(x-μ)/√(σ²+eps) + beta instead of x; nil
// stands for ones, and for zeros.
func (l *frozenLayer) normalise(s *nn.Stats, gamma, beta []float32) {
	for i := range l.b {
		r := 1 / math.Sqrt(float64(s.Var[i])+float64(s.Eps))
		if gamma != nil {
			r *= float64(gamma[i])
		}
		simd.Scale(l.w.Row(i), float32(r))
		b := (float64(l.b[i]) - float64(s.Mean[i])) * r
		if beta != nil {
			b += float64(beta[i])
		}
		l.b[i] = float32(b)
	}
}

func tiled(x []float32, f func(float32) float32) []float32 {
	all := make([]float32, 0, repeated*len(x))
	for _, v := range x {
		all = append(all, f(v))
	}
	all = all[:cap(all)]
	repeat(all, all[:len(x)])
	return all
}

// width is that of the widest layer.
func (f frozen) width() int {
	n := 0
	for _, l := range f {
		n = max(n, len(l.b))
	}
	return n
}

// after runs n rows from w.x, where the first linear layer left its output, to one
// number a row in out.
func (f frozen) after(w *work, n int, out []float32) {
	w.y, w.gate = room(w.y, n*f.width()), room(w.gate, n*f.width())
	for i := range f {
		l := &f[i]
		cols := len(l.b)
		if i == len(f)-1 {
			for j := range out {
				out[j] = l.b[0]
			}
			simd.Gemv(false, n, l.w.Cols, 1, w.x, l.w.Cols, l.w.Data, 1, out)
			return
		}
		if i > 0 {
			act := simd.None
			if l.kind == "relu" {
				act = simd.ReLU
			}
			simd.GemmBias(false, true, n, cols, l.w.Cols, 1, w.x, l.w.Cols, l.w.Data, l.w.Cols, l.b, act, w.y, cols)
			w.x, w.y = w.y, w.x
		}
		l.activate(w.x[:n*cols], w.gate)
	}
}

// activate works in place on whole rows.
func (l *frozenLayer) activate(x, gate []float32) {
	switch l.kind {
	case "sigmoid":
		simd.Sigmoid(x, x)
	case "tanh":
		simd.Tanh(x, x)
	case "relu":
		for i, v := range x {
			x[i] = max(v, 0)
		}
	case "prelu":
		for cols := len(l.slope); len(x) > 0; x = x[cols:] {
			for i, v := range x[:cols] { // by the sign, without a branch that guesses
				x[i] = v * l.slope[i][math.Float32bits(v)>>31]
			}
		}
	case "dice":
		for len(x) > 0 {
			n := min(len(x), len(l.alpha))
			part, p := x[:n], gate[:n]
			simd.Sigmoid(p, part)
			simd.Mul(p, l.rest[:n])
			simd.Add(p, l.alpha[:n])
			simd.Mul(part, l.spread[:n])
			simd.Add(part, l.mean[:n])
			simd.Mul(part, p)
			x = x[n:]
		}
	}
}
