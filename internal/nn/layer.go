package nn

import "math/rand/v2"

// Layers are parameters and the operation that uses them. Names and shapes of
// parameters are those of PyTorch's modules, so weights load by name.

// Linear maps n x in to n x out.
type Linear struct {
	Weight *Param // out x in
	Bias   *Param // 1 x out, or nil
}

// NewLinear returns a layer with Glorot-uniform weights and zero bias, named
// name.weight and name.bias.
func NewLinear(name string, in, out int, rng *rand.Rand) *Linear {
	l := &Linear{Weight: NewParam(name+".weight", out, in), Bias: NewParam(name+".bias", 1, out)}
	l.Weight.Glorot(rng)
	return l
}

// Forward is x·Wᵀ + b.
func (l *Linear) Forward(t *Tape, x *Var) *Var {
	if l.Bias == nil {
		return t.Linear(x, t.Param(l.Weight), nil)
	}
	return t.Linear(x, t.Param(l.Weight), t.Param(l.Bias))
}

// Params lists the layer's parameters.
func (l *Linear) Params() []*Param { return list(l.Weight, l.Bias) }

// Norm is layer-norm or batch-norm with a learned scale and shift.
type Norm struct {
	Weight, Bias *Param // 1 x cols
	Eps          float32
	Stats        *Stats // nil: layer-norm
}

// NewLayerNorm returns a layer-norm with eps 1e-5.
func NewLayerNorm(name string, cols int) *Norm {
	return &Norm{Weight: NewParam(name+".weight", 1, cols).Fill(1), Bias: NewParam(name+".bias", 1, cols), Eps: 1e-5}
}

// NewBatchNorm returns a batch-norm with eps 1e-5 and momentum 0.1.
func NewBatchNorm(name string, cols int) *Norm {
	n := NewLayerNorm(name, cols)
	n.Stats = NewStats(cols, n.Eps, 0.1)
	return n
}

// Forward normalises the rows or columns of x; mask (batch-norm only) is as in
// Tape.BatchNorm.
func (n *Norm) Forward(t *Tape, x *Var, mask []float32) *Var {
	if n.Stats == nil {
		return t.LayerNorm(x, t.Param(n.Weight), t.Param(n.Bias), n.Eps)
	}
	return t.BatchNorm(x, t.Param(n.Weight), t.Param(n.Bias), n.Stats, mask)
}

// Params lists the layer's parameters.
func (n *Norm) Params() []*Param { return list(n.Weight, n.Bias) }

// Dice is the activation of the same name with a learned alpha, 0 at first.
type Dice struct {
	Alpha *Param // 1 x cols
	Stats *Stats
}

// NewDice returns a Dice with eps 1e-9 and momentum 0.01, FuxiCTR's.
func NewDice(name string, cols int) *Dice {
	return &Dice{Alpha: NewParam(name+".alpha", 1, cols), Stats: NewStats(cols, 1e-9, 0.01)}
}

// Forward applies Dice to x; mask is as in Tape.Dice.
func (d *Dice) Forward(t *Tape, x *Var, mask []float32) *Var {
	return t.Dice(x, t.Param(d.Alpha), d.Stats, mask)
}

// Params lists the layer's parameters.
func (d *Dice) Params() []*Param { return list(d.Alpha) }

func list(params ...*Param) []*Param {
	all := params[:0]
	for _, p := range params {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}
