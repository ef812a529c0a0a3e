package bottleneck

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/eiderdb/eider/simd"
)

// Method is how keys are made of vectors without labels.
type Method string

const (
	EMA    Method = "ema"    // moving averages of what falls on each key, as the paper does
	KMeans Method = "kmeans" // Lloyd's iterations from vectors drawn at random
)

// Start says how keys are made. The zero value of a field is its default.
type Start struct {
	Method Method `json:"method,omitempty"` // default EMA
	Epochs int    `json:"epochs,omitempty"` // passes over the vectors; default 10
	Batch  int    `json:"batch,omitempty"`  // EMA: vectors of a step; default 256
	Keep   bool   `json:"keep,omitempty"`   // EMA: do not put keys that nothing falls on where a vector is
}

// Constants of the moving averages, those of the authors' code.
const (
	decay = 0.95
	small = 1e-5
	dead  = 0.1 // of the vectors that a key would get if all got as many
)

// Init makes the keys of rows, vectors one after the other in any order; they should
// cover what will come, whatever its classes. All that was learned is lost. Epochs times
// the cost of Encode. Errors: ErrConfig, ErrInput; ctx's, which leaves keys half made.
func (m *Model) Init(ctx context.Context, rows []float32, s Start) error {
	if s.Method == "" {
		s.Method = EMA
	}
	if s.Epochs == 0 {
		s.Epochs = 10
	}
	if s.Batch == 0 {
		s.Batch = 256
	}
	n := len(rows) / m.Dim
	switch {
	case s.Method != EMA && s.Method != KMeans:
		return fmt.Errorf("%w: keys are made by %q or %q, not by %.40q", ErrConfig, EMA, KMeans, s.Method)
	case s.Epochs < 0 || s.Batch < 0 || s.Batch > 1<<16:
		return fmt.Errorf("%w: %d epochs of batches of %d", ErrConfig, s.Epochs, s.Batch)
	case n == 0:
		return fmt.Errorf("%w: no vector to make keys of", ErrInput)
	}
	k := &keymaker{m: m, rng: rand.New(rand.NewPCG(m.Seed, 0x6b657973)), rows: rows, n: n,
		sums: make([]float32, len(m.keys)), counts: make([]float32, m.Heads*m.Keys)}
	k.order = make([]int, n)
	for i := range k.order {
		k.order[i] = i
	}
	var err error
	if s.Method == KMeans {
		err = k.lloyd(ctx, s.Epochs)
	} else {
		err = k.average(ctx, s)
	}
	clear(m.used)
	clear(m.values)
	clear(m.unseen)
	m.freeze()
	return err
}

// keymaker is the state of Init.
type keymaker struct {
	m      *Model
	rng    *rand.Rand
	rows   []float32
	n      int
	order  []int // of rows, shuffled
	batch  []float32
	ids    []uint16
	heads  []float32 // of the batch, C × batch × KeyDim
	sums   []float32 // C × K × KeyDim: of what fell on each key
	counts []float32
}

// assign finds the nearest keys of the rows order[from:to], and adds their heads to the
// sums of those. Keys are read as place left them.
func (k *keymaker) assign(order []int) error {
	m := k.m
	k.batch = k.batch[:0]
	for _, i := range order {
		k.batch = append(k.batch, k.rows[i*m.Dim:][:m.Dim]...)
	}
	b := len(order)
	if need := b * m.Heads * m.Top; cap(k.ids) < need {
		k.ids = make([]uint16, need)
		k.heads = make([]float32, b*m.Heads*m.KeyDim)
	}
	if err := m.Encode(k.ids[:b*m.Heads*m.Top], k.batch); err != nil {
		return err
	}
	s := m.borrow()
	defer m.scratch.Put(s)
	for at := 0; at < b; at += block {
		n := min(block, b-at)
		heads, stride := m.split(k.batch[at*m.Dim:][:n*m.Dim], n, s)
		for i := range n {
			for c := range m.Heads {
				h := heads[i*stride+c*m.KeyDim:][:m.KeyDim]
				copy(k.heads[(c*b+at+i)*m.KeyDim:], h)
				pair := c*m.Keys + int(k.ids[((at+i)*m.Heads+c)*m.Top])
				simd.Add(k.sums[pair*m.KeyDim:][:m.KeyDim], h)
				k.counts[pair]++
			}
		}
	}
	return nil
}

// average makes keys by exponential moving averages:
//
//	size ← decay·size + (1-decay)·count    mean ← decay·mean + (1-decay)·sum
//	key = mean / smoothed size             size < dead·batch/K: key = a vector of the batch
//
// A key put where a vector is keeps mean and size, and is put again until enough falls
// on it.
func (k *keymaker) average(ctx context.Context, s Start) error {
	m := k.m
	m.freeze()
	mean := append([]float32(nil), m.keys...)
	size := make([]float32, len(k.counts))
	for range s.Epochs {
		k.rng.Shuffle(k.n, func(i, j int) { k.order[i], k.order[j] = k.order[j], k.order[i] })
		for at := 0; at < k.n; at += s.Batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			b := min(s.Batch, k.n-at)
			clear(k.sums)
			clear(k.counts)
			if err := k.assign(k.order[at : at+b]); err != nil {
				return err
			}
			for c := range m.Heads {
				k.move(c, b, mean, size, s.Keep)
			}
		}
	}
	return nil
}

// move moves the keys of one head.
func (k *keymaker) move(c, b int, mean, size []float32, keep bool) {
	m := k.m
	lo := c * m.Keys
	total := 0.0
	for pair := lo; pair < lo+m.Keys; pair++ {
		size[pair] = decay*size[pair] + (1-decay)*k.counts[pair]
		total += float64(size[pair])
	}
	least := float32(dead * float64(b) / float64(m.Keys))
	for pair := lo; pair < lo+m.Keys; pair++ {
		at := pair * m.KeyDim
		smooth := float32((float64(size[pair]) + small) / (total + float64(m.Keys)*small) * total)
		for j := at; j < at+m.KeyDim; j++ {
			mean[j] = decay*mean[j] + (1-decay)*k.sums[j]
			m.keys[j] = mean[j] / smooth
		}
		if !keep && size[pair] < least {
			copy(m.keys[at:at+m.KeyDim], k.heads[(c*b+k.rng.IntN(b))*m.KeyDim:])
		}
	}
	m.place(c)
}

// lloyd makes keys the means of what is nearest to them. A key that nothing is nearest to
// goes to where a vector is.
func (k *keymaker) lloyd(ctx context.Context, epochs int) error {
	const batch = 256
	m := k.m
	m.freeze()
	draw := func(pair int) error {
		i := k.rng.IntN(k.n)
		s := m.borrow()
		defer m.scratch.Put(s)
		heads, _ := m.split(k.rows[i*m.Dim:][:m.Dim], 1, s)
		copy(m.keys[pair*m.KeyDim:][:m.KeyDim], heads[pair/m.Keys*m.KeyDim:])
		return ctx.Err()
	}
	for pair := range k.counts {
		if err := draw(pair); err != nil {
			return err
		}
	}
	m.freeze()
	for range epochs {
		clear(k.sums)
		clear(k.counts)
		for at := 0; at < k.n; at += batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := k.assign(k.order[at:min(at+batch, k.n)]); err != nil {
				return err
			}
		}
		for pair, n := range k.counts {
			if n == 0 {
				if err := draw(pair); err != nil {
					return err
				}
				continue
			}
			for j := pair * m.KeyDim; j < (pair+1)*m.KeyDim; j++ {
				m.keys[j] = k.sums[j] / n
			}
		}
		m.freeze()
	}
	return nil
}
