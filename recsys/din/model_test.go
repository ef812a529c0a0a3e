package din

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/eiderdb/eider/internal/metric"
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/internal/nn/nntest"
)

func logits(t *testing.T, m *Model, b *Batch) []float32 {
	t.Helper()
	out := make([]float32, len(b.Items))
	if err := m.Logits(new(nn.Tape), b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// near fails unless numbers agree to 1e-5.
func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if d := math.Abs(float64(got[i] - want[i])); !(d <= 1e-5) {
			t.Fatalf("%s: number %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

func train(t *testing.T, m *Model, b *Batch, steps int, rate float32) (loss float64) {
	t.Helper()
	var tape nn.Tape
	var err error
	for range steps {
		if loss, err = m.Gradient(&tape, b); err != nil {
			t.Fatal(err)
		}
		m.Regularise()
		nn.Adam{}.Step(m.Params(), rate)
	}
	return loss
}

func TestServedLogitDoesNotDependOnOthersInTheBatch(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		all := logits(t, m, b)
		for r := range b.Requests() {
			for i := b.Offers[r]; i < b.Offers[r+1]; i++ {
				var alone Batch
				alone.Reset()
				alone.Add([]uint32{b.User[0][r]}, b.Past[b.Starts[r]:b.Starts[r+1]], b.Items[i:i+1], nil)
				near(t, "alone", logits(t, m, &alone), all[i:i+1])
			}
		}
	})
}

func TestOrderOfTheHistoryDoesNotMatter(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		want := logits(t, m, b)
		for r := range b.Requests() {
			slices.Reverse(b.Past[b.Starts[r]:b.Starts[r+1]])
		}
		near(t, "reversed", logits(t, m, b), want)
	})
}

// In the batch of requests that share a history, and in one request each, the loss
// and its gradient are the same.
func TestItemsOfferedTogetherTrainAsThoseOfferedApart(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		var apart Batch
		apart.Reset()
		for r := range b.Requests() {
			for i := b.Offers[r]; i < b.Offers[r+1]; i++ {
				apart.Add([]uint32{b.User[0][r]}, b.Past[b.Starts[r]:b.Starts[r+1]], b.Items[i:i+1], b.Labels[i:i+1])
			}
		}
		var grads [2][]float32
		for i, b := range []*Batch{b, &apart} {
			if _, err := m.Gradient(new(nn.Tape), b); err != nil {
				t.Fatal(err)
			}
			for _, p := range m.Params() {
				for _, g := range gradient(p) {
					grads[i] = append(grads[i], float32(g))
				}
				p.Clear()
			}
		}
		near(t, "gradient", grads[1], grads[0])
	})
}

// Which item of a request is named first, the one clicked or the other, changes
// nothing: they go through one network with one set of statistics.
func TestOffersInAnotherOrderTrainAlike(t *testing.T) {
	eachKind(t, func(t *testing.T, m *Model, b *Batch) {
		turn := func() {
			for r := range b.Requests() {
				slices.Reverse(b.Items[b.Offers[r]:b.Offers[r+1]])
				slices.Reverse(b.Labels[b.Offers[r]:b.Offers[r+1]])
			}
		}
		var losses, grads, scores [2][]float32
		for i := range scores { // before statistics move
			scores[i] = logits(t, m, b)
			turn()
		}
		for i := range losses {
			loss, err := m.Gradient(new(nn.Tape), b)
			if err != nil {
				t.Fatal(err)
			}
			losses[i] = []float32{float32(loss)}
			for _, p := range m.Params() {
				for _, g := range gradient(p) {
					grads[i] = append(grads[i], float32(g))
				}
				p.Clear()
			}
			turn()
		}
		for r := range b.Requests() {
			slices.Reverse(scores[1][b.Offers[r]:b.Offers[r+1]])
		}
		near(t, "logits", scores[1], scores[0])
		near(t, "gradient", grads[1], grads[0])
		near(t, "loss", losses[1], losses[0])
	})
}

func TestEmptyHistoryPoolsToZero(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	for name, c := range kinds(fields) {
		m := fresh(t, c, items)
		var none Batch
		none.Reset()
		none.Add([]uint32{1}, nil, []uint32{4}, []float32{1})
		var tape nn.Tape
		pooled := m.interest(&tape, m.embed(&tape, none.Items), m.embed(&tape, none.Past), &none)
		if slices.ContainsFunc(pooled.Data[:m.config.Dim()], func(x float32) bool { return x != 0 }) {
			t.Errorf("%s: %v", name, pooled.Data)
		}
		if loss := train(t, m, &none, 3, 0.01); math.IsNaN(loss) { // a batch of one row through norms as well
			t.Errorf("%s: the loss of a batch of one is %v", name, loss)
		}
	}
}

func TestModelLearnsThirtyTwoExamplesByHeart(t *testing.T) {
	fields, items, _ := sample(1, 1, 1)
	rng := rand.New(rand.NewPCG(8, 8))
	var b Batch
	b.Reset()
	for i := range 32 { // what is clicked depends on the history alone, or on the item alone
		past := []uint32{rng.Uint32N(12), rng.Uint32N(12), uint32(i) % 12}
		b.Add([]uint32{rng.Uint32N(3)}, past, []uint32{uint32(i*5) % 12}, []float32{float32(rng.IntN(2))})
	}
	for name, c := range kinds(fields) {
		m, err := New(c, items, 3)
		if err != nil {
			t.Fatal(err)
		}
		if loss := train(t, m, &b, 500, 0.01); !(loss < 0.01) {
			t.Errorf("%s: after 500 steps the loss is %v", name, loss)
		}
		// Served by running statistics, too, which therefore were trained.
		if auc := metric.AUC(logits(t, m, &b), b.Labels); auc.Value != 1 {
			t.Errorf("%s: what was learned by heart is served with AUC %v", name, auc.Value)
		}
	}
}

func TestFreshModelKnowsNothing(t *testing.T) {
	fields, items, b := sample(2, 300, 6)
	m, err := New(Default(fields, []Field{{Name: "user", Rows: 3, Dim: 2}}), items, 1)
	if err != nil {
		t.Fatal(err)
	}
	loss := 0.0
	for i, z := range logits(t, m, b) {
		loss += math.Log1p(math.Exp(float64(z))) - float64(z*b.Labels[i])
	}
	if loss /= float64(len(b.Items)); math.Abs(loss-math.Ln2) > 0.02 {
		t.Errorf("the loss is %v, ln 2 is %v", loss, math.Ln2)
	}
	_, items, b = sample(13, 4000, 6)
	for seed := range uint64(3) {
		if m, err = New(m.config, items, seed); err != nil {
			t.Fatal(err)
		}
		if auc := metric.AUC(logits(t, m, b), b.Labels); auc.Value < 0.47 || auc.Value > 0.53 {
			t.Errorf("seed %d: AUC %+v", seed, auc)
		}
	}
}

// What cannot be known is not learned: on labels drawn by chance, held-out requests
// of the same items and users are ranked by chance.
func TestLabelsByChanceTeachNothing(t *testing.T) {
	fields, items, b := sample(11, 400, 6)
	_, _, held := sample(11, 1, 1)
	rng := rand.New(rand.NewPCG(12, 12))
	held.Reset()
	for i := range 12000 {
		r := i % 400
		held.Add([]uint32{rng.Uint32N(3)}, b.Past[b.Starts[r]:b.Starts[r+1]], []uint32{rng.Uint32N(12)}, []float32{float32(rng.IntN(2))})
	}
	for name, c := range kinds(fields) {
		m, err := New(c, items, 2)
		if err != nil {
			t.Fatal(err)
		}
		untrained := metric.AUC(logits(t, m, held), held.Labels)
		train(t, m, b, 30, 0.01)
		trained := metric.AUC(logits(t, m, held), held.Labels)
		for _, e := range []metric.Estimate{untrained, trained} {
			if math.Abs(e.Value-0.5) > 0.02 { // the interval is half as wide
				t.Errorf("%s: AUC %+v", name, e)
			}
		}
	}
}

func TestRegularisationIsLambdaOverTheCountOfUsedRows(t *testing.T) {
	fields, items, b := sample(4, 9, 6)
	c := kinds(fields)["default"]
	plain, c2 := fresh(t, c, items), c
	c2.Lambda = 0.5
	m := fresh(t, c2, items)
	if err := m.Count(b); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*Model{plain, m} {
		if _, err := x.Gradient(new(nn.Tape), b); err != nil {
			t.Fatal(err)
		}
		x.Regularise()
	}
	uses := make([]float64, 12) // by item: samples, counting repeats within one
	for r := range b.Requests() {
		for i := b.Offers[r]; i < b.Offers[r+1]; i++ {
			uses[b.Items[i]]++
			for _, j := range b.Past[b.Starts[r]:b.Starts[r+1]] {
				uses[j]++
			}
		}
	}
	p, q := m.tables[0], plain.tables[0]
	if len(p.Touched()) == 0 {
		t.Fatal("no row was used")
	}
	for i, id := range p.Touched() {
		for j, w := range p.Value.Row(int(id)) {
			want := float64(q.Grad.Row(i)[j]) + 0.5/uses[id]*float64(w)
			if got := float64(p.Grad.Row(i)[j]); math.Abs(got-want) > 1e-5 {
				t.Fatalf("row %d: %v, want %v", id, got, want)
			}
		}
	}
	if !slices.Equal(m.head.layers[0].linear.Weight.Grad.Data, plain.head.layers[0].linear.Weight.Grad.Data) {
		t.Error("a weight of the head was regularised")
	}
}

func TestEqualSeedsTrainToEqualBits(t *testing.T) {
	fields, items, b := sample(1, 9, 6)
	for name, c := range kinds(fields) {
		c.Head.Dropout = 0.2
		var all [2][]float32
		for i := range all {
			m, err := New(c, items, 9)
			if err != nil {
				t.Fatal(err)
			}
			train(t, m, b, 20, 0.01)
			for _, p := range m.Params() {
				all[i] = append(all[i], p.Value.Data...)
			}
		}
		if !slices.Equal(all[0], all[1]) {
			t.Errorf("%s: two runs differ", name)
		}
	}
}

func TestPartsOfABatchTrainAsTheWhole(t *testing.T) {
	fields, items, b := sample(5, 9, 6)
	m := fresh(t, kinds(fields)["plain"], items) // without statistics of a batch
	replicas := []*Model{m.Replica(), m.Replica()}
	if _, err := m.Gradient(new(nn.Tape), b); err != nil {
		t.Fatal(err)
	}
	var whole, sum [][]float64
	for _, p := range m.Params() {
		whole, sum = append(whole, gradient(p)), append(sum, make([]float64, len(p.Value.Data)))
	}
	for i, r := range replicas {
		part, share := b.Part(i, 2)
		if _, err := r.Gradient(new(nn.Tape), part); err != nil {
			t.Fatal(err)
		}
		for k, p := range r.Params() {
			for j, g := range gradient(p) {
				sum[k][j] += g * float64(share)
			}
		}
	}
	for k, p := range m.Params() {
		nntest.Near(t, p.Name, sum[k], whole[k], 1e-5)
	}
}

// BenchmarkStep is a step of the model of MovieLens: 128 requests of two items and
// a history of fifty.
func BenchmarkStep(b *testing.B) {
	c := Config{
		Item: []Field{{Name: "item", Rows: 1682, Dim: 32}}, Pooling: "attention", Softmax: true, Scaled: true, Product: true, Bias: true,
		Unit: Layers{Hidden: []int{32, 16}, Activation: "sigmoid"}, Head: Layers{Hidden: []int{64, 32}, Activation: "prelu"},
		Spread: 0.05, Lambda: 0.01,
	}
	items, err := NewItems(1682, c.Item, []Column{{}})
	if err != nil {
		b.Fatal(err)
	}
	m, err := New(c, items, 1)
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var batch Batch
	batch.Reset()
	past := make([]uint32, 50)
	for range 128 {
		for i := range past {
			past[i] = rng.Uint32N(1682)
		}
		batch.Add(nil, past, []uint32{rng.Uint32N(1682), rng.Uint32N(1682)}, []float32{1, 0})
	}
	var tape nn.Tape
	params := m.Params()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Gradient(&tape, &batch); err != nil {
			b.Fatal(err)
		}
		m.Regularise()
		nn.Adam{}.Step(params, 1e-3)
	}
}
