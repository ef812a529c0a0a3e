package tabr

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
	"github.com/eiderdb/eider/tabular"
)

// Predictor answers for a Frozen model from candidates that come and go. All methods may
// be called from many goroutines.
type Predictor struct {
	f     *Frozen
	pool  sync.Pool // of *work
	yield func()    // called for each group of rows, unless nil

	mu    sync.RWMutex
	s     space // keys, by slot; names are ids
	side  []float32
	y     []float32
	slots map[uint32]uint32 // by id
}

// NewPredictor returns a predictor without candidates.
func NewPredictor(f *Frozen) *Predictor {
	p := &Predictor{f: f, s: space{dim: f.KeyDim()}, slots: map[uint32]uint32{}}
	p.pool.New = func() any { return new(work) }
	return p
}

// Model is what the predictor serves.
func (p *Predictor) Model() *Frozen { return p.f }

// Len is the number of candidates.
func (p *Predictor) Len() int {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.s.n
}

// Add makes rows with known labels candidates, under ids of the caller; a row whose id
// is taken replaces the one that has it. The next prediction may use them: nothing is
// trained. d's labels are standardised as those of training were. Error: ErrData, and then nothing was added.
func (p *Predictor) Add(d *tabular.Data, ids []uint32) error {
	f := p.f
	if err := f.c.labelled(d); err != nil {
		return err
	}
	if len(ids) != d.Rows {
		return fmt.Errorf("%w: %d ids of %d rows", ErrData, len(ids), d.Rows)
	}
	w := p.pool.Get().(*work)
	defer p.pool.Put(w)
	for lo := 0; lo < d.Rows; lo += searchGroup {
		n := min(searchGroup, d.Rows-lo)
		f.read(w, d, lo, n)
		side, wide := w.a, f.side()
		if f.c.narrow() {
			side = w.x
		}
		p.mu.Lock()
		for i := range n {
			p.put(ids[lo+i], w.z[i*p.s.dim:][:p.s.dim], side[i*wide:][:wide], d.Y[lo+i])
		}
		p.mu.Unlock()
	}
	return nil
}

// read encodes rows lo to lo+n-1 of d.
func (f *Frozen) read(w *work, d *tabular.Data, lo, n int) {
	width := f.c.width()
	w.x = room(w.x, n*width)
	for i := range n {
		f.c.spread(w.x[i*width:][:width], d, lo+i)
	}
	f.encode(w, n)
}

func (p *Predictor) put(id uint32, z, side []float32, y float32) {
	if _, ok := p.slots[id]; ok {
		p.take(id)
	}
	p.slots[id] = uint32(p.s.n)
	p.s.insert(z)
	p.side, p.y, p.s.names = append(p.side, side...), append(p.y, y), append(p.s.names, id)
}

// Delete removes candidates; ids that are not there are passed over.
func (p *Predictor) Delete(ids ...uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.take(id)
	}
}

// take puts the last candidate in the slot of another.
func (p *Predictor) take(id uint32) {
	slot, ok := p.slots[id]
	if !ok {
		return
	}
	delete(p.slots, id)
	p.s.remove(int(slot))
	last, n := p.s.n, p.f.side()
	names := p.s.names
	if int(slot) != last {
		p.slots[names[last]] = slot
	}
	names[slot], p.y[slot] = names[last], p.y[last]
	copy(p.side[int(slot)*n:][:n], p.side[last*n:])
	p.s.names, p.y, p.side = names[:last], p.y[:last], p.side[:last*n]
}

// Keys appends the keys of rows, KeyDim numbers each, to dst: what an index over
// candidates holds, under squared Euclidean distance, and is asked with. Error: ErrData.
func (f *Frozen) Keys(d *tabular.Data, dst []float32) ([]float32, error) {
	if err := f.c.fits(d); err != nil {
		return dst, err
	}
	var w work
	for lo := 0; lo < d.Rows; lo += searchGroup {
		n := min(searchGroup, d.Rows-lo)
		f.read(&w, d, lo, n)
		dst = append(dst, w.z[:n*f.KeyDim()]...)
	}
	return dst, nil
}

// Neighbour is a candidate that a prediction used, and its share of it. Shares of a
// prediction add up to 1.
type Neighbour struct {
	ID     uint32
	Weight float32
}

// Query is what to predict.
type Query struct {
	Rows *tabular.Data
	// Self, unless nil, has for each row the id of a candidate that it may not use: its
	// own, when a candidate's label is to be predicted from the others.
	Self []uint32
	// Index, unless nil, finds candidates by their keys in place of the exact scan. Ids
	// that the predictor does not have are passed over.
	Index index.Searcher
	// Near, unless nil, is overwritten with the candidates used, Contexts for each row,
	// the one with the largest share first. Weight is 0 where there were fewer.
	Near []Neighbour
}

// Contexts is how many candidates a prediction uses at most.
func (f *Frozen) Contexts() int { return f.c.Context }

// Outputs is how many numbers a prediction has: 1, or the number of classes.
func (f *Frozen) Outputs() int { return f.c.out() }

// Predict writes Outputs numbers for each row to out: the target, the probability of
// class 1, or those of all classes. A prediction depends on its row and the candidates
// only; in what company it is asked changes it by no more than rounding. Once its
// buffers have grown it allocates nothing, save what an Index does. Errors: ErrData, also
// when there are no candidates; the context's, asked every 64 rows, and the Index's.
func (p *Predictor) Predict(ctx context.Context, q Query, out []float32) error {
	f, d := p.f, q.Rows
	if err := f.c.fits(d); err != nil {
		return err
	}
	if len(out) != d.Rows*f.c.out() || q.Self != nil && len(q.Self) != d.Rows || q.Near != nil && len(q.Near) != d.Rows*f.c.Context {
		return fmt.Errorf("%w: %d outputs, %d selves, %d neighbours of %d rows", ErrData, len(out), len(q.Self), len(q.Near), d.Rows)
	}
	w := p.pool.Get().(*work)
	defer p.pool.Put(w)
	p.mu.RLock()
	defer p.mu.RUnlock()
	for lo := 0; lo < d.Rows; lo += searchGroup {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.yield != nil {
			p.yield()
		}
		n := min(searchGroup, d.Rows-lo)
		f.read(w, d, lo, n)
		if err := p.mix(ctx, w, &q, lo, n); err != nil {
			return err
		}
		part := out[lo*f.c.out():][:n*f.c.out()]
		f.finish(w, n, part)
		f.scaleUp(part)
	}
	return nil
}

// mix makes w.mixed of n rows.
func (p *Predictor) mix(ctx context.Context, w *work, q *Query, lo, n int) error {
	c := &p.f.c
	k, all := min(c.Context, p.s.n), true // all rows have k
	w.self = room(w.self, n)
	for i := range w.self {
		w.self[i] = nobody
		if q.Self != nil {
			if slot, ok := p.slots[q.Self[lo+i]]; ok {
				w.self[i], all = slot, all && k < p.s.n
			}
		}
		if p.others(w.self[i]) < 1 {
			return fmt.Errorf("%w: no candidates", ErrData)
		}
	}
	wide := c.hidden() + c.labels()
	w.mixed = room(w.mixed, n*wide)
	clear(w.mixed)
	if w.ctx, w.dist = room(w.ctx, n*k), room(w.dist, n*k); q.Index == nil && all {
		if !w.search.nearest(&p.s, w.z, w.self, nil, k, w.ctx, w.dist) {
			return fmt.Errorf("%w: keys are not finite", ErrData)
		}
	}
	for i := range n {
		k := min(k, p.others(w.self[i]))
		ids, dist := w.ctx[i*k:][:k], w.dist[i*k:][:k]
		var err error
		switch {
		case q.Index != nil:
			ids, dist, err = p.ask(ctx, w, q.Index, i, ids, dist)
		case !all && !w.search.nearest(&p.s, w.z[i*p.s.dim:][:p.s.dim], w.self[i:i+1], nil, k, ids, dist):
			err = fmt.Errorf("%w: keys are not finite", ErrData)
		}
		if err != nil {
			return err
		}
		p.blend(w, i, ids, dist)
		if q.Near != nil {
			near := q.Near[(lo+i)*c.Context:][:c.Context]
			clear(near)
			for j, slot := range ids {
				near[j] = Neighbour{p.s.names[slot], w.p[j]}
			}
			order(near[:len(ids)])
		}
	}
	return nil
}

// others is how many candidates there are beside the one in slot self.
func (p *Predictor) others(self uint32) int {
	if self != nobody {
		return p.s.n - 1
	}
	return p.s.n
}

// ask finds the context of row i by an index.
func (p *Predictor) ask(ctx context.Context, w *work, x index.Searcher, i int, ids []uint32, dist []float32) ([]uint32, []float32, error) {
	z, k := w.z[i*p.s.dim:][:p.s.dim], len(ids)
	want := k
	if w.self[i] != nobody {
		want++
	}
	var err error
	if w.hits, _, err = x.Search(ctx, z, index.Params{K: want}, w.hits[:0]); err != nil {
		return nil, nil, err
	}
	n := 0
	for _, h := range w.hits {
		if slot, ok := p.slots[h.ID]; ok && slot != w.self[i] && n < k {
			ids[n] = slot
			n++
		}
	}
	if n == 0 {
		return nil, nil, fmt.Errorf("%w: the index found no candidate", ErrData)
	}
	simd.L2Gather(z, p.s.z, p.s.dim, ids[:n], dist)
	return ids[:n], dist[:n], nil
}

// blend adds the context of row i to its part of w.mixed, and leaves the shares in w.p.
func (p *Predictor) blend(w *work, i int, ids []uint32, dist []float32) {
	f, c := p.f, &p.f.c
	k, h, n := len(ids), c.hidden(), f.side()
	w.p, w.pairs = room(w.p, k), room(w.pairs, k*h)
	copy(w.p, dist)
	simd.Scale(w.p, -1)
	simd.Softmax(w.p, w.p)
	if c.narrow() {
		w.delta = room(w.delta, k*(n+1))
		differences(w.delta, n+1, w.x[i*n:][:n], p.side, ids)
		simd.Gemm(false, false, k, h, n+1, 1, w.delta, n+1, f.first.Data, h, 0, w.pairs, h)
	} else {
		w.base = room(w.base, h)
		copy(w.base, w.a[i*h:])
		simd.Add(w.base, f.m.hidden.Bias.Value.Data)
		spans(w.pairs, w.base, p.side, h, ids)
	}
	mixed := w.mixed[i*(h+c.labels()):][:h+c.labels()]
	for j, share := range w.p {
		simd.DropReLU(mixed[:h], w.pairs[j*h:][:h], share, 0, 0)
		addLabel(c, mixed[h:], share, p.y[ids[j]])
	}
}

// order sorts neighbours by share, then by id.
func order(near []Neighbour) {
	slices.SortFunc(near, func(a, b Neighbour) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.ID, b.ID))
	})
}
