package bottleneck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
)

// The toy problem of the paper's figure: eight classes in the unit square come two at a
// time. What learns by gradients on shared weights ends at a quarter, the last stage.
func TestEightClassesInFourStagesAreKeptAsInThePaper(t *testing.T) {
	stages := [4][2]struct {
		class int
		x, y  float64
	}{{{0, .25, .25}, {4, .75, .5}}, {{1, .75, .25}, {5, .5, .75}}, {{2, .75, .75}, {6, .25, .5}}, {{3, .25, .75}, {7, .5, .25}}}
	for _, c := range []Config{
		{Dim: 2, Heads: 1, Keys: 400, Split: Chunk, Seed: 3},
		{Dim: 2, Heads: 20, Keys: 20, KeyDim: 2, Seed: 3},
	} {
		rng := rand.New(rand.NewPCG(c.Seed, 5))
		m, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		square := make([]float32, 2*100*1000)
		for i := range square {
			square[i] = rng.Float32()
		}
		if err := m.Init(context.Background(), square, Start{Epochs: 1, Batch: 100, Keep: true}); err != nil {
			t.Fatal(err)
		}
		l := NewLearner(m)
		draw := func(n int, stage [2]struct {
			class int
			x, y  float64
		}) (rows []float32, labels []string) {
			for i := range n {
				s := stage[i%2]
				rows = append(rows, float32(s.x+.035*rng.NormFloat64()), float32(s.y+.035*rng.NormFloat64()))
				labels = append(labels, fmt.Sprint(s.class))
			}
			return rows, labels
		}
		for i, s := range stages {
			rows, labels := draw(100, s)
			for range 20 {
				learn(t, l, 100*i, rows, labels)
			}
		}
		share := 0.0
		for _, s := range stages {
			rows, labels := draw(500, s)
			share += right(t, l, rows, labels) / 4
		}
		t.Logf("%d heads of %d keys: %.4f", c.Heads, c.Keys, share)
		if share < 0.99 {
			t.Errorf("%d heads of %d keys: %.4f of the rows of all classes are right, want .99", c.Heads, c.Keys, share)
		}
	}
}
