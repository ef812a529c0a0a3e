package nn

import "github.com/eiderdb/eider/simd"

// Optimizer moves parameters along their gradients.
//
// Step moves every parameter that is not frozen by one step of the given rate
// and clears its gradient. Of a table only the rows with a gradient move, decay
// or change their state; the step number, where the rule has one, counts all
// steps of the table, as in PyTorch's SparseAdam. Equal steps from equal states
// give equal bits. A parameter belongs to one optimiser for life, since it
// carries the optimiser's state.
type Optimizer interface {
	Step(params []*Param, rate float32)
}

// SGD is w ← w - rate·m with m ← Momentum·m + g + Decay·w; without momentum
// nothing is kept.
type SGD struct{ Momentum, Decay float32 }

// Step implements Optimizer.
func (o SGD) Step(params []*Param, rate float32) {
	for _, p := range params {
		if !p.begin() {
			continue
		}
		decay := p.decay(o.Decay)
		for i := range p.spans() {
			w, g, at := p.span(i)
			if o.Momentum == 0 {
				simd.SGD(w, g, rate, decay)
				continue
			}
			m := p.state(0)[at : at+len(w)]
			simd.Scale(m, o.Momentum)
			simd.Add(m, g)
			if decay != 0 {
				simd.Axpy(decay, w, m)
			}
			simd.Axpy(-rate, m, w)
		}
		p.Clear()
	}
}

// Adam is Adam with the decay of AdamW: w ← w·(1 - rate·Decay) before the step.
// L2, of plain Adam, is added to the gradient instead. Zero Beta1, Beta2 and
// Eps stand for 0.9, 0.999 and 1e-8.
type Adam struct{ Beta1, Beta2, Eps, Decay, L2 float32 }

// Step implements Optimizer.
func (o Adam) Step(params []*Param, rate float32) {
	b1, b2, eps := or(o.Beta1, 0.9), or(o.Beta2, 0.999), or(o.Eps, 1e-8)
	for _, p := range params {
		if !p.begin() {
			continue
		}
		s := simd.AdamStep{
			Rate: rate, Beta1: b1, Beta2: b2, Eps: eps,
			L2: p.decay(o.L2), Decay: p.decay(o.Decay), Step: p.Steps,
		}
		if p.slot == nil {
			simd.Adam(p.Value.Data, p.Grad.Data, p.state(0), p.state(1), s)
		} else {
			simd.AdamRows(p.Value.Data, p.Grad.Data, p.state(0), p.state(1), p.Value.Cols, p.touched, s)
		}
		p.Clear()
	}
}

// Adagrad is w ← w - rate·g/(√s + Eps) with s ← s + g². A zero Eps stands for
// 1e-10.
type Adagrad struct{ Eps float32 }

// Step implements Optimizer.
func (o Adagrad) Step(params []*Param, rate float32) {
	eps := or(o.Eps, 1e-10)
	for _, p := range params {
		if !p.begin() {
			continue
		}
		if p.slot == nil {
			simd.Adagrad(p.Value.Data, p.Grad.Data, p.state(0), rate, eps)
		} else {
			simd.AdagradRows(p.Value.Data, p.Grad.Data, p.state(0), p.Value.Cols, p.touched, rate, eps)
		}
		p.Clear()
	}
}

// begin counts a step; it is false for a frozen parameter.
func (p *Param) begin() bool {
	if p.Frozen {
		p.Clear()
		return false
	}
	p.Steps++
	return true
}

// state is State[i], zeros at the first step.
func (p *Param) state(i int) []float32 {
	if p.State[i] == nil {
		p.State[i] = make([]float32, len(p.Value.Data))
	}
	return p.State[i]
}

func (p *Param) decay(d float32) float32 {
	if p.NoDecay {
		return 0
	}
	return d
}

func or(x, standard float32) float32 {
	if x == 0 {
		return standard
	}
	return x
}
