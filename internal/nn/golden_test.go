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

	s := nn.Cubic(0, 0.9, 100, 10, 100)
	got := []float64{float64(s(100)), float64(s(600)), float64(s(1100)), float64(s(9999)), float64(s(0))}
	nntest.Near(t, "sparsity", got, []float64{0, .7875, .9, .9, 0}, 1e-6)
}
