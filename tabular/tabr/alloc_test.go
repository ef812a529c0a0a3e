//go:build !race

package tabr

import "testing"

// The race detector makes pools drop what they hold.
func TestPredictionAllocatesNothingOnceItsBuffersHaveGrown(t *testing.T) {
	for name, c := range kinds() {
		d := table(c, 100, 1)
		_, p := serving(t, c, d)
		q := Query{Rows: part(d, 0, 3), Near: make([]Neighbour, 3*c.Context)}
		out := make([]float32, 3*c.out())
		if n := testing.AllocsPerRun(50, func() {
			if err := p.Predict(background, q, out); err != nil {
				t.Fatal(err)
			}
		}); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
