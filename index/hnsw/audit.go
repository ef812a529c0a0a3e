package hnsw

import (
	"context"
	"sync"

	"github.com/eiderdb/eider/index"
)

const (
	few    = 2   // links to a node that may be too few for it to be found
	rounds = 8   // of giving way to what is not found
	passes = 8   // over all nodes: a link that gave way may have led to others
	rare   = 256 // one new link among so many nodes leads hardly any walk astray elsewhere

	many = 1 << 17 // nodes that are worth knowing which to ask again
)

// doubtful reports whether enough nodes came and went since the last audit of all
// for another while someone waits in Drain. Called under upkeep.mu.
func (x *Index) doubtful() bool { return x.upkeep.unsure.Load() > int64(x.set.Len()/16) && x.selfish() }

// selfish reports whether every vector is the nearest to itself. By inner product it
// need not be.
func (x *Index) selfish() bool { return x.cfg.Metric != index.IP }

// audit sees to it that each live node is found by its own vector. That it is
// reachable (I4) does not suffice: a walk may end at nodes that are nearer than all
// around them and have no way to it. So it asks, with the least pool that a search
// takes by default, and links what is not found from where the walk ended: any
// larger pool passes there too. Where hundreds of copies of one vector leave no room
// some may stay unfound.
//
// All nodes are asked for once half as many came or went as there are, or a
// sixteenth while someone waits in Drain; see doubt.go for what is asked otherwise. A
// link more can lead another walk astray, so then all are asked for again until none is
// missed, or, where they are many and few links were added, those near them: one link
// in a few thousand leads a walk astray that began further off. A walk ends where it
// meets its node; asking for all once takes about a twentieth of what linking them
// took (20,000 x 784, int8).
func (x *Index) audit(c *linker) {
	u := &x.upkeep
	if !x.selfish() {
		return
	}
	u.mu.Lock()
	due := x.doubtful() && (u.draining > 0 || u.unsure.Load() > int64(x.set.Len()/2))
	u.mu.Unlock()
	if !due {
		return
	}
	unsettled := u.unsettled.Load()
	u.unsure.Store(0)
	u.audited.Store(int64(x.set.Len() - x.fresh.len()))
	var degree []uint32
	var among *bitset
	for pass := 0; pass < passes && !u.isStopped(); pass++ {
		led, lost := x.unfound(c, among)
		missed := len(led)/2 + len(lost)
		among = nil
		if len(lost) > 0 {
			if degree == nil {
				degree = x.degrees(c)
			}
			for round := 0; round < rounds && len(lost) > 0 && !u.isStopped(); round++ {
				lost = x.yield(c, lost, degree)
			}
			// What gave way may be out of reach. It must not be left to Drain: where
			// there is no room for all it would go on for ever.
			x.sweep(c)
		} else if n := x.set.Len(); n > many && missed < n/rare {
			among = x.vicinity(c, led)
		}
		if missed == 0 {
			break
		}
	}
	if !u.isStopped() {
		u.unsettled.Add(-unsettled)
	}
}

// vicinity is nodes and all that are two links or less from them: where walks that
// a new link there leads astray were going.
func (x *Index) vicinity(c *linker, nodes []uint32) *bitset {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	near := newBitset(int(c.limit))
	for _, s := range nodes {
		near.add(s)
	}
	for range 2 {
		c.list = c.list[:0]
		for _, s := range nodes {
			c.list = take(c.gv.base(s), c.list)
		}
		nodes = nil
		for _, n := range c.list {
			if n < c.limit && near.add(n) {
				nodes = append(nodes, n)
			}
		}
	}
	return near
}

// unfound asks for all nodes, or those among some. It links those that are not found
// where there is room for it, and returns both ends of such links, and the others.
func (x *Index) unfound(c *linker, among *bitset) (led, lost []uint32) {
	var mu sync.Mutex
	x.spread(c, func(c *linker, from, to int) {
		x.gate.RLock()
		defer x.gate.RUnlock()
		x.set.Move.RLock()
		defer x.set.Move.RUnlock()
		c.enter(x)
		for s := uint32(from); s < min(uint32(to), c.limit); s++ {
			switch {
			case among != nil && !among.has(s):
				continue
			case x.finds(c, s):
				continue
			}
			from := x.lead(c, s, nil, nil)
			mu.Lock()
			if from != none {
				led = append(led, from, s)
			} else {
				lost = append(lost, s)
			}
			mu.Unlock()
		}
	})
	return led, lost
}

// yield links each of lost that is not found in place of neighbours that others link
// to as well. It returns those whose links gave way: they may now be lost.
func (x *Index) yield(c *linker, lost, degree []uint32) (out []uint32) {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	for _, s := range lost {
		if s >= c.limit || x.finds(c, s) {
			continue
		}
		if x.lead(c, s, degree, &out) != none && int(s) < len(degree) {
			degree[s] = 0 // or the next to be led from there would take the same place
		}
	}
	return out
}

// degrees is inDegrees of all slots as they are.
func (x *Index) degrees(c *linker) []uint32 {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	return x.inDegrees(c.gv, uint32(min(x.set.Slots(), int(c.limit))))
}

// finds reports whether the least default walk finds slot, or an equal, by its
// vector, or slot is nothing to be found. If not, c.pool is where the walk ended.
func (x *Index) finds(c *linker, slot uint32) bool {
	if c.entry == noEntry || !c.gv.linked(slot) || !x.set.IsLive(slot) {
		return true
	}
	q := &c.probe
	if x.set.Coded() && x.set.Resident() {
		// What is asked is the vector: seen from its code, another walk.
		c.vec = x.set.Append(slot, c.vec[:0])
		x.set.Trace(q, c.vec)
	} else {
		x.set.Retrace(q, c.sv, slot)
	}
	at, d := x.descend(c.searcher, q, c.entry, 0)
	c.turn()
	for _, s := range c.without {
		c.see(s)
	}
	c.pool.reset(counted)
	c.see(at)
	c.pool.insert(d, at)
	for ef := 1; ; ef++ {
		x.walkTo(context.Background(), c.searcher, q, 0, ef)
		over := ef >= len(c.pool.e)
		// A walk that met only equals, which are as good, never sees the slot.
		if (over || c.seen[slot] == c.epoch) && x.pooled(c, slot) {
			return true
		}
		if over {
			return false
		}
	}
}

// pooled reports whether slot or an equal is in the pool of c, which was filled by
// slot's vector.
func (x *Index) pooled(c *linker, slot uint32) bool {
	for i, e := range c.pool.e {
		n := e.slot & slotMask
		if n == slot || i < c.copies && x.set.Equal(c.sv, n, slot) {
			return true
		}
	}
	return false
}

// lead links slot from the nearest node where a walk for it ended, c.pool, that has
// room, which it returns, or none; with degree in place of a neighbour that keeps
// another link, which it appends to out.
func (x *Index) lead(c *linker, slot uint32, degree []uint32, out *[]uint32) uint32 {
	for _, e := range c.pool.e {
		n := e.slot & slotMask
		if n == slot || !x.set.IsLive(n) {
			continue
		}
		given, gone := x.give(c, n, slot, degree)
		if gone != none {
			*out = append(*out, gone)
		}
		if given {
			return n
		}
	}
	return none
}
