package bottleneck

import (
	"math"
	"math/rand/v2"
	"sync"

	"github.com/eiderdb/eider/simd"
)

// Model is heads, keys and values.
type Model struct {
	Config

	// Frozen by Init.
	project []float32 // C × dim × KeyDim, none for chunks
	mix     []float32 // the same as one matrix, dim × C·KeyDim
	keys    []float32 // C × K × KeyDim
	columns []float32 // the same, C × KeyDim × K, which is what a search reads
	minus   []float32 // C × K: -½‖key‖²

	// What learns.
	masked []float32 // minus where the pair is used, else -Inf
	used   []uint32  // C × K: how many learned rows came by
	values []float32 // C × K × stride
	unseen []float32 // C × K: the value of a class not seen yet, if open
	stride int
	names  []string // of classes; "" for one that is unlearned
	slots  map[string]int
	alive  int // classes with a name

	scratch sync.Pool // of *scratch
}

// New makes a model whose keys are not made yet: Init does that. Defaults are put in
// place. Error: ErrConfig.
func New(c Config) (*Model, error) {
	c = c.Default()
	if err := c.Check(); err != nil {
		return nil, err
	}
	m := shell(c)
	rng := rand.New(rand.NewPCG(c.Seed, 0x70726f6a))
	for h := range len(m.project) / max(1, c.Dim*c.KeyDim) {
		p := m.project[h*c.Dim*c.KeyDim:][:c.Dim*c.KeyDim]
		for i := range p {
			p[i] = float32(rng.NormFloat64())
		}
		for j := range c.KeyDim {
			sum := 0.0
			for i := j; i < len(p); i += c.KeyDim {
				sum += float64(p[i]) * float64(p[i])
			}
			for i := j; i < len(p); i += c.KeyDim {
				p[i] = float32(float64(p[i]) / math.Sqrt(sum))
			}
		}
	}
	for i := range m.keys {
		m.keys[i] = float32(rng.NormFloat64())
	}
	m.freeze()
	return m, nil
}

// shell is a model of zeros.
func shell(c Config) *Model {
	pairs := c.Heads * c.Keys
	m := &Model{
		Config: c,
		keys:   make([]float32, pairs*c.KeyDim),
		minus:  make([]float32, pairs),
		masked: make([]float32, pairs),
		used:   make([]uint32, pairs),
		stride: c.width(),
		names:  append([]string(nil), c.Classes...),
		slots:  map[string]int{},
		alive:  len(c.Classes),
	}
	m.values = make([]float32, pairs*m.stride)
	for i, name := range m.names {
		m.slots[name] = i
	}
	if c.open() {
		m.unseen = make([]float32, pairs)
	}
	if c.Split == Project {
		m.project = make([]float32, c.Heads*c.Dim*c.KeyDim)
	}
	return m
}

// freeze derives what searches read from projections, keys and uses.
func (m *Model) freeze() {
	if m.Split == Project {
		m.mix = make([]float32, len(m.project))
		for h := range m.Heads {
			for i := range m.Dim {
				copy(m.mix[(i*m.Heads+h)*m.KeyDim:][:m.KeyDim], m.project[(h*m.Dim+i)*m.KeyDim:])
			}
		}
	}
	m.columns = make([]float32, len(m.keys))
	for h := range m.Heads {
		m.place(h)
	}
	for pair, n := range m.used {
		m.masked[pair] = 2 * masked
		if n > 0 {
			m.masked[pair] = m.minus[pair]
		}
	}
}

// place derives columns and minus of one head from its keys.
func (m *Model) place(h int) {
	keys, columns := m.keys[h*m.Keys*m.KeyDim:], m.columns[h*m.Keys*m.KeyDim:]
	for k := range m.Keys {
		key := keys[k*m.KeyDim:][:m.KeyDim]
		for j, x := range key {
			columns[j*m.Keys+k] = x
		}
		m.minus[h*m.Keys+k] = -simd.Dot(key, key) / 2
	}
}

// Classes lists the classes that are learned or were named beforehand, in order of
// their columns. It is the caller's.
func (m *Model) ClassNames() []string {
	all := make([]string, 0, m.alive)
	for _, name := range m.names {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// Width is the number of columns of a value: targets, or classes, the unlearned
// included.
func (m *Model) Width() int { return max(m.Targets, len(m.names)) }

// Used is how many of the Heads·Keys pairs learned rows came by.
func (m *Model) Used() (n int) {
	for _, u := range m.used {
		if u > 0 {
			n++
		}
	}
	return n
}

// row is the value of a pair.
func (m *Model) row(pair int) []float32 { return m.values[pair*m.stride:][:m.Width()] }

// grow appends a class, whose values are those of a class not seen yet, and returns its
// column.
func (m *Model) grow(name string) int {
	w := m.Width()
	if w == m.stride {
		stride := max(4, 2*m.stride)
		values := make([]float32, m.Heads*m.Keys*stride)
		for pair := range m.Heads * m.Keys {
			copy(values[pair*stride:], m.row(pair))
		}
		m.values, m.stride = values, stride
	}
	for pair, x := range m.unseen {
		m.values[pair*m.stride+w] = x
	}
	m.names = append(m.names, name)
	m.slots[name] = w
	m.alive++
	return w
}
