package din

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
)

// Model is a network that trains. It belongs to one goroutine; a Scorer made of it
// serves many. Shapes below: n items offered, N items in all histories, R requests,
// d = Config.Dim.
type Model struct {
	config Config
	items  *Items

	tables []*nn.Param // of Config.Item, then of Config.User, rows x dim
	bias   *nn.Param   // rows x 1, or nil
	unit   *network    // 4d -> 1, nil for mean pooling
	normed *nn.Norm    // of v_U, or nil
	linear *nn.Linear  // d -> d, or nil
	head   *network    // user, v_A, v_U, v_U⊙v_A -> 1

	counts [][]float64 // of tables: n_j by row
	pairs  nn.Segments // of the step: pairs of each item offered
	ids    []uint32    // of the step: ids looked up
	starts []int32
	first  first
	pool   pool
	parts  []*nn.Var
}

// Replica returns a model that shares m's weights and has gradients and running
// statistics of its own, for a second goroutine that works on part of a batch.
func (m *Model) Replica() *Model {
	r := &Model{config: m.config, items: m.items, counts: m.counts}
	for _, p := range m.tables {
		r.tables = append(r.tables, p.Replica())
	}
	if m.bias != nil {
		r.bias = m.bias.Replica()
	}
	if m.unit != nil {
		r.unit = m.unit.replica()
	}
	if m.linear != nil {
		r.normed, r.linear = replica(m.normed), &nn.Linear{Weight: m.linear.Weight.Replica(), Bias: m.linear.Bias.Replica()}
	}
	r.head = m.head.replica()
	return r
}

// New returns a model with weights drawn from seed. Errors: ErrConfig, and ErrBatch
// if items has other fields than c.
func New(c Config, items *Items, seed uint64) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if _, err := NewItems(items.count, c.Item, items.columns); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0x64696e))
	m := &Model{config: c, items: items}
	for _, f := range slices.Concat(c.Item, c.User) {
		m.tables = append(m.tables, nn.NewTable(tableName(f.Name), f.Rows, f.Dim).Normal(rng, c.Spread))
	}
	if c.Bias {
		m.bias = nn.NewTable(biasName, c.Item[0].Rows, 1)
	}
	if c.Pooling == "attention" {
		m.unit = newNetwork("attention_layers.0.attention_layer.mlp", 4*c.Dim(), c.Unit, rng)
	}
	if c.Project {
		m.normed, m.linear = nn.NewBatchNorm("hist_norm", c.Dim()), nn.NewLinear("hist_fcn", c.Dim(), c.Dim(), rng)
	}
	m.head = newNetwork("dnn.mlp", c.inputs(), c.Head, rng)
	return m, nil
}

const biasName = "item_bias.weight"

func tableName(field string) string { return "embedding_layer.embedding_layers." + field + ".weight" }

// Config returns the model's configuration.
func (m *Model) Config() Config { return m.config }

// logits computes the logit of each item offered, n x 1.
func (m *Model) logits(t *nn.Tape, b *Batch) *nn.Var {
	m.ids, m.starts, m.parts = m.ids[:0], m.starts[:0], m.parts[:0]
	q := m.embed(t, b.Items)         // n x d: v_A
	k := m.embed(t, b.Past)          // N x d: e_1..e_T of each request
	pooled := m.interest(t, q, k, b) // n x d: v_U(A)
	if m.linear != nil {
		pooled = m.linear.Forward(t, m.normed.Forward(t, pooled, nil))
	}
	for i, table := range m.tables[len(m.config.Item):] {
		m.parts = append(m.parts, t.Expand(t.Embed(table, b.User[i]), b.Offers)) // R x dim -> n x dim
	}
	m.parts = append(m.parts, q, pooled)
	if m.config.Product {
		m.parts = append(m.parts, t.Mul(pooled, q))
	}
	z := m.head.forward(t, t.Concat(m.parts...)) // n x inputs -> n x 1
	if m.bias != nil {
		ids, _ := m.column(0, b.Items)
		z = t.Add(z, t.Embed(m.bias, ids))
	}
	return z
}

// interest is v_U(A), n x d: equation (3), or the mean of the history.
func (m *Model) interest(t *nn.Tape, q, k *nn.Var, b *Batch) *nn.Var {
	if m.unit == nil {
		return t.Expand(t.SegmentMean(k, b.Starts, nil), b.Offers)
	}
	m.pairs = b.pairs(m.pairs)
	pairs := int(m.pairs[len(b.Items)])
	l := m.unit.layers[0].linear
	a := m.unit.after(t, m.first.forward(t, q, k, t.Param(l.Weight), t.Param(l.Bias), b, pairs)) // pairs x 1
	if m.config.Scaled {
		a = t.Scale(a, float32(1/math.Sqrt(float64(m.config.Dim()))))
	}
	if m.config.Softmax {
		a = t.SegmentSoftmax(a, m.pairs, nil)
	}
	return m.pool.forward(t, a, k, b)
}

// embed is the vectors of items, the concatenation of their fields: rows x d.
func (m *Model) embed(t *nn.Tape, items []uint32) *nn.Var {
	first := len(m.parts)
	for i, table := range m.tables[:len(m.config.Item)] {
		ids, start := m.column(i, items)
		if start != nil {
			m.parts = append(m.parts, t.EmbedBag(table, ids, start, true))
		} else {
			m.parts = append(m.parts, t.Embed(table, ids))
		}
	}
	fields := m.parts[first:]
	m.parts = m.parts[:first]
	if len(fields) == 1 {
		return fields[0]
	}
	return t.Concat(fields...)
}

// column lists the ids of items in a field, in memory that is the step's.
func (m *Model) column(field int, items []uint32) (ids []uint32, start []int32) {
	n, s := len(m.ids), len(m.starts)
	m.ids, m.starts = m.items.ids(field, items, m.ids, m.starts)
	ids = m.ids[n:len(m.ids):len(m.ids)]
	if len(m.starts) > s {
		start = m.starts[s:len(m.starts):len(m.starts)]
	}
	return ids, start
}

// Params lists everything that training moves.
func (m *Model) Params() []*nn.Param {
	all := slices.Clone(m.tables)
	if m.bias != nil {
		all = append(all, m.bias)
	}
	for _, net := range m.networks() {
		all = append(all, net.params()...)
	}
	if m.linear != nil {
		all = append(append(all, m.normed.Params()...), m.linear.Params()...)
	}
	return all
}

func (m *Model) networks() []*network {
	if m.unit == nil {
		return []*network{m.head}
	}
	return []*network{m.unit, m.head}
}

// Stats calls f for the running statistics of each norm and Dice, which are part
// of the model's state.
func (m *Model) Stats(f func(name string, s *nn.Stats)) {
	for _, net := range m.networks() {
		net.stats(f)
	}
	if m.normed != nil {
		f("hist_norm", m.normed.Stats)
	}
}

// Gradient adds the gradient of the mean log loss over b to the parameters and
// returns the loss. Regularise adds what is not in it. Error: ErrBatch.
func (m *Model) Gradient(t *nn.Tape, b *Batch) (float64, error) {
	if err := m.check(b, true); err != nil {
		return 0, err
	}
	if len(b.Items) == 0 {
		return 0, fmt.Errorf("%w: no items", ErrBatch)
	}
	t.Reset()
	t.Train, t.NoGrad = true, false
	loss := t.BCE(m.logits(t, b), b.Labels, nil)
	t.Backward(loss)
	return float64(loss.Data[0]), nil
}

// Logits writes the logit of each item of b to out, as a Scorer would give it, by
// the operations of training: the reference to compare with. Error: ErrBatch.
func (m *Model) Logits(t *nn.Tape, b *Batch, out []float32) error {
	if err := m.check(b, false); err != nil {
		return err
	}
	if len(out) != len(b.Items) {
		return fmt.Errorf("%w: room for %d logits of %d items", ErrBatch, len(out), len(b.Items))
	}
	t.Reset()
	t.Train, t.NoGrad = false, true
	copy(out, m.logits(t, b).Data)
	return nil
}
