package nn

import (
	"fmt"
	"math"

	"github.com/eiderdb/eider/simd"
)

// Losses are 1x1 nodes: means over the rows of the batch, summed in float64.

// BCE is the mean of w_i·(log(1+e^x_i) - y_i·x_i) over n logits x (n x 1):
// binary cross-entropy for targets y in [0, 1], computed from the logit so that
// it cannot overflow. weights may be nil for ones; the divisor is n either way.
func (t *Tape) BCE(x *Var, y, weights []float32) *Var {
	if x.Cols != 1 || len(y) != x.Rows || weights != nil && len(weights) != x.Rows {
		panic(fmt.Sprintf("nn: BCE: %s with %d targets and %d weights", x, len(y), len(weights)))
	}
	v := t.node(1, 1, bceBack, x)
	v.saved, v.mask = y, weights
	sum := 0.0
	for i, target := range y {
		e := float64(x.Row(i)[0])
		l := softplus(e) - float64(target)*e
		if weights != nil {
			l *= float64(weights[i])
		}
		sum += l
	}
	v.Data[0] = float32(sum / float64(max(1, len(y))))
	return v
}

func bceBack(t *Tape, v *Var) {
	x, d := v.in[0], t.Grad(v.in[0])
	p := t.Matrix(x.Rows, 1)
	p.Set(x.Matrix)
	simd.Sigmoid(p.Data, p.Data)
	g := v.grad.Data[0] / float32(max(1, x.Rows))
	for i, e := range p.Data {
		w := g
		if v.mask != nil {
			w *= v.mask[i]
		}
		d.Row(i)[0] += w * (e - v.saved[i])
	}
}

// softplus is log(1+e^x).
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// CE is softmax cross-entropy: the mean over rows of -Σ_j q_j·log softmax(x)_j,
// where q is 1 at the row's label, smoothed to (1-s) + s/cols there and s/cols
// elsewhere. labels nil means that row i has label i, as for in-batch negatives.
func (t *Tape) CE(x *Var, labels []uint32, smoothing float32) *Var {
	if labels == nil && x.Rows > x.Cols || labels != nil && len(labels) != x.Rows {
		panic(fmt.Sprintf("nn: CE: %s with %d labels", x, len(labels)))
	}
	v := t.node(1, 1, ceBack, x)
	v.ids, v.x = labels, smoothing
	v.saved = t.scratch(x.Rows * x.Cols) // softmax, then its gradient
	sum := 0.0
	for i := range x.Rows {
		label := v.label(i)
		if label >= x.Cols {
			panic(fmt.Sprintf("nn: CE: label %d of row %d for %s", label, i, x))
		}
		row := x.Row(i)
		norm := simd.Softmax(v.saved[i*x.Cols:(i+1)*x.Cols], row)
		sum += (1 - float64(smoothing)) * (norm - float64(row[label]))
		if smoothing != 0 {
			sum += float64(smoothing) * (norm - float64(simd.Sum(row))/float64(x.Cols))
		}
	}
	v.Data[0] = float32(sum / float64(max(1, x.Rows)))
	return v
}

func (v *Var) label(i int) int {
	if v.ids == nil {
		return i
	}
	return int(v.ids[i])
}

func ceBack(t *Tape, v *Var) {
	x := v.in[0]
	d := Wrap(x.Rows, x.Cols, v.saved)
	rest := v.x / float32(x.Cols)
	for i := range d.Rows {
		row := d.Row(i)
		row[v.label(i)] -= 1 - v.x
		if rest != 0 {
			for j := range row {
				row[j] -= rest
			}
		}
	}
	scale(d, v.grad.Data[0]/float32(max(1, x.Rows)))
	t.give(x, d)
}

// MSE is the mean of (x-y)² over all elements; y has x's elements in order.
func (t *Tape) MSE(x *Var, y []float32) *Var {
	if len(y) != x.Rows*x.Cols {
		panic(fmt.Sprintf("nn: MSE: %s with %d targets", x, len(y)))
	}
	v := t.node(1, 1, mseBack, x)
	v.saved = y
	sum := 0.0
	for i := range x.Rows {
		for j, e := range x.Row(i) {
			d := float64(e - y[i*x.Cols+j])
			sum += d * d
		}
	}
	v.Data[0] = float32(sum / float64(max(1, len(y))))
	return v
}

func mseBack(t *Tape, v *Var) {
	x, d := v.in[0], t.Grad(v.in[0])
	g := 2 * v.grad.Data[0] / float32(max(1, len(v.saved)))
	for i := range x.Rows {
		row := d.Row(i)
		for j, e := range x.Row(i) {
			row[j] += g * (e - v.saved[i*x.Cols+j])
		}
	}
}

// InfoNCE is the cross-entropy of each row of a finding its partner, the same
// row of b, among all rows of b by scale·cos(a_i, b_j); b may have more rows
// than a, negatives of all of them. Scale is 1 over the temperature.
func (t *Tape) InfoNCE(a, b *Var, scale float32) *Var {
	const eps = 1e-12
	s := t.MatMul(t.Unit(a, eps), t.Unit(b, eps), false, true)
	return t.CE(t.Scale(s, scale), nil, 0)
}
