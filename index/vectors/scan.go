package vectors

import (
	"context"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
)

const (
	block    = 256     // slots scored between looks at the limit
	checked  = 1 << 18 // elements scored between looks at the context, ~0.1 ms
	parallel = 8 << 20 // elements from which a scan is worth a second goroutine
)

// Scan finds nearest vectors by scoring all of them. Its buffers are reused, so
// it allocates nothing in steady state; one Scan serves one goroutine.
type Scan struct {
	Top   index.Top
	slots [block]uint32
	ids   [block]uint32
	out   [block]float32
	// Threads is the number of goroutines All may use for a large scan; 0 means
	// one.
	Threads int
	// Likely lets coarse codes rule out what is unlikely to be among the nearest, at
	// four standard deviations: what is found is then exact as a rule only.
	Likely bool
	others []*Scan
	sieve  sieve
}

// done reports whether ctx has ended; cheaper than ctx.Err.
func done(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// All resets Top to k and offers it every slot visible at. It returns the number
// of distances computed, and the context's error or src's. O(slots·dim), bound by
// memory bandwidth; by codes where the set keeps them and it pays.
func (c *Scan) All(ctx context.Context, s *Set, v *View, p *Probe, at uint64, k int, src index.Source) (int, error) {
	n := min(s.Slots(), v.Cap)
	c.Top.Reset(k)
	if p.width > 0 {
		return c.visit(ctx, s, v, p, at, 0, n, src)
	}
	coded := s.sieved(n)
	if coded {
		s.turn(p, s.Levels()-1)
	}
	var m int
	var err error
	if c.Threads < 2 || n*s.dim < parallel {
		m, err = c.part(ctx, s, v, p, at, 0, n, k, coded)
	} else {
		m, err = c.split(ctx, s, v, p, at, n, k, coded)
	}
	if coded && err == nil {
		var more int
		more, err = c.settle(s, v, p, src)
		m += more
	}
	return m, err
}

// split scans on c.Threads goroutines and brings together what they found.
func (c *Scan) split(ctx context.Context, s *Set, v *View, p *Probe, at uint64, n, k int, coded bool) (int, error) {
	for len(c.others) < c.Threads-1 {
		c.others = append(c.others, &Scan{})
	}
	var wg sync.WaitGroup
	var total atomic.Int64
	part := (n/c.Threads + block) / block * block
	for i, o := range c.others[:c.Threads-1] {
		o.Top.Reset(k)
		o.Likely = c.Likely
		wg.Go(func() {
			m, _ := o.part(ctx, s, v, p, at, min(n, (i+1)*part), min(n, (i+2)*part), k, coded)
			total.Add(int64(m))
		})
	}
	m, err := c.part(ctx, s, v, p, at, 0, min(n, part), k, coded)
	wg.Wait()
	for _, o := range c.others[:c.Threads-1] {
		if coded {
			c.sieve.merge(&o.sieve)
			continue
		}
		for _, h := range o.Top.Sort() {
			c.Top.Push(h)
		}
	}
	if err == nil {
		err = ctx.Err()
	}
	return m + int(total.Load()), err
}

// part scans some slots into Top, or into the sieve.
func (c *Scan) part(ctx context.Context, s *Set, v *View, p *Probe, at uint64, from, to, k int, coded bool) (int, error) {
	if coded {
		c.sieve.reset(k, c.Likely && s.coarse())
		return c.strain(ctx, s, v, p, at, from, to)
	}
	return c.span(ctx, s, v, p.Vec, at, from, to)
}

// sieved reports whether n rows are better scanned by codes. A probe for that has
// to be traced for walks.
func (s *Set) sieved(n int) bool {
	return s.codec != nil && (!s.Resident() || n*s.dim >= 1<<19 && !s.coarse() && (s.rotation == nil || n >= 4*s.dim))
}

// span scans slots from..to-1; from is a multiple of block. A word of Live is
// read before its rows are scored: a slot that becomes live meanwhile may have
// been scored half written and must not count.
func (c *Scan) span(ctx context.Context, s *Set, v *View, query []float32, at uint64, from, to int) (int, error) {
	var live [block / 32]uint32
	var since, scored int
	for i := from; i < to; i += block {
		m := min(block, to-i)
		words := (m + 31) / 32
		var any uint32
		for w := range words {
			live[w] = s.visibleWord(v, i/32+w, at)
			any |= live[w]
		}
		if any == 0 {
			continue
		}
		out := c.out[:m]
		s.scoreRows(v, query, i, out)
		scored += m
		limit := c.Top.Limit()
		for j, d := range out {
			if d <= limit && live[j/32]&(1<<(j%32)) != 0 {
				c.Top.Push(index.Hit{ID: atomic.LoadUint32(&v.IDs[i+j]), Distance: d})
				limit = c.Top.Limit()
			}
		}
		if since += m * s.dim; since >= checked {
			since = 0
			if done(ctx) {
				return scored, ctx.Err()
			}
		}
	}
	return scored, ctx.Err()
}

// visibleWord is word w of Live with the bits of slots that died after at set.
func (s *Set) visibleWord(v *View, w int, at uint64) uint32 {
	word := atomic.LoadUint32(&v.Live[w])
	if at == 0 || word == ^uint32(0) || s.ndead.Load() == 0 {
		return word
	}
	for rest := ^word; rest != 0; rest &= rest - 1 {
		b := bits.TrailingZeros32(rest)
		if s.died.get(uint32(w*32+b)) > at {
			word |= 1 << b
		}
	}
	return word
}

// Allowed is All restricted to the ids of allow: it scores only those.
func (c *Scan) Allowed(ctx context.Context, s *Set, v *View, p *Probe, at uint64, allow *roaring.Bitmap, k int, src index.Source) (int, error) {
	c.Top.Reset(k)
	if p.width > 0 || !s.sieved(int(allow.GetCardinality())) {
		return c.allowed(ctx, s, v, at, allow, func(slots []uint32) error { return c.Slots(s, v, p, slots, src) })
	}
	c.sieve.reset(k, c.Likely && s.coarse())
	s.turn(p, s.Levels()-1)
	n, err := c.allowed(ctx, s, v, at, allow, func(slots []uint32) error { c.strainSlots(s, v, p, slots); return nil })
	if err != nil {
		return n, err
	}
	m, err := c.settle(s, v, p, src)
	return n + m, err
}

// Slots offers Top each of slots, which the caller knows to be visible. Errors:
// those of src, if the vectors are not in memory.
func (c *Scan) Slots(s *Set, v *View, p *Probe, slots []uint32, src index.Source) error {
	for len(slots) > block {
		if err := c.Slots(s, v, p, slots[:block], src); err != nil {
			return err
		}
		slots = slots[block:]
	}
	out := c.out[:len(slots)]
	if err := s.scoreTrue(v, p, slots, out, src); err != nil {
		return err
	}
	limit := c.Top.Limit()
	for j, d := range out {
		if d <= limit {
			c.Top.Push(index.Hit{ID: atomic.LoadUint32(&v.IDs[slots[j]]), Distance: d})
			limit = c.Top.Limit()
		}
	}
	return nil
}
