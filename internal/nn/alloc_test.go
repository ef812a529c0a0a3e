//go:build !race

package nn_test

import (
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
