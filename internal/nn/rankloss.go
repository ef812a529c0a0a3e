package nn

import (
	"fmt"

	"github.com/eiderdb/eider/simd"
)

// Losses of ranking: scores are columns, n x 1.

// Hinge is the mean of max(0, margin - (pos_i - neg_i)).
func (t *Tape) Hinge(pos, neg *Var, margin float32) *Var {
	v := t.pairs("Hinge", pos, neg, hingeBack)
	v.x = margin
	sum := 0.0
	for i := range pos.Rows {
		sum += float64(max(0, margin-(pos.Row(i)[0]-neg.Row(i)[0])))
	}
	v.Data[0] = float32(sum / float64(max(1, pos.Rows)))
	return v
}

func hingeBack(t *Tape, v *Var) {
	t.pairsBack(v, func(v *Var, lead []float32) {
		for i, x := range lead {
			lead[i] = 0
			if x > -v.x {
				lead[i] = 1
			}
		}
	})
}

// Logistic is the mean of log(1+e^-(pos_i - neg_i)), the loss of BPR.
func (t *Tape) Logistic(pos, neg *Var) *Var {
	v := t.pairs("Logistic", pos, neg, logisticBack)
	sum := 0.0
	for i := range pos.Rows {
		sum += softplus(float64(neg.Row(i)[0]) - float64(pos.Row(i)[0]))
	}
	v.Data[0] = float32(sum / float64(max(1, pos.Rows)))
	return v
}

func logisticBack(t *Tape, v *Var) {
	t.pairsBack(v, func(_ *Var, lead []float32) { simd.Sigmoid(lead, lead) })
}

func (t *Tape) pairs(op string, pos, neg *Var, back func(*Tape, *Var)) *Var {
	if !same(pos, neg) || pos.Cols != 1 {
		panic(wrong(op, pos, neg))
	}
	return t.node(1, 1, back, pos, neg)
}

// pairsBack hands on s/n to neg and its opposite to pos, where slope puts the
// slope s of each pair's loss in the place of neg - pos.
func (t *Tape) pairsBack(v *Var, slope func(v *Var, lead []float32)) {
	pos, neg := v.in[0], v.in[1]
	d := t.Matrix(pos.Rows, 1)
	for i := range d.Rows {
		d.Data[i] = neg.Row(i)[0] - pos.Row(i)[0]
	}
	slope(v, d.Data[:d.Rows])
	scale(d, -v.grad.Data[0]/float32(max(1, d.Rows)))
	if neg.needs {
		axpy(-1, d, t.Grad(neg))
	}
	t.give(pos, d)
}

// Listwise is softmax cross-entropy over lists: for each segment of the scores
// x (n x 1, packed), -Σ_j (y_j/Σy)·log softmax(x)_j for relevances y >= 0, and the
// mean of that over the segments with a relevance above 0; 0 if there is none.
func (t *Tape) Listwise(x *Var, y []float32, s Segments) *Var {
	s.check("Listwise", x.Rows, y)
	if x.Cols != 1 || !x.Packed() || len(y) != x.Rows {
		panic(fmt.Sprintf("nn: Listwise: %s (packed: %t) with %d relevances", x, x.Packed(), len(y)))
	}
	v := t.node(1, 1, listwiseBack, x)
	v.saved = t.scratch(x.Rows) // ∂/∂x of the sum over lists: softmax - y/Σy
	clear(v.saved)
	sum, lists := 0.0, 0
	for i := range s.Len() {
		lo, hi := s.at(i)
		total := 0.0
		for _, e := range y[lo:hi] {
			total += float64(e)
		}
		if total <= 0 {
			continue
		}
		lists++
		norm := simd.Softmax(v.saved[lo:hi], x.Data[lo:hi])
		for j := lo; j < hi; j++ {
			q := float64(y[j]) / total
			v.saved[j] -= float32(q)
			sum += q * (norm - float64(x.Data[j]))
		}
	}
	v.x = 1 / float32(max(1, lists))
	v.Data[0] = float32(sum * float64(v.x))
	return v
}

func listwiseBack(t *Tape, v *Var) {
	d := Wrap(len(v.saved), 1, v.saved)
	scale(d, v.grad.Data[0]*v.x)
	t.give(v.in[0], d)
}
