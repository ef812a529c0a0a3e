package tabr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/tabular"
)

// plain is TabR as its authors write it, in float64 and without rewrites: each candidate
// has a value of its own, and keys have their biases.
type plain struct {
	c Config
	w map[string][]float64
	// Masks, 1/(1-p) or 0: of unit j of a layer for a row, of a candidate for a row, and
	// of unit j of T for both. nil: ones.
	unit      func(layer int, row uint32, j int) float64
	candidate func(row, id uint32) float64
	inner     func(row, id uint32, j int) float64
}

func newPlain(m *Model) *plain {
	p := &plain{c: m.c, w: map[string][]float64{}}
	for _, q := range m.params {
		for _, x := range q.Value.Data {
			p.w[q.Name] = append(p.w[q.Name], float64(x))
		}
	}
	one := func(uint32, uint32, int) float64 { return 1 }
	p.unit = func(int, uint32, int) float64 { return 1 }
	p.candidate, p.inner = func(a, b uint32) float64 { return 1 }, one
	return p
}

// mul is W x, with a bias under name.bias if there is one.
func (p *plain) mul(name string, x []float64) []float64 {
	w, b := p.w[name+".weight"], p.w[name+".bias"]
	y := make([]float64, len(w)/len(x))
	for i := range y {
		for j, v := range x {
			y[i] += w[i*len(x)+j] * v
		}
		if b != nil {
			y[i] += b[i]
		}
	}
	return y
}

func (p *plain) norm(name string, x []float64) []float64 {
	w, b := p.w[name+".weight"], p.w[name+".bias"]
	mean, square := 0.0, 0.0
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		square += (v - mean) * (v - mean) / float64(len(x))
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = (v-mean)/math.Sqrt(square+1e-5)*w[i] + b[i]
	}
	return y
}

func positive(x []float64) []float64 {
	for i, v := range x {
		x[i] = max(v, 0)
	}
	return x
}

func (p *plain) block(name string, normed bool, layer int, row uint32, x []float64) []float64 {
	h, first, second := x, ".0", ".3"
	if normed {
		h, first, second = p.norm(name+".0", x), ".1", ".4"
	}
	h = positive(p.mul(name+first, h))
	for j := range h {
		h[j] *= p.unit(layer, row, j)
	}
	h = p.mul(name+second, h)
	y := slices.Clone(x)
	for i, v := range h {
		y[i] += v
	}
	return y
}

func (p *plain) encode(x []float32, row uint32) (e, key []float64) {
	var u []float64
	f, w, b := p.w["num_embeddings.0.frequencies"], p.w["num_embeddings.0.weight"], p.w["num_embeddings.0.bias"]
	for i, v := range x {
		switch n := p.c.Frequencies; {
		case i >= p.c.Num || p.c.Embedding == Plain:
			u = append(u, float64(v))
		case p.c.Embedding == Periodic:
			var wave [2][]float64
			for _, f := range f[i*n : (i+1)*n] {
				wave[0] = append(wave[0], math.Cos(2*math.Pi*f*float64(v)))
				wave[1] = append(wave[1], math.Sin(2*math.Pi*f*float64(v)))
			}
			u = append(u, positive(p.mul("num_embeddings.1", slices.Concat(wave[0], wave[1])))...)
		default:
			for c := range p.c.EmbedDim {
				u = append(u, max(0, float64(v)*w[i*p.c.EmbedDim+c]+b[i*p.c.EmbedDim+c]))
			}
		}
	}
	e = p.mul("linear", u)
	for i := range p.c.Encoders {
		e = p.block(fmt.Sprintf("blocks0.%d", i), i > 0, maskEncoder+i, row, e)
	}
	if p.c.Encoders == 0 {
		return e, p.mul("K", e)
	}
	return e, p.mul("K", p.norm("normalization", e))
}

// predict is the prediction for a row from candidates ctx, rows of all.
func (p *plain) predict(x []float32, row uint32, ctx []uint32, all nn.Matrix, y []float32) []float64 {
	e, key := p.encode(x, row)
	s, keys, sum := make([]float64, len(ctx)), make([][]float64, len(ctx)), 0.0
	least := math.Inf(1)
	for i, id := range ctx {
		_, keys[i] = p.encode(all.Row(int(id)), id)
		for j, v := range keys[i] {
			s[i] += (key[j] - v) * (key[j] - v)
		}
		least = min(least, s[i])
	}
	for i := range s {
		s[i] = math.Exp(least - s[i])
		sum += s[i]
	}
	for i, id := range ctx {
		share := s[i] / sum * p.candidate(row, id)
		delta := make([]float64, len(key))
		for j := range key {
			delta[j] = key[j] - keys[i][j]
		}
		h := positive(p.mul("T.0", delta))
		for j := range h {
			h[j] *= p.inner(row, id, j)
		}
		label := p.w["label_encoder.0.weight"]
		for j, v := range p.mul("T.3", h) {
			if p.c.Kind == tabular.Regression {
				v += p.w["label_encoder.weight"][j]*float64(y[id]) + p.w["label_encoder.bias"][j]
			} else {
				v += label[int(y[id])*p.c.Dim+j]
			}
			e[j] += share * v
		}
	}
	for i := range p.c.Predictors {
		e = p.block(fmt.Sprintf("blocks1.%d", i), true, maskPredictor+i, row, e)
	}
	return p.mul("head.2", positive(p.norm("head.0", e)))
}

func (p *plain) loss(out [][]float64, y []float64) (sum float64) {
	for i, o := range out {
		switch p.c.Kind {
		case tabular.Regression:
			sum += (o[0] - y[i]) * (o[0] - y[i])
		case tabular.Binary:
			sum += math.Log(1+math.Exp(o[0])) - y[i]*o[0]
		default:
			all := 0.0
			for _, v := range o {
				all += math.Exp(v)
			}
			sum += math.Log(all) - o[int(y[i])]
		}
	}
	return sum / float64(len(out))
}

// masked gives p the masks that t draws.
func (p *plain) masked(t *nn.Tape) {
	ones := slices.Repeat([]float32{1}, p.c.hidden())
	mask := func(key uint32, j int) float64 {
		d, y := dropping(t, p.c.DropoutP), make([]float32, len(ones))
		simd.DropReLU(y, ones, 1, key, d.least)
		return float64(y[j] * d.scale)
	}
	masks := newStream(t, maskContext)
	p.unit = func(layer int, row uint32, j int) float64 { return mask(newStream(t, uint64(layer)).key(row), j) }
	p.inner = func(row, id uint32, j int) float64 { return mask(uint32(pair(masks.row(row), id)), j) }
	p.candidate = func(row, id uint32) float64 {
		d := dropping(t, p.c.ContextP)
		if uint32(pair(masks.row(row), id)>>32) < d.least {
			return 0
		}
		return float64(d.scale)
	}
}

// kinds are small configurations of every form.
func kinds() map[string]Config {
	base := Config{Kind: tabular.Regression, Std: 1, Num: 3, Dim: 6, Predictors: 1, Context: 4, ContextP: 0.3, DropoutP: 0.2}
	all := map[string]Config{"s": base}
	c := base
	c.Kind, c.Classes, c.Std, c.Bin, c.Predictors = tabular.Binary, 2, 0, 1, 2
	all["binary"] = c
	c.Kind, c.Classes, c.Cat, c.Dim = tabular.Multiclass, 3, []int{4, 0, 3}, 5
	all["classes in more columns than dimensions"] = c
	c = base
	c.Num, c.Dim = narrowWidth+2, narrowWidth+4
	all["many columns"] = c
	c = base
	c.Encoders = 2
	all["encoders"] = c
	c = base
	c.Embedding, c.EmbedDim, c.Bin = Linear, 4, 2
	all["lr"] = c
	c.Embedding, c.Frequencies, c.Sigma = Periodic, 5, 0.3
	all["plr-lite"] = c
	c.Encoders, c.Predictors, c.Bin = 1, 2, 0
	all["plr-lite with encoder"] = c
	return all
}

// table is n rows for c, each third one with the columns of the row before it.
func table(c Config, n int, seed uint64) *tabular.Data {
	rng := rand.New(rand.NewPCG(seed, 9))
	d := &tabular.Data{Rows: n, NumWidth: c.Num, BinWidth: c.Bin, CatSizes: c.Cat, Kind: c.Kind, Classes: c.Classes, Mean: c.Mean, Std: c.Std}
	for i := range n {
		for j := range c.Num {
			x := float32(rng.NormFloat64())
			if i%3 == 1 {
				x = d.Num[(i-1)*c.Num+j]
			}
			d.Num = append(d.Num, x)
		}
		for range c.Bin {
			d.Bin = append(d.Bin, float32(rng.IntN(2)))
		}
		for _, size := range c.Cat {
			d.Cat = append(d.Cat, int32(rng.IntN(size+1)))
		}
		if y := rng.NormFloat64(); c.Kind == tabular.Regression {
			d.Y = append(d.Y, float32(y))
		} else {
			d.Y = append(d.Y, float32(rng.IntN(c.labels())))
		}
	}
	return d
}

// sample is a model and a learner on a small table.
func sample(t testing.TB, c Config, n int) (*learner, *tabular.Data) {
	t.Helper()
	m, err := New(c, 5)
	if err != nil {
		t.Fatal(err)
	}
	d := table(c, n, 3)
	l, err := newLearner(m, c.matrix(d), d.Y, -1)
	if err != nil {
		t.Fatal(err)
	}
	return l, d
}
