//go:build !race

package nn_test

import (
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
)

// The race detector empties pools at random, and products of matrices take their
// scratch from one.

func TestAStepInSteadyStateAllocatesNothing(t *testing.T) {
	m, tape := newModel(1), &nn.Tape{Train: true, Seed: 3}
	var o nn.Optimizer = nn.Adam{}
	for range 3 {
		m.step(tape, o)
	}
	if n := testing.AllocsPerRun(20, func() { m.step(tape, o) }); n != 0 {
		t.Errorf("%v allocations a step", n)
	}
}

func TestAStepThroughConvolutionsAndGatesAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	w := windows["image"]
	x, k := random(rng, 24, 3), random(rng, 2, 18)
	wx, wh := random(rng, 6, 2), random(rng, 6, 2)
	var tape nn.Tape
	step := func() {
		tape.Reset()
		y := tape.Conv(tape.Leaf(x), tape.Leaf(k), nil, w)
		tape.Backward(tape.Sum(tape.GRU(y, y, tape.Leaf(wx), tape.Leaf(wh), nil, nil)))
	}
	step()
	if n := testing.AllocsPerRun(20, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
