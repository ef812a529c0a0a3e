package hnsw

import (
	"context"
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index/vectors"
	"github.com/eiderdb/eider/simd"
)

const (
	fewSeeds  = 16 // matches, spread evenly, that a walk among matches around the query also starts from
	manySeeds = 64 // those that it starts from where it knows of none
	// wider is by how much a pool is larger where the matches are elsewhere: seen
	// from afar they are all about as far, and a walk goes astray more easily.
	wider = 2
	// together and scattered are how far apart the best matches found may lie, in
	// lengths of a link, for a walk with a pool that is once or twice wider to be
	// trusted, and lost how far for one to go on after some hops. Measured walks
	// that found 98 in 100 of the nearest had 1 to 1.5, those that found 90 had 2.
	together, scattered, lost = 1.5, 1.9, 2.5
	judged                    = 10 // of the best matches found are looked at for that
	// doubtful is by how much cheaper than a scan a walk must promise to be that
	// may well turn out to be for nothing.
	doubtful = 1.5
)

// distant searches where matches are not around query. They may be a cluster
// somewhere else, through which a walk from any of them comes to the nearest. Or
// they may be all that is beyond some distance from query, and the nearest of
// them lie in all directions, each with neighbours that are about as near, and
// nothing leads a walk from one to the next. What was found tells: neighbours of
// each other, or scattered.
func (x *Index) distant(ctx context.Context, c *searcher, f *filtered, ef int) (bool, error) {
	for _, trust := range []float64{together, scattered} {
		ef *= wider
		if f.scan <= doubtful*f.costs.Bridging(ef, x.m0, common) {
			return false, nil
		}
		c.turn()
		c.found.reset(ef)
		x.sample(c, f.Allow, manySeeds)
		within, err := x.bridge(ctx, c, &c.probe, none, budget{costs: f.costs, limit: f.scan, judged: true})
		if err != nil || !within {
			return false, err
		}
		apart := x.apart(c)
		if apart <= trust {
			return true, nil
		}
		if apart > scattered {
			return false, nil
		}
		ef *= wider
	}
	return false, nil
}

// sample puts up to want admitted nodes, evenly spread over allow, in c.found.
func (x *Index) sample(c *searcher, allow *roaring.Bitmap, want int) {
	m := 0
	take := func(id uint32) {
		if slot, ok := x.set.Slot(id); ok && slot < c.limit && m < len(c.slots) &&
			c.gv.linked(slot) && c.allow.admits(x, slot) && c.see(slot) {
			c.slots[m] = slot
			m++
		}
	}
	n := allow.GetCardinality()
	if c.allow.dense == nil {
		for i := range uint64(want) {
			if id, err := allow.Select(uint32((2*i + 1) * n / uint64(2*want))); err == nil {
				take(id)
			}
		}
	} else {
		rank, next := uint64(0), uint64(0)
		at := n / uint64(2*want)
		for i, w := range c.allow.dense {
			for here := uint64(bits.OnesCount64(w)); at < rank+here; {
				v := w
				for range at - rank {
					v &= v - 1
				}
				take(uint32(i*64 + bits.TrailingZeros64(v)))
				if next++; next == uint64(want) {
					break
				}
				at = (2*next + 1) * n / uint64(2*want)
			}
			if next == uint64(want) {
				break
			}
			rank += uint64(bits.OnesCount64(w))
		}
	}
	x.set.Near(&c.probe, c.sv, c.slots[:m], c.out, inf)
	c.scored += m
	x.offer(c, &c.found, c.slots[:m], c.out[:m])
}

// bridge walks over admitted nodes, starting from those in c.found and from those
// near at, unless that is none, towards q, until none in c.found is left to expand. It steps
// over refused nodes to the admitted ones behind them, without scoring any that
// are refused. It reports false when it has spent its budget, or when it is judged
// and what it finds is scattered.
func (x *Index) bridge(ctx context.Context, c *searcher, q *vectors.Probe, at uint32, b budget) (bool, error) {
	f := &c.found
	if at != none {
		x.expand(c, q, at)
	}
	for cur, hop := 0, 0; cur < len(f.e); {
		e := f.e[cur].slot
		if e&expanded != 0 {
			cur++
			continue
		}
		f.e[cur].slot = e | expanded
		if b.spent(c) {
			return false, nil
		}
		if hop++; hop%lookout == 0 && done(ctx) {
			return false, ctx.Err()
		}
		if b.judged && hop == lookout && x.apart(c) > lost {
			return false, nil
		}
		cur = min(cur, x.expand(c, q, e))
	}
	return true, nil
}

// expand offers c.found the unseen admitted nodes that one link, or one over a
// refused node, joins to slot. It returns the first place that changed.
func (x *Index) expand(c *searcher, q *vectors.Probe, slot uint32) int {
	c.hops++
	m := x.reach(c, slot)
	if m == 0 {
		return len(c.found.e)
	}
	slots, out := c.slots[:m], c.out[:m]
	x.set.Near(q, c.sv, slots, out, c.found.limit())
	c.scored += m
	return x.offer(c, &c.found, slots, out)
}

// reach collects the nodes that expand scores in c.slots and returns their
// number.
func (x *Index) reach(c *searcher, slot uint32) int {
	m, links := 0, x.m0
	seen, epoch, limit := c.seen, c.epoch, c.limit
	slots := c.slots
	bridge := c.bridge[:0]
	row := c.gv.base(slot)
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n >= limit {
			if n == none {
				break
			}
			continue
		}
		s := seen[n]
		if s == epoch {
			continue
		}
		seen[n] = epoch
		if s != epoch|1 && c.allow.admits(x, n) {
			slots[m] = n
			m++
		} else {
			bridge = append(bridge, n)
		}
	}
	// Their lists come from memory all at once, as no load waits for another.
	for _, b := range bridge {
		row := c.gv.base(b)
		c.warm += atomic.LoadUint32(&row[0]) + atomic.LoadUint32(&row[len(row)/2])
	}
	for _, b := range bridge {
		if m+x.m0 > len(slots) {
			break
		}
		links += x.m0
		m += c.pass(x, c.gv.base(b), slots[m:])
	}
	c.bridge = bridge
	c.links += links
	return m
}

// pass writes the admitted nodes of row that the walk has not seen to dst, of at
// least as many, marks them and returns their number.
func (c *searcher) pass(x *Index, row, dst []uint32) int {
	seen, epoch := c.seen[:c.limit], c.epoch
	m := 0
	if c.allow.dense != nil {
		for _, n := range dst[:simd.Admit(row, seen, epoch, c.allow.ids, c.allow.dense, dst)] {
			if c.allow.lives(x, n) {
				seen[n] = epoch
				dst[m] = n
				m++
			}
		}
		return m
	}
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n >= c.limit {
			if n == none {
				break
			}
			continue
		}
		if seen[n]|1 == epoch|1 {
			continue
		}
		if !c.allow.admits(x, n) {
			seen[n] = epoch | 1 // refused, and not yet stepped over
			continue
		}
		seen[n] = epoch
		dst[m] = n
		m++
	}
	return m
}

// apart is how far the best of c.found lie from each other, in lengths of their
// links: the ratio of two mean distances, squared ones under L2. Where less than
// nothing is near, under IP, the ratio is turned over.
func (x *Index) apart(c *searcher) float64 {
	var between, along float64
	var pairs, links int
	best := c.found.e[:min(judged, len(c.found.e))]
	for i, e := range best {
		slot := e.slot & slotMask
		x.set.Retrace(&c.away, c.sv, slot)
		m := 0
		for _, o := range best[i+1:] {
			c.slots[m] = o.slot & slotMask
			m++
		}
		pairs += m
		neighbours := take(c.gv.base(slot), c.bridge[:0])
		for j := 0; j < len(neighbours); j += 4 {
			if neighbours[j] < c.limit {
				c.slots[m] = neighbours[j]
				m++
				links++
			}
		}
		c.bridge = neighbours
		x.set.Near(&c.away, c.sv, c.slots[:m], c.out, inf)
		c.scored += m
		for j, d := range c.out[:m] {
			if j < len(best)-1-i {
				between += float64(d)
			} else {
				along += float64(d)
			}
		}
	}
	if pairs == 0 || links == 0 {
		return 0
	}
	between, along = between/float64(pairs), along/float64(links)
	switch {
	case between == along:
		return 1
	case between < 0 && along < 0:
		return along / between
	case along <= 0:
		return math.Inf(1)
	}
	return between / along
}
