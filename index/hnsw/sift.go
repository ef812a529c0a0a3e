package hnsw

import (
	"context"
	"sync/atomic"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/eiderdb/eider/index"
)

const (
	seeds = 16 // allowed ids, spread evenly, that a filtered walk starts from
	// twoHop is the share of admitted nodes below which a walk steps over refused
	// nodes to their neighbours instead of scoring them.
	twoHop = 0.3
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
	if cap(c.bits) < words {
		c.bits = make([]uint64, words)
	}
	c.bits = c.bits[:words]
	clear(c.bits)
	p.Allow.WriteDenseTo(c.bits)
	c.allow.dense = c.bits
}

// sifted searches where only some nodes may be hits: under a filter, or while
// dead nodes are in the graph. The walk is bounded by the cost of scoring all
// that is allowed; beyond it, or with too few hits, it does just that. So a
// search costs at most about twice an exact one, and finds k if k exist.
func (x *Index) sifted(ctx context.Context, c *searcher, p index.Params, ef int, dst []index.Hit, w index.Work) ([]index.Hit, index.Work, error) {
	slots := x.set.Len() + x.set.Dead()
	allowed := x.set.Len()
	if p.Allow != nil {
		allowed = min(allowed, int(p.Allow.GetCardinality()))
	}
	share := float64(allowed) / float64(slots)
	if p.Allow != nil && float64(allowed) <= x.walkCost(ef, share) {
		return x.exact(ctx, c, p, dst, w)
	}
	c.admit(x, p)
	for ; ; ef *= 4 {
		c.tail = x.fresh.copy(c.tail[:0])
		c.turn()
		step, err := x.seed(c, p, ef, share)
		if err != nil {
			return dst, w, err
		}
		within, err := x.sift(ctx, c, step, allowed)
		if err == nil && within {
			err = x.scanTail(ctx, c, p.At, &c.found, &w)
		}
		w.Hops, w.Distances = c.hops, c.scored
		if err != nil {
			return dst, w, err
		}
		if within {
			out, err := x.hits(c, c.found.e, p, dst)
			if err != nil || len(out)-len(dst) >= p.K {
				return out, w, err
			}
		}
		if !within || !c.found.full() || ef >= allowed/4 {
			return x.exact(ctx, c, p, dst, w)
		}
	}
}

// walkCost is the expected cost of a filtered walk, in rows of an exact scan. The
// figures are fitted to measurements at 128 and 784 components: a row takes some
// nanoseconds and what memory takes to deliver it; a walk scores a number of rows
// for each place in its pool, and in steps over refused nodes looks at hundreds.
func (x *Index) walkCost(ef int, share float64) float64 {
	row := 8 + float64(x.cfg.Dim)/4 // ns
	if share < twoHop {
		return float64(ef) * (20 + 4000/row)
	}
	return float64(ef) * 12 / share * (1 + 10/row)
}

// seed starts a filtered walk: at the node below the entry point, and at allowed
// ids from all over the bitmap, so that a cluster of allowed nodes is found from
// afar. It reports whether the walk may step over refused nodes: few nodes are
// admitted, but around query about as many as elsewhere. Where a filter refuses
// what is near query, the nearest admitted nodes lie all around the refused ones,
// and only a walk through those meets them all.
func (x *Index) seed(c *searcher, p index.Params, ef int, share float64) (bool, error) {
	at, d := x.descend(c, &c.probe, c.entry, 0)
	c.front = c.front[:0]
	c.found.reset(ef)
	step := share < twoHop && x.around(c, at) > share/3
	c.see(at)
	c.front.push(entry{d, at})
	if c.allow.admits(x, at) {
		c.found.insert(d, at)
	}
	if p.Allow == nil {
		return step, nil
	}
	m := 0
	n := p.Allow.GetCardinality()
	for i := range uint64(seeds) {
		id, err := p.Allow.Select(uint32((2*i + 1) * n / (2 * seeds)))
		if err != nil {
			return step, err
		}
		if slot, ok := x.set.Slot(id); ok && slot < c.limit && c.gv.linked(slot) && c.allow.admits(x, slot) && c.see(slot) {
			c.slots[m] = slot
			m++
		}
	}
	x.set.Near(&c.probe, c.sv, c.slots[:m], c.out, inf)
	c.scored += m
	for i, d := range c.out[:m] {
		c.front.push(entry{d, c.slots[i]})
	}
	x.offer(c, &c.found, c.slots[:m], c.out[:m])
	return step, nil
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
	return float64(admitted) / float64(max(met, 1))
}

// sift walks best-first until c.found holds the admitted nodes nearest to query.
// Unlike walk it keeps every node it may have to expand, since any number of
// refused ones may be nearer than those it seeks. It reports false when it has
// computed more than budget distances.
func (x *Index) sift(ctx context.Context, c *searcher, step bool, budget int) (bool, error) {
	f := &c.found
	for hop := 0; len(c.front) > 0; hop++ {
		e := c.front.pop()
		if f.full() && e.d > f.last() {
			return true, nil
		}
		if c.scored > budget {
			return false, nil
		}
		if hop%lookout == lookout-1 && done(ctx) {
			return false, ctx.Err()
		}
		m := x.gather(c, e.slot, step)
		c.hops++
		if m == 0 {
			continue
		}
		slots, out := c.slots[:m], c.out[:m]
		x.set.Near(&c.probe, c.sv, slots, out, f.limit())
		c.scored += m
		for i, d := range out {
			if f.full() && d >= f.last() {
				continue
			}
			c.front.push(entry{d, slots[i]})
			if step || c.allow.admits(x, slots[i]) {
				f.insert(d, slots[i])
			}
		}
	}
	return true, nil
}

// gather collects the unseen neighbours of slot in c.slots and returns their
// number. With step, only admitted ones, and in place of those refused, the
// admitted among their neighbours.
func (x *Index) gather(c *searcher, slot uint32, step bool) int {
	m := 0
	row := c.gv.base(slot)
	bridge := c.bridge[:0]
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		if !c.see(n) {
			continue
		}
		if step && !c.allow.admits(x, n) {
			bridge = append(bridge, n)
			continue
		}
		c.slots[m] = n
		m++
	}
	c.bridge = bridge
	for _, b := range bridge {
		row := c.gv.base(b)
		for i := range row {
			n := atomic.LoadUint32(&row[i])
			if n == none || m == len(c.slots) {
				break
			}
			if n < c.limit && c.seen[n] != c.epoch && c.allow.admits(x, n) {
				c.seen[n] = c.epoch
				c.slots[m] = n
				m++
			}
		}
	}
	return m
}
