package hnsw

import (
	"context"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
)

// A filtered search is planned by what each way would cost (index.Costs) and by
// where the matches are, seen from the query:
//
//	few matches     score them all
//	around          sift: a walk that scores matches and others alike, or, if few
//	                of its nodes match, bridge: one that scores matches only
//	elsewhere       bridge, from the best of a sample of matches; and if what it
//	                finds is scattered, sift through all that do not match, if
//	                they are few, or score all matches
//
// No walk may cost more than the scan it is to save.

const (
	// common is the share of matches from which a walk scores the others too.
	common = 0.3
	// scarce is the part of the share of matches in all nodes that those around
	// the query must have, or the matches are elsewhere.
	scarce = 1. / 3
	// thin is the number of matches two links from a node below which walks over
	// matches break off: they are too few to lead from one to the next.
	thin = 10
	// patience is by how much a walk may cost more than it was expected to.
	patience = 3
)

// admission says which slots may be hits.
type admission struct {
	at    uint64
	ids   []uint32 // slot -> id
	live  []uint32 // bit set of live slots
	allow *roaring.Bitmap
	dense []uint64 // bits of allow, nil if its ids are spread too thin
}

// admits reports whether slot is visible and allowed. It is asked for hundreds of
// slots a hop, so the test that refuses most comes first.
func (a *admission) admits(x *Index, slot uint32) bool {
	switch {
	case a.dense != nil:
		id := atomic.LoadUint32(&a.ids[slot])
		if int(id/64) >= len(a.dense) || a.dense[id/64]&(1<<(id%64)) == 0 {
			return false
		}
	case a.allow != nil:
		if !a.allow.Contains(atomic.LoadUint32(&a.ids[slot])) {
			return false
		}
	}
	return a.lives(x, slot)
}

// lives reports whether slot is visible.
func (a *admission) lives(x *Index, slot uint32) bool {
	return atomic.LoadUint32(&a.live[slot/32])&(1<<(slot%32)) != 0 || a.at != 0 && x.set.Died(slot) > a.at
}

// admit prepares c.allow for p. O(ids in p.Allow / 64 + its containers).
func (c *searcher) admit(x *Index, p index.Params) {
	c.allow = admission{at: p.At, ids: c.sv.IDs, live: c.sv.Live, allow: p.Allow}
	if p.Allow == nil || p.Allow.IsEmpty() {
		return
	}
	words := int(p.Allow.DenseSize())
	if words > x.set.Slots()/2+1024 {
		return // more than 4 bytes a slot: look ids up in the bitmap instead
	}
	c.bits = grown(c.bits, words)
	clear(c.bits)
	p.Allow.WriteDenseTo(c.bits)
	c.allow.dense = c.bits
}

// grown returns s with length n, its contents lost if it was shorter.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// filtered is a search whose matches are some nodes only.
type filtered struct {
	index.Params
	costs index.Costs
	share float64 // of matches in all nodes
	scan  float64 // ns of scoring all that matches
}

// sifted searches where only some nodes may be hits: under a filter, or while
// dead nodes are in the graph. It costs at most about twice an exact search, and
// finds k if k exist.
func (x *Index) sifted(ctx context.Context, c *searcher, p index.Params, ef int, dst []index.Hit, w index.Work) ([]index.Hit, index.Work, error) {
	costs, err := x.costs(ctx, c, p.Source)
	if err != nil {
		return dst, w, err
	}
	allowed := x.set.Len()
	if p.Allow != nil {
		allowed = min(allowed, int(p.Allow.GetCardinality()))
	}
	f := filtered{p, costs, float64(allowed) / float64(x.set.Len()+x.set.Dead()), costs.Scanning(allowed)}
	if p.Allow != nil && (allowed <= ef || f.scan <= doubtful*costs.Sifting(ef, 1)) {
		return x.exact(ctx, c, p, dst, w)
	}
	c.admit(x, p)
	for ; ; ef *= 4 {
		w.Ef = ef
		c.tail = x.fresh.copy(c.tail[:0])
		found, err := x.match(ctx, c, &f, ef)
		if err == nil && found {
			err = x.scanTail(ctx, c, p.At, &c.found, &w)
		}
		w.Hops, w.Distances = c.hops, c.scored
		if err != nil {
			return dst, w, err
		}
		if found {
			out, err := x.hits(c, c.found.e, p, dst, &w)
			if err != nil || len(out)-len(dst) >= p.K {
				return out, w, err
			}
		}
		if !found || !c.found.full() || ef >= allowed/4 {
			return x.exact(ctx, c, p, dst, w)
		}
	}
}

// match walks, in the way that promises to be cheapest, until c.found holds the
// nearest matches. It reports false where a scan is the better way.
func (x *Index) match(ctx context.Context, c *searcher, f *filtered, ef int) (bool, error) {
	c.turn()
	at, d := x.descend(c, &c.probe, c.entry, 0)
	if f.Allow == nil {
		x.start(c, at, d, ef)
		return x.sift(ctx, c, budget{costs: f.costs, limit: f.scan})
	}
	if local := x.around(c, at); local >= f.share*scarce {
		expected := f.costs.Sifting(ef, local)
		if local < common {
			expected = f.costs.Bridging(ef, x.m0, local)
		}
		if f.scan <= expected || local*float64(x.m0*x.m0) < thin {
			return false, nil
		}
		x.start(c, at, d, ef)
		within, err := x.nearby(ctx, c, f, at, local, budget{costs: f.costs, limit: min(f.scan, patience*expected)})
		if within || err != nil {
			return within, err
		}
	}
	within, err := x.distant(ctx, c, f, ef)
	if within || err != nil {
		return within, err
	}
	refused := (1 - f.share) * float64(x.set.Len()+x.set.Dead())
	if f.costs.Crossing(ef, refused) > f.scan {
		return false, nil
	}
	c.turn()
	x.start(c, at, d, ef)
	return x.sift(ctx, c, budget{costs: f.costs, limit: f.scan})
}

// nearby searches where matches are around the query: local is their share there.
func (x *Index) nearby(ctx context.Context, c *searcher, f *filtered, at uint32, local float64, b budget) (bool, error) {
	if local >= common {
		return x.sift(ctx, c, b)
	}
	x.sample(c, f.Allow, fewSeeds)
	return x.bridge(ctx, c, &c.probe, at, b)
}

// budget is the time in ns that the walks of a search may take.
type budget struct {
	costs  index.Costs
	limit  float64
	judged bool // give up early where matches are scattered
}

// spent reports whether c has done more than b allows.
func (b *budget) spent(c *searcher) bool {
	return float64(c.scored)*b.costs.Walk+float64(c.links)*b.costs.Link > b.limit
}

// start begins a walk for the ef nearest admitted nodes at a node.
func (x *Index) start(c *searcher, at uint32, d float32, ef int) {
	c.front = c.front[:0]
	c.found.reset(ef)
	c.see(at)
	c.front.push(entry{d, at})
	if c.allow.admits(x, at) {
		c.found.insert(d, at)
	}
}

// around is the share of admitted nodes among those two links or less from slot.
func (x *Index) around(c *searcher, slot uint32) float64 {
	met, admitted := 0, 0
	first := take(c.gv.base(slot), c.bridge[:0])
	for i := 0; i < len(first) && met < 512; i++ {
		if first[i] >= c.limit {
			continue
		}
		row := c.gv.base(first[i])
		for j := range row {
			n := atomic.LoadUint32(&row[j])
			if n == none {
				break
			}
			met++
			if n < c.limit && c.allow.admits(x, n) {
				admitted++
			}
		}
	}
	c.bridge = first
	c.links += met
	return float64(admitted) / float64(max(met, 1))
}

// sift walks best-first until c.found holds the admitted nodes nearest to query.
// Unlike walk it keeps every node it may have to expand, since any number of
// refused ones may be nearer than those it seeks. It reports false when it has
// spent its budget.
func (x *Index) sift(ctx context.Context, c *searcher, b budget) (bool, error) {
	f := &c.found
	for hop := 0; len(c.front) > 0; hop++ {
		e := c.front.pop()
		if f.full() && e.d > f.last() {
			return true, nil
		}
		if b.spent(c) {
			return false, nil
		}
		if hop%lookout == lookout-1 && done(ctx) {
			return false, ctx.Err()
		}
		m := c.unseen(c.gv.base(e.slot), c.slots)
		c.hops++
		if m == 0 {
			continue
		}
		x.fetch(c, &c.probe, c.front[:min(3, len(c.front))], 0)
		slots, out := c.slots[:m], c.out[:m]
		x.set.Near(&c.probe, c.sv, slots, out, f.limit())
		c.scored += m
		for i, d := range out {
			if f.full() && d >= f.last() {
				continue
			}
			c.front.push(entry{d, slots[i]})
			if c.allow.admits(x, slots[i]) {
				f.insert(d, slots[i])
			}
		}
	}
	return true, nil
}
