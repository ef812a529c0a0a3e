//go:build !race

package din

import (
	"testing"

	"github.com/eiderdb/eider/internal/nn"
)

// The race detector makes pools drop what they hold.
func TestScoringAllocatesNothingOnceScratchHasGrown(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		s, q := m.Scorer(false), request(b, 1)
		logits, weights := make([]float32, len(q.Items)), make([]float32, len(q.Items)*len(q.Past))
		n := testing.AllocsPerRun(100, func() {
			if err := s.Score(q, logits, weights); err != nil {
				t.Fatal(err)
			}
		})
		if n >= 1 { // the pool may be emptied once by the collector
			t.Errorf("%v allocations a call", n)
		}
	})
}

func TestStepsAllocateNothingOnceTheyHaveGrown(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		var tape nn.Tape
		params := m.Params()
		step := func() {
			if _, err := m.Gradient(&tape, b); err != nil {
				t.Fatal(err)
			}
			nn.Adam{}.Step(params, 0.001)
		}
		for range 3 {
			step()
		}
		if n := testing.AllocsPerRun(10, step); n > 2 { // the optimiser in its interface
			t.Errorf("%v allocations a step", n)
		}
	})
}
