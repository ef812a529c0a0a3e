package tabm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

// BenchmarkStep is a step of 256 rows with eight numbers: gradients and AdamW.
func BenchmarkStep(b *testing.B) {
	for _, width := range []int{128, 512} {
		b.Run(fmt.Sprint("width=", width), func(b *testing.B) {
			d := &tabular.Data{Rows: 256, NumWidth: 8, Kind: tabular.Regression, Std: 1, Num: make([]float32, 256*8), Y: make([]float32, 256)}
			rng := rand.New(rand.NewPCG(1, 1))
			for i := range d.Num {
				d.Num[i] = float32(rng.NormFloat64())
			}
			c := Default()
			c.Width = width
			m, err := New(c, d, 1)
			if err != nil {
				b.Fatal(err)
			}
			var tape nn.Tape
			rows, params := rng.Perm(d.Rows), m.Params()
			for b.Loop() {
				if _, err := m.Gradient(&tape, batch{d, rows}); err != nil {
					b.Fatal(err)
				}
				nn.Adam{Decay: decay}.Step(params, rate)
			}
		})
	}
}
