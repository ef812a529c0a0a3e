package din

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
)

// network is Layers with weights.
type network struct {
	input     *nn.Norm // of what the first layer reads, or nil
	inputName string
	layers    []layer
}

// layer is linear, norm, activation and dropout, each but the first optional.
type layer struct {
	linear *nn.Linear
	norm   *nn.Norm
	kind   string    // activation, "" for none
	alpha  *nn.Param // of prelu
	dice   *nn.Dice
	drop   float32

	normName, diceName string // of statistics
}

// newNetwork names weights as FuxiCTR's MLP block does: name.n with n counting
// linear layers, norms, activations and dropouts.
func newNetwork(name string, in int, l Layers, rng *rand.Rand) *network {
	n := -1
	next := func() string {
		n++
		return fmt.Sprintf("%s.%d", name, n)
	}
	dense := func(out int) *nn.Linear {
		d := nn.NewLinear(next(), in, out, rng)
		d.Weight.GlorotNormal(rng)
		in = out
		return d
	}
	net := &network{}
	if l.Input {
		net.inputName = next()
		net.input = nn.NewBatchNorm(net.inputName, in)
	}
	for _, width := range l.Hidden {
		h := layer{linear: dense(width), kind: l.Activation, drop: l.Dropout}
		if l.Norm {
			h.normName = next()
			h.norm = nn.NewBatchNorm(h.normName, width)
		}
		switch act := next(); l.Activation {
		case "prelu":
			h.alpha = nn.NewParam(act+".weight", 1, width).Fill(0.1)
		case "dice":
			h.dice, h.diceName = nn.NewDice(act, width), act+".bn"
		}
		if l.Dropout > 0 {
			next()
		}
		net.layers = append(net.layers, h)
	}
	net.layers = append(net.layers, layer{linear: dense(1)})
	return net
}

// forward maps n x in to n x 1.
func (net *network) forward(t *nn.Tape, x *nn.Var) *nn.Var {
	if net.input != nil {
		x = net.input.Forward(t, x, nil)
	}
	return net.after(t, net.layers[0].linear.Forward(t, x))
}

// after is forward for those who have computed the first linear layer.
func (net *network) after(t *nn.Tape, x *nn.Var) *nn.Var {
	for i := range net.layers {
		l := &net.layers[i]
		if i > 0 {
			x = l.linear.Forward(t, x)
		}
		if l.norm != nil {
			x = l.norm.Forward(t, x, nil)
		}
		x = t.Dropout(l.activate(t, x), l.drop)
	}
	return x
}

func (l *layer) activate(t *nn.Tape, x *nn.Var) *nn.Var {
	switch l.kind {
	case "sigmoid":
		return t.Sigmoid(x)
	case "relu":
		return t.ReLU(x)
	case "tanh":
		return t.Tanh(x)
	case "prelu":
		return t.PReLU(x, t.Param(l.alpha))
	case "dice":
		return l.dice.Forward(t, x, nil)
	}
	return x
}

func (net *network) params() (all []*nn.Param) {
	if net.input != nil {
		all = net.input.Params()
	}
	for i := range net.layers {
		all = append(all, net.layers[i].params()...)
	}
	return all
}

// params begins with the linear layer's weight.
func (l *layer) params() []*nn.Param {
	all := l.linear.Params()
	if l.norm != nil {
		all = append(all, l.norm.Params()...)
	}
	if l.alpha != nil {
		all = append(all, l.alpha)
	}
	if l.dice != nil {
		all = append(all, l.dice.Params()...)
	}
	return all
}

func (net *network) replica() *network {
	r := &network{input: replica(net.input), inputName: net.inputName, layers: slices.Clone(net.layers)}
	for i := range r.layers {
		l := &r.layers[i]
		l.linear = &nn.Linear{Weight: l.linear.Weight.Replica(), Bias: l.linear.Bias.Replica()}
		l.norm = replica(l.norm)
		if l.alpha != nil {
			l.alpha = l.alpha.Replica()
		}
		if d := l.dice; d != nil {
			l.dice = &nn.Dice{Alpha: d.Alpha.Replica(), Stats: nn.NewStats(len(d.Stats.Mean), d.Stats.Eps, d.Stats.Momentum)}
		}
	}
	return r
}

func replica(n *nn.Norm) *nn.Norm {
	if n == nil {
		return nil
	}
	return &nn.Norm{Weight: n.Weight.Replica(), Bias: n.Bias.Replica(), Eps: n.Eps, Stats: nn.NewStats(len(n.Stats.Mean), n.Stats.Eps, n.Stats.Momentum)}
}

// stats calls f for the running statistics of each layer that has some.
func (net *network) stats(f func(name string, s *nn.Stats)) {
	if net.input != nil {
		f(net.inputName, net.input.Stats)
	}
	for _, l := range net.layers {
		if l.norm != nil {
			f(l.normName, l.norm.Stats)
		}
		if l.dice != nil {
			f(l.diceName, l.dice.Stats)
		}
	}
}
