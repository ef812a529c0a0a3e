package nn_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// model is a small click model that uses most of the package: item tables,
// attention over ragged histories, Dice, dropout, batch-norm.
type model struct {
	items, bias *nn.Param
	unit, score *nn.Linear
	dice        *nn.Dice
	norm        *nn.Norm
	head        *nn.Linear
	params      []*nn.Param

	target, history []uint32
	seg             nn.Segments
	clicks          []float32
}

var single = nn.Uniform(16, 1)

func newModel(seed uint64) *model {
	rng := rand.New(rand.NewPCG(seed, 0))
	m := &model{
		items: nn.NewTable("items", 40, 8).Normal(rng, 0.1), bias: nn.NewTable("bias", 40, 1),
		unit: nn.NewLinear("unit", 32, 6, rng), score: nn.NewLinear("score", 6, 1, rng),
		dice: nn.NewDice("dice", 6), norm: nn.NewBatchNorm("norm", 16), head: nn.NewLinear("head", 16, 1, rng),
		seg: nn.Segments{0},
	}
	m.params = slices.Concat([]*nn.Param{m.items, m.bias}, m.unit.Params(), m.score.Params(), m.dice.Params(),
		m.norm.Params(), m.head.Params())
	for range 16 {
		id := uint32(rng.IntN(40))
		m.target = append(m.target, id)
		m.clicks = append(m.clicks, float32(id%2))
		for range rng.IntN(6) {
			m.history = append(m.history, uint32(rng.IntN(40)))
		}
		m.seg = append(m.seg, int32(len(m.history)))
	}
	return m
}

func (m *model) logits(t *nn.Tape) *nn.Var {
	q, k := t.Embed(m.items, m.target), t.Embed(m.items, m.history)
	e := t.Expand(q, m.seg)
	h := m.unit.Forward(t, t.Concat(e, k, t.Sub(e, k), t.Mul(e, k)))
	w := t.SegmentSoftmax(m.score.Forward(t, m.dice.Forward(t, h, nil)), m.seg, nil)
	x := m.norm.Forward(t, t.Concat(q, t.WeightedSum(w, k, m.seg)), nil)
	return t.Add(m.head.Forward(t, t.Dropout(x, 0.2)), t.EmbedBag(m.bias, m.target, single, false))
}

func (m *model) step(t *nn.Tape, o nn.Optimizer) float32 {
	t.Reset()
	loss := t.BCE(m.logits(t), m.clicks, nil)
	t.Backward(loss)
	nn.ClipNorm(m.params, 10)
	o.Step(m.params, 0.01)
	t.Step++
	return loss.Data[0]
}

func TestTrainingReplaysBitForBit(t *testing.T) {
	run := func() []float32 {
		m, tape := newModel(1), &nn.Tape{Train: true, Seed: 3}
		for range 30 {
			m.step(tape, nn.Adam{})
		}
		return m.items.Value.Data
	}
	if !slices.Equal(run(), run()) {
		t.Error("two runs from one seed differ")
	}
}

func TestTrainingFitsWhatItSees(t *testing.T) {
	m, tape := newModel(1), &nn.Tape{Train: true, Seed: 3}
	first := m.step(tape, nn.Adam{})
	for range 400 {
		m.step(tape, nn.Adam{})
	}
	tape.Train = false
	tape.Reset()
	if loss := tape.BCE(m.logits(tape), m.clicks, nil).Data[0]; loss > 0.05 || first < 0.5 {
		t.Errorf("the loss went from %v to %v", first, loss)
	}
}

func TestReplicasOfParametersAddUpToTheWholeBatch(t *testing.T) {
	table := nn.NewTable("t", 5, 2).Fill(1)
	use := func(p *nn.Param, ids ...uint32) {
		var tape nn.Tape
		tape.Backward(tape.Sum(tape.Square(tape.Embed(p, ids))))
	}
	use(table, 1, 3, 1, 4)
	want := slices.Clone(table.Grad.Data)
	table.Clear()
	replica := table.Replica()
	use(table, 1, 3)
	use(replica, 1, 4)
	table.Merge(replica)
	if !slices.Equal(table.Grad.Data, want) || !slices.Equal(table.Touched(), []uint32{1, 3, 4}) || len(replica.Touched()) != 0 {
		t.Errorf("gradient %v of rows %v, want %v", table.Grad.Data, table.Touched(), want)
	}
}

func TestOnlyRowsThatWereLookedUpMove(t *testing.T) {
	for _, o := range []nn.Optimizer{nn.SGD{Momentum: 0.9, Decay: 0.1}, nn.Adam{Decay: 0.1}, nn.Adagrad{}, &nn.SCALE{Decay: 0.1}} {
		p := nn.NewTable("t", 4, 3).Fill(1)
		for _, id := range []uint32{2, 0} {
			var tape nn.Tape
			tape.Backward(tape.Sum(tape.Embed(p, []uint32{id, id})))
			o.Step([]*nn.Param{p}, 0.1)
		}
		for i, moved := range []bool{true, false, true, false} {
			if (p.Value.At(i, 0) != 1) != moved {
				t.Errorf("%T: row %d is %v", o, i, p.Value.Row(i))
			}
		}
	}
}

func TestDropoutKeepsTheMeanAndItsBackwardUsesTheSameMask(t *testing.T) {
	tape := &nn.Tape{Train: true, Seed: 5}
	x := tape.Leaf(nn.NewParam("x", 200, 501).Fill(1).Value)
	y := tape.Dropout(x, 0.3)
	values := slices.Clone(y.Data)
	tape.Backward(tape.Sum(y))
	if !slices.Equal(values, tape.Grad(x).Data) {
		t.Fatal("the gradient went through another mask")
	}
	sum := 0.0
	for _, v := range values {
		sum += float64(v)
	}
	if mean := sum / float64(len(values)); math.Abs(mean-1) > 0.01 { // 5 standard deviations
		t.Errorf("mean %v", mean)
	}
	if other := tape.Dropout(x, 0.3); slices.Equal(values, other.Data) {
		t.Error("two dropouts of a step share a mask")
	}
}

func TestSELUNetworksKeepMeanAndVarianceThroughAlphaDropout(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 0))
	tape := &nn.Tape{Train: true, Seed: 1}
	x := tape.Input(nn.NewParam("x", 200, 256).Normal(rng, 1).Value)
	for range 32 {
		w := nn.NewParam("w", 256, 256).LeCun(rng)
		x = tape.AlphaDropout(tape.SELU(tape.Linear(x, tape.Input(w.Value), nil)), 0.05)
	}
	mean := float64(tape.Mean(x).Data[0])
	square := float64(tape.Mean(tape.Square(x)).Data[0])
	if v := square - mean*mean; math.Abs(mean) > 0.05 || math.Abs(v-1) > 0.1 {
		t.Errorf("after 32 layers mean %v, variance %v", mean, v)
	}
}

// halve is a fused operation: x/2 + 1 in one pass.
type halve struct{}

func (halve) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	g, d := t.Grad(out), t.Grad(in[0])
	for i := range g.Rows {
		for j, e := range g.Row(i) {
			d.Row(i)[j] += e / 2
		}
	}
}

func TestAFusedOperationTakesPartInBackward(t *testing.T) {
	nntest.Check(t, nntest.Case{
		In: []nn.Matrix{random(rand.New(rand.NewPCG(7, 1)), 3, 2)},
		Op: func(t *nn.Tape, in vars) *nn.Var {
			m := t.Matrix(in[0].Rows, in[0].Cols)
			for i, x := range in[0].Data {
				m.Data[i] = x/2 + 1
			}
			return t.Tanh(t.Record(halve{}, m, in[0]))
		},
		Ref: each(func(x float64) float64 { return math.Tanh(x/2 + 1) }),
	})
}

func TestStoppedAndFrozenValuesGetNoGradient(t *testing.T) {
	var tape nn.Tape
	p := nn.NewParam("p", 1, 2).Fill(3)
	p.Frozen = true
	x := tape.Leaf(nn.Wrap(1, 2, []float32{1, 2}))
	tape.Backward(tape.Sum(tape.Mul(tape.Mul(x, tape.Stop(x)), tape.Param(p))))
	nntest.Near(t, "gradient", nntest.Numbers(tape.Grad(x)), []float64{3, 6}, 0)
	nntest.Near(t, "frozen", nntest.Numbers(p.Grad), []float64{0, 0}, 0)
}

func TestReLUDropoutIsDropoutOfReLU(t *testing.T) {
	x := nn.NewMatrix(1, 4001)
	for i := range x.Data {
		x.Data[i] = float32(i%5) - 1
	}
	pass := func(train bool) (y, g []float32) {
		tape := nn.Tape{Train: train, Seed: 1, Step: 2}
		in := tape.Leaf(x)
		out := tape.ReLUDropout(in, 0.25)
		tape.Backward(tape.Sum(out))
		return slices.Clone(out.Data), slices.Clone(tape.Grad(in).Data)
	}
	kept := 0.0
	y, g := pass(true)
	for i, v := range x.Data {
		switch {
		case y[i] == 0 && g[i] == 0:
		case v > 0 && math.Abs(float64(y[i]-v/0.75)) < 1e-6 && math.Abs(float64(g[i])-1/0.75) < 1e-6:
			kept++
		default:
			t.Fatalf("%v becomes %v with gradient %v", v, y[i], g[i])
		}
	}
	if share := kept / 4001 * 5 / 3; share < 0.72 || share > 0.78 { // three of five are over 0
		t.Errorf("%.3f of what is over 0 is kept, want .75", share)
	}
	again, _ := pass(true)
	if !slices.Equal(y, again) {
		t.Error("a step has two masks")
	}
	y, g = pass(false)
	for i, v := range x.Data {
		if y[i] != max(v, 0) || (g[i] == 1) != (v > 0) {
			t.Fatalf("without training %v becomes %v with gradient %v", v, y[i], g[i])
		}
	}
}
