package tabm

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/tabular"
)

// Model is a network. Training it belongs to one goroutine; Predict is safe for many,
// while nobody trains.
type Model struct {
	// Threads compute products of matrices, 1 if it is less. Results do not depend on it.
	Threads int

	config Config
	inputs Inputs
	embed  *embedding // nil: numbers go in as they are
	blocks []*layer
	head   *grouped

	labels []float32 // of the step, for each member
	ids    []uint32
	tapes  sync.Pool
}

// New returns a model with weights drawn from seed, for data of the shape of d, the
// training rows, whose quantiles are the edges of bins. Errors: ErrConfig, ErrData.
func New(c Config, d *tabular.Data, seed uint64) (*Model, error) {
	in := inputsOf(d)
	if err := c.Check(); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := in.fits(d, false); err != nil {
		return nil, err
	}
	return build(c, in, d, seed)
}

// build makes a model of a checked configuration. d may be nil.
func build(c Config, in Inputs, d *tabular.Data, seed uint64) (*Model, error) {
	if n := c.numbers(in); n > maxNumbers {
		return nil, fmt.Errorf("%w: %d parameters, at most %d", ErrConfig, n, maxNumbers)
	}
	rng := rand.New(rand.NewPCG(seed, 0x7461626d))
	m := &Model{config: c, inputs: in}
	m.tapes.New = func() any { return new(nn.Tape) }
	if c.Embedding != None && in.Numbers > 0 {
		m.embed = newEmbedding(c, in.Numbers, d, rng)
	}
	width := c.inputs(in)
	for i := range c.Blocks {
		m.blocks = append(m.blocks, newLayer(fmt.Sprintf("backbone.blocks.%d.0", i), c.Members, width, c.Width, rng))
		width = c.Width
	}
	m.blocks[0].scatter(c.chunks(in), m.embed != nil, rng)
	m.head = newGrouped("output", c.Members, c.Width, in.outputs(), true, rng)
	return m, nil
}

// chunks are the parts of the first layer's input: one for each column of the table.
func (c Config) chunks(in Inputs) []int {
	var all []int
	for range in.Numbers {
		if c.Embedding == None {
			all = append(all, 1)
		} else {
			all = append(all, c.Dim)
		}
	}
	for range in.Flags {
		all = append(all, 1)
	}
	return append(all, in.Categories...)
}

func (c Config) inputs(in Inputs) (width int) {
	for _, n := range c.chunks(in) {
		width += n
	}
	return width
}

// numbers counts the parameters.
func (c Config) numbers(in Inputs) int {
	width, n, k := c.inputs(in), 0, c.Members
	switch c.Embedding {
	case Piecewise:
		n = in.Numbers * c.Dim * (2 + c.Bins)
	case Periodic:
		n = in.Numbers * (c.Frequencies + c.Dim*(2*c.Frequencies+1))
	}
	for range c.Blocks {
		n += c.Width*width + k*width + 2*k*c.Width
		width = c.Width
	}
	return n + k*(c.Width+1)*in.outputs()
}

// Config returns the model's configuration, Inputs what it reads.
func (m *Model) Config() Config { return m.config }

// Inputs returns what the model reads.
func (m *Model) Inputs() Inputs { return m.inputs }

// Params lists everything that training moves.
func (m *Model) Params() []*nn.Param {
	var all []*nn.Param
	if m.embed != nil {
		all = m.embed.params()
	}
	for _, b := range m.blocks {
		all = append(all, b.params()...)
	}
	return append(all, m.head.params()...)
}

// Stats implements train.Model: there are none.
func (m *Model) Stats(func(name string, s *nn.Stats)) {}

// Regularise implements train.Model: decay is the optimiser's.
func (m *Model) Regularise() {}

// batch is rows of Data.
type batch struct {
	data *tabular.Data
	rows []int
}

// outputs is what the heads say, before it becomes a prediction: rows x k·outputs.
func (m *Model) outputs(t *nn.Tape, b batch) *nn.Var {
	d, n := b.data, len(b.rows)
	numbers, rest := t.Matrix(n, d.NumWidth), t.Matrix(n, m.config.inputs(m.inputs)-m.embedded())
	clear(rest.Data)
	for i, row := range b.rows {
		x, at := d.Num[row*d.NumWidth:(row+1)*d.NumWidth], rest.Row(i)
		if m.embed == nil {
			at = at[copy(at, x):]
		} else {
			copy(numbers.Row(i), x)
		}
		at = at[copy(at, d.Bin[row*d.BinWidth:(row+1)*d.BinWidth]):]
		for j, size := range d.CatSizes {
			if code := int(d.Cat[row*len(d.CatSizes)+j]); code < size {
				at[code] = 1
			}
			at = at[size:]
		}
	}
	x := t.Input(rest)
	if m.embed != nil {
		x = m.embed.forward(t, t.Input(numbers))
		if rest.Cols > 0 {
			x = t.Concat(x, t.Input(rest))
		}
	}
	for _, l := range m.blocks {
		x = t.ReLUDropout(l.forward(t, x, max(1, m.Threads)), m.config.Dropout)
	}
	return m.head.forward(t, x)
}

// embedded is how many columns of the first layer's input are embedded numbers.
func (m *Model) embedded() int {
	if m.embed == nil {
		return 0
	}
	return m.inputs.Numbers * m.config.Dim
}

// Gradient implements train.Model: the loss is the mean over rows and members, of
// squared differences of standardised targets, or of log losses.
func (m *Model) Gradient(t *nn.Tape, b batch) (float64, error) {
	t.Reset()
	t.Train, t.NoGrad = true, false
	k, out := m.config.Members, m.inputs.outputs()
	y := t.Reshape(m.outputs(t, b), len(b.rows)*k, out)
	m.labels, m.ids = m.labels[:0], m.ids[:0]
	for _, row := range b.rows {
		for range k {
			m.labels = append(m.labels, b.data.Y[row])
			m.ids = append(m.ids, uint32(max(b.data.Y[row], 0)))
		}
	}
	var loss *nn.Var
	switch m.inputs.Kind {
	case tabular.Regression:
		loss = t.MSE(y, m.labels)
	case tabular.Binary:
		loss = t.BCE(y, m.labels, nil)
	default:
		loss = t.CE(y, m.ids, 0)
	}
	t.Backward(loss)
	return float64(loss.Data[0]), nil
}

// Predict writes the prediction of each row of d to out, d.Rows x d.Width. Errors:
// ErrData; the context's. O(rows·members·(inputs·width + blocks·width²)).
func (m *Model) Predict(ctx context.Context, d *tabular.Data, out []float32) error {
	if err := m.inputs.fits(d, false); err != nil {
		return err
	}
	if len(out) != d.Rows*d.Width() {
		return fmt.Errorf("%w: room for %d numbers of %d rows", ErrData, len(out), d.Rows)
	}
	t := m.tapes.Get().(*nn.Tape)
	defer m.tapes.Put(t)
	const most = 64 // rows at a time: of 32 members, two thousand rows of a product
	rows := make([]int, 0, most)
	for at := 0; at < d.Rows; at += most {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		rows = rows[:0]
		for i := at; i < min(at+most, d.Rows); i++ {
			rows = append(rows, i)
		}
		t.Reset()
		t.Train, t.NoGrad = false, true
		y := m.outputs(t, batch{d, rows})
		w := d.Width()
		m.join(y, out[at*w:(at+len(rows))*w])
	}
	return nil
}

// join makes predictions of what the heads of all members say.
func (m *Model) join(y *nn.Var, out []float32) {
	k, w := m.config.Members, m.inputs.outputs()
	row := make([]float32, w)
	for i := range y.Rows {
		sum := make([]float64, w)
		for j := range k {
			copy(row, y.Row(i)[j*w:(j+1)*w])
			switch m.inputs.Kind {
			case tabular.Binary:
				row[0] = float32(1 / (1 + math.Exp(-float64(row[0]))))
			case tabular.Multiclass:
				simd.Softmax(row, row)
			}
			for c, v := range row {
				sum[c] += float64(v)
			}
		}
		for c, v := range sum {
			v /= float64(k)
			if m.inputs.Kind == tabular.Regression {
				v = v*m.inputs.Std + m.inputs.Mean
			}
			out[i*w+c] = float32(v)
		}
	}
}
