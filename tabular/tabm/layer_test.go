package tabm

import (
	"math"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// counter fills m with the numbers of the specification's goldens, from number i on.
func counter(m nn.Matrix, i int) int {
	for j := range m.Data {
		x := float64(i)
		m.Data[j] = float32(0.8 * math.Sin(0.37+0.61*x+0.13*x*x))
		i++
	}
	return i
}

func wave(rows, cols int, at float64) nn.Matrix {
	m := nn.NewMatrix(rows, cols)
	for i := range m.Data {
		m.Data[i] = float32(math.Sin(at + 1.7*float64(i)))
	}
	return m
}

// The numbers were computed in float64 from the paper's equations.
func TestLayerIsThePapers(t *testing.T) {
	w, b := nn.NewMatrix(2, 3), nn.NewMatrix(2, 2)
	counter(b.Slice(0, 1), counter(w, 0))
	b.Slice(1, 2).Set(b.Slice(0, 1))
	var tape nn.Tape
	in := func(rows, cols int, x ...float32) *nn.Var { return tape.Input(nn.Wrap(rows, cols, x)) }
	o := &layerOp{threads: 1}
	y := o.forward(&tape, in(1, 3, 0.2, -0.5, 0.7), tape.Input(w), in(2, 3, 1, -1, 1, -1, -1, 1), in(2, 2, 1, 1, 0.5, 2), tape.Input(b))
	nntest.Near(t, "layer", nntest.Numbers(y.Matrix), []float64{1.4210437, -1.0185978, 0.9148433, -1.0923659}, 1e-6)
}

func TestFeaturesOfPLRAreThePapers(t *testing.T) {
	var tape nn.Tape
	y := new(periodic).forward(&tape, tape.Input(nn.Wrap(1, 1, []float32{0.4})), tape.Input(nn.Wrap(1, 2, []float32{0.5, -1.2})))
	nntest.Near(t, "features", nntest.Numbers(y.Matrix), []float64{0.3090170, -0.9921147, 0.9510565, -0.1253332}, 1e-6)
}

// layerRef is the layer in float64.
func layerRef(n, k, size, out int, shared bool) func(in [][]float64) []float64 {
	return func(in [][]float64) []float64 {
		x, w, r, s, b := in[0], in[1], in[2], in[3], in[4]
		var all []float64
		for row := range n {
			for i := range k {
				at := (row*k + i) * size
				if shared {
					at = row * size
				}
				own := x[at:]
				for o := range out {
					sum := 0.0
					for j := range size {
						sum += w[o*size+j] * r[i*size+j] * own[j]
					}
					all = append(all, s[i*out+o]*sum+b[i*out+o])
				}
			}
		}
		return all
	}
}

func TestGradientsOfTheLayer(t *testing.T) {
	const n, k, size, out = 3, 4, 5, 6
	for _, shared := range []bool{true, false} {
		cols := k * size
		if shared {
			cols = size
		}
		nntest.Check(t, nntest.Case{
			In: []nn.Matrix{wave(n, cols, 0.3), wave(out, size, 1), wave(k, size, 2), wave(k, out, 3), wave(k, out, 4)},
			Op: func(t *nn.Tape, in []*nn.Var) *nn.Var {
				return (&layerOp{threads: 2}).forward(t, in[0], in[1], in[2], in[3], in[4])
			},
			Ref: layerRef(n, k, size, out, shared),
		})
	}
}

func TestGradientsOfGroups(t *testing.T) {
	const n, g, size, out = 4, 3, 5, 2
	for _, bias := range []bool{true, false} {
		in := []nn.Matrix{wave(n, g*size, 0.1), wave(g*size, out, 1)}
		if bias {
			in = append(in, wave(g, out, 2))
		}
		nntest.Check(t, nntest.Case{
			In: in,
			Op: func(t *nn.Tape, in []*nn.Var) *nn.Var { return groupedOp(g).forward(t, in...) },
			Ref: func(in [][]float64) []float64 {
				var all []float64
				for row := range n {
					for j := range g {
						for o := range out {
							sum := 0.0
							if bias {
								sum = in[2][j*out+o]
							}
							for c := range size {
								sum += in[0][row*g*size+j*size+c] * in[1][(j*size+c)*out+o]
							}
							all = append(all, sum)
						}
					}
				}
				return all
			},
		})
	}
}

func TestGradientsOfScaledAndPeriodicNumbers(t *testing.T) {
	const n, numbers, f = 4, 3, 2
	nntest.Check(t, nntest.Case{
		In: []nn.Matrix{wave(n, numbers, 0.2), wave(numbers, f, 1)},
		Op: func(t *nn.Tape, in []*nn.Var) *nn.Var { return scaled{}.forward(t, in[0], in[1]) },
		Ref: func(in [][]float64) (all []float64) {
			for row := range n {
				for j := range numbers {
					for c := range f {
						all = append(all, in[0][row*numbers+j]*in[1][j*f+c])
					}
				}
			}
			return all
		},
	})
	nntest.Check(t, nntest.Case{
		In: []nn.Matrix{wave(n, numbers, 0.2), wave(numbers, f, 1)},
		Op: func(t *nn.Tape, in []*nn.Var) *nn.Var { return new(periodic).forward(t, in[0], in[1]) },
		Ref: func(in [][]float64) (all []float64) {
			for row := range n {
				for j := range numbers {
					for part := range 2 {
						for c := range f {
							a := 2 * math.Pi * in[0][row*numbers+j] * in[1][j*f+c]
							all = append(all, []float64{math.Cos(a), math.Sin(a)}[part])
						}
					}
				}
			}
			return all
		},
	})
}

func TestBinsSayWhereANumberIs(t *testing.T) {
	b := &bins{most: 4, edges: [][]float32{{0, 1, 3, 4}, {0, 2}, {5}}}
	got := make([]float32, 12)
	for x, want := range map[float32][12]float32{
		2:    {1, 0.5, 0, 0, 0, 0, 0, 1},
		-0.5: {-0.5, 0, 0, 0, 0, 0, 0, -0.25},
		6:    {1, 1, 0, 3, 0, 0, 0, 3},
	} {
		b.encode(got, []float32{x, x, x})
		if [12]float32(got) != want {
			t.Errorf("%v: %v, want %v", x, got, want)
		}
	}
}
