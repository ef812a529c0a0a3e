package din

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

// reference is the model of one item and one history after the other, in float64,
// with the whole input of the unit in memory.
type reference struct {
	m       *Model
	numbers map[string][]float64
	train   bool
}

func newReference(m *Model, train bool) *reference {
	r := &reference{m: m, numbers: map[string][]float64{}, train: train}
	for name, s := range m.slots() {
		r.numbers[name] = wide(s.data)
	}
	return r
}

func (r *reference) vector(item uint32) (v []float64) {
	for i, f := range r.m.config.Item {
		ids, _ := r.m.items.ids(i, []uint32{item}, nil, nil)
		sum := make([]float64, f.Dim)
		for _, id := range ids {
			for j := range sum {
				sum[j] += r.numbers[tableName(f.Name)][int(id)*f.Dim+j] / float64(len(ids))
			}
		}
		v = append(v, sum...)
	}
	return v
}

// network maps rows to one number each; all rows are there for Dice and norms.
func (r *reference) network(net *network, x [][]float64) []float64 {
	if net.input != nil {
		x = r.affine(net.input, net.inputName, x)
	}
	for _, l := range net.layers {
		w, b := r.numbers[l.linear.Weight.Name], r.numbers[l.linear.Bias.Name]
		y := make([][]float64, len(x))
		for i, row := range x {
			y[i] = make([]float64, len(b))
			for o := range b {
				y[i][o] = b[o]
				for j, e := range row {
					y[i][o] += w[o*len(row)+j] * e
				}
			}
		}
		if l.norm != nil {
			y = r.affine(l.norm, l.normName, y)
		}
		r.activate(&l, y)
		x = y
	}
	var out []float64
	for _, row := range x {
		out = append(out, row[0])
	}
	return out
}

// affine is a batch-norm.
func (r *reference) affine(n *nn.Norm, name string, x [][]float64) [][]float64 {
	z := r.normal(x, name, 1e-5)
	for i := range z {
		for j := range z[i] {
			z[i][j] = z[i][j]*r.numbers[n.Weight.Name][j] + r.numbers[n.Bias.Name][j]
		}
	}
	return z
}

func (r *reference) activate(l *layer, y [][]float64) {
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	var z [][]float64
	if l.kind == "dice" {
		z = r.normal(y, l.diceName, 1e-9)
	}
	for i := range y {
		for j, e := range y[i] {
			switch l.kind {
			case "sigmoid":
				y[i][j] = sigmoid(e)
			case "tanh":
				y[i][j] = math.Tanh(e)
			case "relu":
				y[i][j] = max(e, 0)
			case "prelu":
				if e < 0 {
					y[i][j] *= r.numbers[l.alpha.Name][j]
				}
			case "dice":
				p := sigmoid(z[i][j])
				y[i][j] = e * (p + (1-p)*r.numbers[l.dice.Alpha.Name][j])
			}
		}
	}
}

func (r *reference) normal(x [][]float64, name string, eps float64) [][]float64 {
	z := make([][]float64, len(x))
	for i := range x {
		z[i] = make([]float64, len(x[i]))
	}
	mean, vari := r.numbers[name+".running_mean"], r.numbers[name+".running_var"]
	for j := range mean {
		mu, v := mean[j], vari[j]
		if r.train {
			mu, v = 0, 0
			for i := range x {
				mu += x[i][j] / float64(len(x))
			}
			for i := range x {
				v += (x[i][j] - mu) * (x[i][j] - mu) / float64(len(x))
			}
		}
		for i := range x {
			z[i][j] = (x[i][j] - mu) / math.Sqrt(v+eps)
		}
	}
	return z
}

// logits also returns the weight of every pair.
func (r *reference) logits(b *Batch) (logits, weights []float64) {
	var inputs, heads [][]float64
	for q := range b.Requests() {
		for _, c := range b.Items[b.Offers[q]:b.Offers[q+1]] {
			v := r.vector(c)
			for _, j := range b.Past[b.Starts[q]:b.Starts[q+1]] {
				e, x := r.vector(j), append([]float64{}, v...)
				x = append(x, e...)
				for i := range v {
					x = append(x, v[i]-e[i])
				}
				for i := range v {
					x = append(x, v[i]*e[i])
				}
				inputs = append(inputs, x)
			}
		}
	}
	if r.m.unit != nil {
		weights = r.network(r.m.unit, inputs)
	}
	interests := r.interests(b, weights)
	for q := range b.Requests() {
		for _, c := range b.Items[b.Offers[q]:b.Offers[q+1]] {
			v, pooled := r.vector(c), interests[len(heads)]
			var x []float64
			for i, f := range r.m.config.User {
				id := int(b.User[i][q])
				x = append(x, r.numbers[tableName(f.Name)][id*f.Dim:(id+1)*f.Dim]...)
			}
			x = append(append(x, v...), pooled...)
			for i := range v {
				if r.m.config.Product {
					x = append(x, v[i]*pooled[i])
				}
			}
			heads = append(heads, x)
		}
	}
	logits = r.network(r.m.head, heads)
	if r.m.bias != nil {
		for i, c := range b.Items {
			logits[i] += r.numbers[r.m.bias.Name][c]
		}
	}
	return logits, weights
}

// interests is v_U of every item offered; it turns scores into weights.
func (r *reference) interests(b *Batch, weights []float64) (all [][]float64) {
	at := 0
	for q := range b.Requests() {
		past := b.Past[b.Starts[q]:b.Starts[q+1]]
		for range b.Items[b.Offers[q]:b.Offers[q+1]] {
			pooled := make([]float64, r.m.config.Dim())
			a := r.weigh(weights, at, len(past))
			at += len(past)
			for i, j := range past {
				for k, e := range r.vector(j) {
					pooled[k] += a[i] * e
				}
			}
			all = append(all, pooled)
		}
	}
	if r.m.linear == nil {
		return all
	}
	w, bias := r.numbers["hist_fcn.weight"], r.numbers["hist_fcn.bias"]
	for i, x := range r.affine(r.m.normed, "hist_norm", all) {
		for o := range all[i] {
			all[i][o] = bias[o]
			for j, e := range x {
				all[i][o] += w[o*len(x)+j] * e
			}
		}
	}
	return all
}

// weigh turns the scores of one item's pairs into weights, in place.
func (r *reference) weigh(all []float64, at, n int) []float64 {
	if r.m.unit == nil {
		a := make([]float64, n)
		for i := range a {
			a[i] = 1 / float64(n)
		}
		return a
	}
	a, sum := all[at:at+n], 0.0
	for i := range a {
		if r.m.config.Scaled {
			a[i] /= math.Sqrt(float64(r.m.config.Dim()))
		}
		sum += math.Exp(a[i])
	}
	for i := range a {
		if r.m.config.Softmax {
			a[i] = math.Exp(a[i]) / sum
		}
	}
	return a
}

func (r *reference) loss(b *Batch) float64 {
	logits, _ := r.logits(b)
	sum := 0.0
	for i, z := range logits {
		sum += max(z, 0) - z*float64(b.Labels[i]) + math.Log1p(math.Exp(-math.Abs(z)))
	}
	return sum / float64(len(logits))
}

// sample is a catalogue of twelve items with an id, a category and any number of
// tags, and a batch of requests over it.
func sample(seed uint64, requests, longest int) (fields []Field, items *Items, b *Batch) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fields = []Field{{Name: "item", Rows: 12, Dim: 4}, {Name: "category", Rows: 3, Dim: 2}, {Name: "tags", Rows: 5, Dim: 2, Many: true}}
	category, tags := Column{}, Column{Start: []int32{0}}
	for range 12 {
		category.IDs = append(category.IDs, rng.Uint32N(3))
		for range rng.IntN(4) {
			tags.IDs = append(tags.IDs, rng.Uint32N(5))
		}
		tags.Start = append(tags.Start, int32(len(tags.IDs)))
	}
	items, err := NewItems(12, fields, []Column{{}, category, tags})
	if err != nil {
		panic(err)
	}
	b = &Batch{}
	b.Reset()
	for range requests {
		past, offered, labels := make([]uint32, rng.IntN(longest+1)), make([]uint32, 1+rng.IntN(3)), []float32{}
		for i := range past {
			past[i] = rng.Uint32N(12)
		}
		for i := range offered {
			offered[i] = rng.Uint32N(12)
			labels = append(labels, float32(rng.IntN(2)))
		}
		b.Add([]uint32{rng.Uint32N(3)}, past, offered, labels)
	}
	return fields, items, b
}

// kinds are the configurations that tests go through.
func kinds(fields []Field) map[string]Config {
	user := []Field{{Name: "user", Rows: 3, Dim: 2}}
	all := map[string]Config{
		"default": Default(fields, user), "base": Default(fields, user),
		"plain": {Item: fields, User: user, Pooling: "attention", Unit: Layers{Hidden: []int{5}, Activation: "tanh"}, Head: Layers{Hidden: []int{6}, Activation: "prelu"}},
		"dice": {Item: fields, User: user, Pooling: "attention", Scaled: true, Unit: Layers{Hidden: []int{5, 3}, Activation: "dice"},
			Head: Layers{Hidden: []int{6, 4}, Activation: "sigmoid", Norm: true}, Bias: true},
		"official": Official(fields),
	}
	for name, c := range all {
		if name == "base" {
			c.Pooling = "mean"
		}
		if name == "official" {
			c.User = user
		}
		if name == "default" || name == "base" || name == "official" {
			c.Unit.Hidden, c.Head.Hidden = []int{6, 4}, []int{7, 5}
		}
		c.Spread, c.Lambda = 0.5, 0
		all[name] = c
	}
	return all
}

// fresh makes a model whose state has no zeros and ones left.
func fresh(t testing.TB, c Config, items *Items) *Model {
	t.Helper()
	m, err := New(c, items, 5)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(6, 6))
	for _, p := range m.Params() {
		for i := range p.Value.Data {
			p.Value.Data[i] += 0.2 * float32(rng.NormFloat64())
		}
	}
	m.Stats(func(_ string, s *nn.Stats) {
		for i := range s.Mean {
			s.Mean[i], s.Var[i] = 0.3*float32(rng.NormFloat64()), 0.5+rng.Float32()
		}
	})
	return m
}

func eachKind(t *testing.T, f func(t *testing.T, m *Model, b *Batch)) {
	fields, items, b := sample(1, 9, 6)
	for name, c := range kinds(fields) {
		t.Run(name, func(t *testing.T) { f(t, fresh(t, c, items), b) })
	}
}

func TestLogitsAreThoseOfAPlainDoublePrecisionModel(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		out := make([]float32, len(b.Items))
		if err := m.Logits(new(nn.Tape), b, out); err != nil {
			t.Fatal(err)
		}
		want, _ := newReference(m, false).logits(b)
		nntest.Near(t, "logits", wide(out), want, 1e-5)
	})
}

func TestGradientsAreTheSlopesOfThePlainModel(t *testing.T) {
	const h = 1e-5
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		r := newReference(m, true)
		loss, err := m.Gradient(new(nn.Tape), b)
		if err != nil {
			t.Fatal(err)
		}
		nntest.Near(t, "loss", []float64{loss}, []float64{r.loss(b)}, 1e-5)
		for _, p := range m.Params() {
			x := r.numbers[p.Name]
			slopes := make([]float64, len(x))
			for i, at := range x {
				x[i] = at + h
				up := r.loss(b)
				x[i] = at - h
				slopes[i] = (up - r.loss(b)) / (2 * h)
				x[i] = at
			}
			nntest.Near(t, p.Name, gradient(p), slopes, 1e-4)
		}
	})
}
