package nn_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// windows are those of the tests: sequences, images, strides, wide margins, kernels as
// large as the image and larger than what is left of it.
var windows = map[string]*nn.Window{
	"sequence": {Height: 1, Width: 6, Rows: 1, Cols: 3, Beside: 2},
	"narrow":   {Height: 1, Width: 6, Rows: 1, Cols: 6},
	"point":    {Height: 3, Width: 2, Rows: 1, Cols: 1},
	"image":    {Height: 4, Width: 3, Rows: 3, Cols: 2, Above: 1, Beside: 1},
	"strides":  {Height: 5, Width: 4, Rows: 2, Cols: 3, Above: 1, Stride: 2},
	"margins":  {Height: 2, Width: 2, Rows: 3, Cols: 3, Above: 2, Beside: 3, Stride: 3},
}

// convolve is the definition, one number after the other, over two images.
func convolve(x, w, b []float64, channels, filters int, win *nn.Window) (out []float64) {
	height, width := win.Out()
	stride := max(1, win.Stride)
	for n := range 2 {
		for at := range height * width {
			for f := range filters {
				sum := b[f]
				for c := range channels {
					for k := range win.Rows * win.Cols {
						i, j := at/width*stride+k/win.Cols-win.Above, at%width*stride+k%win.Cols-win.Beside
						if i >= 0 && i < win.Height && j >= 0 && j < win.Width {
							sum += x[((n*win.Height+i)*win.Width+j)*channels+c] * w[(f*channels+c)*win.Rows*win.Cols+k]
						}
					}
				}
				out = append(out, sum)
			}
		}
	}
	return out
}

func TestConvolutionsHaveTheirGradients(t *testing.T) {
	const channels, filters = 3, 2
	for name, w := range windows {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 5))
			nntest.Check(t, nntest.Case{
				In:  []nn.Matrix{random(rng, 2*w.Height*w.Width, channels), random(rng, filters, channels*w.Rows*w.Cols), random(rng, 1, filters)},
				Op:  func(t *nn.Tape, in vars) *nn.Var { return t.Conv(in[0], in[1], in[2], w) },
				Ref: func(in nums) []float64 { return convolve(in[0], in[1], in[2], channels, filters, w) },
			})
		})
	}
}

func TestGatedRecurrentUnitHasItsGradients(t *testing.T) {
	const n, in, d = 3, 4, 2
	rng := rand.New(rand.NewPCG(6, 6))
	nntest.Check(t, nntest.Case{
		In: []nn.Matrix{random(rng, n, in), random(rng, n, d), random(rng, 3*d, in), random(rng, 3*d, d), random(rng, 1, 3*d), random(rng, 1, 3*d)},
		Op: func(t *nn.Tape, v vars) *nn.Var { return t.GRU(v[0], v[1], v[2], v[3], v[4], v[5]) },
		Ref: func(v nums) (out []float64) {
			a, b := product(v[0], v[2], n, in, 3*d, false, true), product(v[1], v[3], n, d, 3*d, false, true)
			for i := range n {
				for j := range d {
					at := func(g []float64, bias []float64, k int) float64 { return g[i*3*d+k*d+j] + bias[k*d+j] }
					r, z := sigma(at(a, v[4], 0)+at(b, v[5], 0)), sigma(at(a, v[4], 1)+at(b, v[5], 1))
					c := math.Tanh(at(a, v[4], 2) + r*at(b, v[5], 2))
					out = append(out, (1-z)*c+z*v[1][i*d+j])
				}
			}
			return out
		},
	})
}
