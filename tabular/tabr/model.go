package tabr

import (
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/tabular"
)

// Model is the weights of a TabR, under the names of the authors' code.
type Model struct {
	c Config

	freq, embedW, embedB *nn.Param // of the embedding; nil without
	in, key, hidden      *nn.Linear
	mixed                *nn.Param // W_T2, without a bias
	labelW, labelB       *nn.Param // regression: Dim each
	table                *nn.Param // classification: classes x Dim
	encoders, predictors []block
	keyNorm, headNorm    *nn.Norm // keyNorm nil without encoder blocks
	head                 *nn.Linear
	params               []*nn.Param
}

// block is x + W_2 drop(relu(W_1 norm(x) + b_1)) + b_2.
type block struct {
	norm   *nn.Norm // nil in the first encoder block
	w1, w2 *nn.Linear
}

// New returns a model with PyTorch's first weights, a function of the seed. Errors:
// ErrConfig.
func New(c Config, seed uint64) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	m := &Model{c: c}
	b := builder{m: m, rng: rand.New(rand.NewPCG(seed, 0x7ab2))}
	d, h := c.Dim, c.hidden()
	switch c.Embedding {
	case Periodic:
		m.freq = b.param("num_embeddings.0.frequencies", c.Num, c.Frequencies).Normal(b.rng, float32(c.Sigma))
		l := b.linear("num_embeddings.1", 2*c.Frequencies, c.EmbedDim)
		m.embedW, m.embedB = l.Weight, l.Bias
	case Linear:
		limit := root(c.EmbedDim)
		m.embedW = b.param("num_embeddings.0.weight", c.Num, c.EmbedDim).Uniform(b.rng, limit)
		m.embedB = b.param("num_embeddings.0.bias", c.Num, c.EmbedDim).Uniform(b.rng, limit)
	}
	m.in = b.linear("linear", c.inputs(), d)
	for i := range c.Encoders {
		m.encoders = append(m.encoders, b.block("blocks0."+strconv.Itoa(i), i > 0))
	}
	if c.Encoders > 0 {
		m.keyNorm = b.norm("normalization")
	}
	if c.Kind == tabular.Regression {
		limit := root(2)
		m.labelW = b.param("label_encoder.weight", 1, d).Uniform(b.rng, limit)
		m.labelB = b.param("label_encoder.bias", 1, d).Uniform(b.rng, limit)
	} else {
		m.table = b.param("label_encoder.0.weight", c.labels(), d).Uniform(b.rng, 1)
	}
	m.key = b.linear("K", d, d)
	m.hidden = b.linear("T.0", d, h)
	m.mixed = b.param("T.3.weight", d, h).Uniform(b.rng, root(h))
	for i := range c.Predictors {
		m.predictors = append(m.predictors, b.block("blocks1."+strconv.Itoa(i), true))
	}
	m.headNorm = b.norm("head.0")
	m.head = b.linear("head.2", d, c.out())
	return m, nil
}

// Config is the shape of m.
func (m *Model) Config() Config { return m.c }

func root(n int) float32 { return float32(1 / math.Sqrt(float64(n))) }

type builder struct {
	m   *Model
	rng *rand.Rand
}

func (b *builder) param(name string, rows, cols int) *nn.Param {
	p := nn.NewParam(name, rows, cols)
	b.m.params = append(b.m.params, p)
	return p
}

func (b *builder) linear(name string, in, out int) *nn.Linear {
	return &nn.Linear{
		Weight: b.param(name+".weight", out, in).Uniform(b.rng, root(in)),
		Bias:   b.param(name+".bias", 1, out).Uniform(b.rng, root(in)),
	}
}

func (b *builder) norm(name string) *nn.Norm {
	n := nn.NewLayerNorm(name, b.m.c.Dim)
	b.m.params = append(b.m.params, n.Params()...)
	return n
}

// block has its norm as module 0, if there is one, a linear layer, an activation and a
// dropout before the second linear layer.
func (b *builder) block(name string, normed bool) block {
	first, second := "0", "3"
	var l block
	if normed {
		l.norm, first, second = b.norm(name+".0"), "1", "4"
	}
	l.w1 = b.linear(name+"."+first, b.m.c.Dim, b.m.c.hidden())
	l.w2 = b.linear(name+"."+second, b.m.c.hidden(), b.m.c.Dim)
	return l
}
