package tabm

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

// embedding maps n numbers of a row to n vectors, rows x n to rows x n·dim, with
// parameters named as rtdl_num_embeddings names them.
type embedding struct {
	bins   *bins     // Piecewise
	linear *nn.Param // Piecewise: n x dim, linear0.weight
	bias   *nn.Param // Piecewise: n x dim, linear0.bias
	freq   *nn.Param // Periodic: n x frequencies
	layer  *grouped  // of bins (zeros at first) or of periodic features
	dim    int
}

// newEmbedding has bins of the numbers of d where c wants some; d may be nil, for
// weights that will be loaded.
func newEmbedding(c Config, numbers int, d *tabular.Data, rng *rand.Rand) *embedding {
	e := &embedding{dim: c.Dim}
	if c.Embedding == Periodic {
		e.freq = nn.NewParam("num_module.periodic.weight", numbers, c.Frequencies).Normal(rng, c.Scale)
		e.layer = newGrouped("num_module.linear", numbers, 2*c.Frequencies, c.Dim, true, rng)
		return e
	}
	limit := float32(1 / math.Sqrt(float64(c.Dim)))
	e.linear = nn.NewParam("num_module.linear0.weight", numbers, c.Dim).Uniform(rng, limit)
	e.bias = nn.NewParam("num_module.linear0.bias", numbers, c.Dim).Uniform(rng, limit)
	e.layer = newGrouped("num_module.linear", numbers, c.Bins, c.Dim, false, rng)
	e.layer.weight.Fill(0)
	e.bins = newBins(numbers, c.Bins, d)
	return e
}

func (e *embedding) params() []*nn.Param {
	if e.freq != nil {
		return append([]*nn.Param{e.freq}, e.layer.params()...)
	}
	return append([]*nn.Param{e.linear, e.bias}, e.layer.params()...)
}

// forward embeds x, rows x n.
func (e *embedding) forward(t *nn.Tape, x *nn.Var) *nn.Var {
	if e.freq != nil {
		return t.ReLU(e.layer.forward(t, new(periodic).forward(t, x, t.Param(e.freq))))
	}
	places := t.Matrix(x.Rows, x.Cols*e.bins.most)
	for i := range x.Rows {
		e.bins.encode(places.Row(i), x.Row(i))
	}
	line := t.Add(scaled{}.forward(t, x, t.Param(e.linear)), t.Reshape(t.Param(e.bias), 1, e.bias.Value.Rows*e.dim))
	return t.Add(line, e.layer.forward(t, t.Input(places)))
}

// bins are the edges of the bins of n numbers, at most most of each.
type bins struct {
	most  int
	edges [][]float32 // by number; rising; fewer than two: the number has no bins
}

// newBins takes edges at the quantiles of d, without repeats.
func newBins(numbers, most int, d *tabular.Data) *bins {
	b := &bins{most: most, edges: make([][]float32, numbers)}
	if d == nil || d.Rows == 0 {
		return b
	}
	values := make([]float64, d.Rows)
	for j := range numbers {
		for i := range values {
			values[i] = float64(d.Num[i*numbers+j])
		}
		for _, q := range tabular.Quantiles(values, most+1) {
			b.edges[j] = append(b.edges[j], float32(q))
		}
		b.edges[j] = slices.Compact(b.edges[j])
	}
	return b
}

// encode writes the place of each number in its bins: 1 in those below it, 0 in those
// above, the share of the way in its own. The first goes on below 0 and the last above
// 1. The last bin has the last column, whatever the number of bins.
func (b *bins) encode(dst, x []float32) {
	clear(dst)
	for j, edges := range b.edges {
		n := len(edges) - 1
		row := dst[j*b.most : (j+1)*b.most]
		for t := range n {
			v := (x[j] - edges[t]) / (edges[t+1] - edges[t])
			if t > 0 {
				v = max(v, 0)
			}
			if t < n-1 {
				v = min(v, 1)
				row[t] = v
			} else {
				row[b.most-1] = v
			}
		}
	}
}

// scaled is x_j·w_j for each number: rows x n by n x dim to rows x n·dim.
type scaled struct{}

func (o scaled) forward(t *nn.Tape, x, w *nn.Var) *nn.Var {
	d := w.Cols
	y := t.Matrix(x.Rows, w.Rows*d)
	for i := range x.Rows {
		row := y.Row(i)
		for j, v := range x.Row(i) {
			for c, e := range w.Row(j) {
				row[j*d+c] = v * e
			}
		}
	}
	return t.Record(o, y, x, w)
}

// Backward implements nn.Op: ∂w_j = Σ_rows x_j·g_j, ∂x_j = w_j·g_j.
func (o scaled) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	x, w, g := in[0], in[1], t.Grad(out)
	d := w.Cols
	for i := range g.Rows {
		row := g.Row(i)
		for j, v := range x.Row(i) {
			part := row[j*d : (j+1)*d]
			if w.Needs() {
				for c, e := range part {
					t.Grad(w).Row(j)[c] += v * e
				}
			}
			if x.Needs() {
				for c, e := range part {
					t.Grad(x).Row(i)[j] += w.Row(j)[c] * e
				}
			}
		}
	}
}

// periodic is the features of PLR: for each number x_j the cosines and then the sines
// of 2πf_j·x_j; rows x n by n x f to rows x n·2f.
type periodic struct{ y nn.Matrix }

func (o *periodic) forward(t *nn.Tape, x, freq *nn.Var) *nn.Var {
	f := freq.Cols
	o.y = t.Matrix(x.Rows, x.Cols*2*f)
	for i := range x.Rows {
		row := o.y.Row(i)
		for j, v := range x.Row(i) {
			for c, w := range freq.Row(j) {
				sin, cos := math.Sincos(2 * math.Pi * float64(w) * float64(v))
				row[j*2*f+c], row[j*2*f+f+c] = float32(cos), float32(sin)
			}
		}
	}
	return t.Record(o, o.y, x, freq)
}

// Backward implements nn.Op: with a = 2πf·x, ∂a = g_sin·cos a - g_cos·sin a.
func (o *periodic) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	x, freq, g := in[0], in[1], t.Grad(out)
	f := freq.Cols
	for i := range g.Rows {
		row, y := g.Row(i), o.y.Row(i)
		for j, v := range x.Row(i) {
			for c, w := range freq.Row(j) {
				cos, sin := j*2*f+c, j*2*f+f+c
				da := 2 * math.Pi * (row[sin]*y[cos] - row[cos]*y[sin])
				if freq.Needs() {
					t.Grad(freq).Row(j)[c] += da * v
				}
				if x.Needs() {
					t.Grad(x).Row(i)[j] += da * w
				}
			}
		}
	}
}
