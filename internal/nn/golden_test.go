package nn_test

import (
	"math"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// wave fills a matrix with f of the running index.
func wave(rows, cols int, f func(i float64) float64) nn.Matrix {
	m := nn.NewMatrix(rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(f(float64(i)))
	}
	return m
}

func TestNestedContrastiveLossHasTheGoldenValues(t *testing.T) {
	var tape nn.Tape
	a := tape.Input(wave(4, 8, func(i float64) float64 { return math.Sin(1 + i) }))
	p := tape.Input(wave(4, 8, func(i float64) float64 { return math.Cos(1 + 0.7*i) }))
	for width, want := range map[int]float64{8: 6.0535115, 4: 7.3174920, 2: 7.6992701} {
		loss := tape.InfoNCE(tape.Columns(a, 0, width), tape.Columns(p, 0, width), 20)
		nntest.Near(t, "loss", nntest.Numbers(loss.Matrix), one(want), 1e-5)
	}
}

func TestNestedCrossEntropyHasTheGoldenValues(t *testing.T) {
	var tape nn.Tape
	a := tape.Input(wave(4, 8, func(i float64) float64 { return math.Sin(1 + i) }))
	w := tape.Input(wave(3, 8, func(i float64) float64 { return 0.3 * math.Sin(0.5+0.9*i) }))
	b := tape.Input(nn.Wrap(1, 3, []float32{0.1, -0.2, 0.05}))
	for width, want := range map[int]float64{8: 1.1660072, 4: 1.1375065, 2: 1.1391119} {
		x := tape.Linear(tape.Columns(a, 0, width), tape.Columns(w, 0, width), b)
		loss := tape.CE(x, []uint32{0, 2, 1, 1}, 0)
		nntest.Near(t, "loss", nntest.Numbers(loss.Matrix), one(want), 1e-5)
	}
}

func TestSmoothedCrossEntropyPeriodicFeaturesAndEnsembleLayerHaveTheGoldenValues(t *testing.T) {
	var tape nn.Tape
	loss := tape.CE(tape.Input(nn.Wrap(1, 2, []float32{-.3891662, -.5180617})), []uint32{0}, 0.1)
	nntest.Near(t, "loss", nntest.Numbers(loss.Matrix), one(.6372195), 1e-5)

	angle := tape.Input(wave(1, 2, func(i float64) float64 { return 2 * math.Pi * 0.4 * (0.5 - 1.7*i) }))
	nntest.Near(t, "cos", nntest.Numbers(tape.Cos(angle).Matrix), []float64{.3090170, -.9921147}, 1e-5)
	nntest.Near(t, "sin", nntest.Numbers(tape.Sin(angle).Matrix), []float64{.9510565, -.1253332}, 1e-5)

	counter := wave(1, 8, func(i float64) float64 { return 0.8 * math.Sin(0.37+0.61*i+0.13*i*i) })
	w, b := tape.Input(nn.Wrap(2, 3, counter.Data[:6])), tape.Input(nn.Wrap(1, 2, counter.Data[6:]))
	x := tape.Input(nn.Wrap(2, 3, []float32{.2, -.5, .7, .2, -.5, .7}))
	r := tape.Input(nn.Wrap(2, 3, []float32{1, -1, 1, -1, -1, 1}))
	s := tape.Input(nn.Wrap(2, 2, []float32{1, 1, .5, 2}))
	y := tape.Add(tape.Mul(tape.Linear(tape.Mul(x, r), w, nil), s), b)
	nntest.Near(t, "rows", nntest.Numbers(y.Matrix), []float64{1.4210437, -1.0185978, .9148433, -1.0923659}, 1e-5)
}

func TestScaledDescentAndCubicScheduleHaveTheGoldenValues(t *testing.T) {
	p := nn.NewParam("w", 2, 2)
	copy(p.Grad.Data, []float32{3, 4, 0, 1})
	new(nn.SCALE).Step([]*nn.Param{p}, -1)
	nntest.Near(t, "step", nntest.Numbers(p.Value), []float64{.8485281, 1.1313708, 0, 1.4142136}, 1e-5)

	// A table by column over its whole vocabulary: rows that were not looked up count as 0.
	table := nn.NewTable("t", 4, 2)
	rows := nn.NewMatrix(2, 2)
	copy(rows.Data, []float32{3, 0, 4, 1})
	var tape nn.Tape
	tape.Backward(tape.Sum(tape.Mul(tape.Embed(table, []uint32{1, 3}), tape.Input(rows))))
	before := nntest.Numbers(table.Value)
	new(nn.SCALE).Step([]*nn.Param{table}, -1)
	moved := nntest.Numbers(table.Value)
	for i := range moved {
		moved[i] -= before[i]
	}
	nntest.Near(t, "table", moved, []float64{0, 0, 1.2, 0, 0, 0, 1.6, 2}, 1e-5)

	// The last layer: the momentum .1 g, then .09 g + .1 g', each by row.
	last := nn.NewParam("last", 2, 2)
	o := &nn.SCALE{Last: last}
	copy(last.Grad.Data, []float32{3, 4, 1, 0})
	o.Step([]*nn.Param{last}, -1)
	copy(last.Grad.Data, []float32{0, 0, 0, 1})
	o.Step([]*nn.Param{last}, -1)
	nntest.Near(t, "last layer", nntest.Numbers(last.Value), []float64{1.6970563, 2.2627417, 2.3602726, 1.0511767}, 1e-5)

	s := nn.Cubic(0, 0.9, 100, 10, 100)
	got := []float64{float64(s(100)), float64(s(600)), float64(s(1100)), float64(s(9999)), float64(s(0))}
	nntest.Near(t, "sparsity", got, []float64{0, .7875, .9, .9, 0}, 1e-6)
}

// divergence is the mean over rows of KL(softmax(a) ‖ softmax(b)).
func divergence(t *nn.Tape, a, b *nn.Var) *nn.Var {
	p := t.Softmax(a, nil)
	return t.Scale(t.Sum(t.Mul(p, t.Sub(t.Log(p), t.Log(t.Softmax(b, nil))))), 1/float32(a.Rows))
}

func TestDivergencesHaveTheGoldenValues(t *testing.T) {
	var tape nn.Tape
	a := tape.Input(wave(4, 8, func(i float64) float64 { return math.Sin(1 + i) }))
	p := tape.Leaf(wave(4, 8, func(i float64) float64 { return math.Cos(1 + 0.7*i) }))
	near := func(what string, x *nn.Var, want float64) {
		t.Helper()
		nntest.Near(t, what, nntest.Numbers(x.Matrix), one(want), 1e-5)
	}
	near("of coordinates", divergence(&tape, tape.Scale(a, 1/0.3), tape.Scale(p, 1/0.3)), 2.4148817)

	labels := []uint32{0, 1, 2, 3}
	full := tape.MatMul(a, p, false, true)
	half := tape.MatMul(tape.Columns(a, 0, 4), tape.Columns(p, 0, 4), false, true)
	all, some, kl := tape.CE(full, labels, 0), tape.CE(half, labels, 0), divergence(&tape, tape.Stop(full), half)
	near("full width", all, 1.6323327)
	near("half width", some, 1.4027029)
	near("of scores", kl, .2114165)
	near("sum", tape.Add(tape.Add(all, some), kl), 3.2464522)
}

func TestAdaptorLossesHaveTheGoldenValues(t *testing.T) {
	var tape nn.Tape
	e := tape.Unit(tape.Input(wave(4, 8, func(i float64) float64 { return math.Sin(1 + i) })), 1e-12)
	f := tape.Scale(tape.Sin(tape.Scale(e, 3)), 0.1)
	abs := func(x *nn.Var) *nn.Var { return tape.Add(tape.ReLU(x), tape.ReLU(tape.Scale(x, -1))) }
	cosines := func(x *nn.Var) *nn.Var { u := tape.Unit(x, 1e-12); return tape.MatMul(u, u, false, true) }
	pairs := func(m int) *nn.Var {
		return tape.Sum(abs(tape.Sub(cosines(e), cosines(tape.Columns(tape.Add(e, f), 0, m)))))
	}
	nntest.Near(t, "pairs", nntest.Numbers(tape.Add(pairs(4), pairs(2)).Matrix), one(2.8548685), 1e-5)
	nntest.Near(t, "reconstruction", nntest.Numbers(tape.Sum(abs(f)).Matrix), one(2.3866134), 1e-5)
}

func TestGradientOfValuesThatAreAveragedHasTheGoldenValue(t *testing.T) {
	var tape nn.Tape
	v := tape.Leaf(nn.Wrap(2, 2, []float32{-.3891662, -.5180617, -.3891662, -.5180617}))
	tape.Backward(tape.CE(tape.SegmentMean(v, nn.Segments{0, 2}, nil), []uint32{0}, 0.1))
	nntest.Near(t, "gradient", nntest.Numbers(tape.Grad(v)), []float64{-.2089103, .2089103, -.2089103, .2089103}, 1e-5)
}
