package hnsw

import (
	"context"
	"sync/atomic"
)

// sweep restores invariant I4: it marks what is reachable at level 0 from the
// entry point, and links every other node of the graph to a reachable one near
// it. O(n·M) integer work, plus a search for each node it has to link.
func (x *Index) sweep(c *linker) {
	for range 8 {
		x.upkeep.dirty.Store(0)
		orphans, forced := x.adopt(c)
		if orphans == 0 || forced == 0 {
			return
		}
	}
}

// adopt is one round of sweep. It returns how many nodes were unreachable and for
// how many of them another link had to give way.
func (x *Index) adopt(c *linker) (orphans, forced int) {
	t, ok := x.set.Enter(c.hint)
	if !ok {
		return 0, 0
	}
	defer x.set.Leave(t)
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	if c.entry == noEntry {
		return 0, 0
	}
	n := uint32(min(x.set.Slots(), int(c.limit)))
	seen := newBitset(int(c.limit))
	stack := x.flood(c.gv, seen, uint32(c.entry>>8), nil)
	var degree []uint32 // links to each node, counted when first needed
	for s := range n {
		if !c.gv.linked(s) || seen.has(s) || x.set.Died(s) != 0 {
			continue
		}
		if s%64 == 0 && x.upkeep.isStopped() {
			return orphans, 0
		}
		orphans++
		if !x.foster(c, s, seen, nil) {
			if degree == nil {
				degree = x.inDegrees(c.gv, n)
			}
			if x.foster(c, s, seen, degree) {
				forced++
			}
		}
		stack = x.flood(c.gv, seen, s, stack)
	}
	return orphans, forced
}

// flood marks every slot reachable from slot at level 0. It returns its stack for
// use again.
func (x *Index) flood(v *view, seen *bitset, slot uint32, stack []uint32) []uint32 {
	words := seen.words
	words[slot/32] |= 1 << (slot % 32)
	stack = append(stack[:0], slot)
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		row := v.base(s)
		for i := range row {
			n := atomic.LoadUint32(&row[i])
			if n == none {
				break
			}
			if w := int(n / 32); w < len(words) && words[w]&(1<<(n%32)) == 0 {
				words[w] |= 1 << (n % 32)
				stack = append(stack, n)
			}
		}
	}
	return stack
}

// inDegrees counts the level-0 links to each slot.
func (x *Index) inDegrees(v *view, n uint32) []uint32 {
	degree := make([]uint32, n)
	for s := range n {
		if !v.linked(s) {
			continue
		}
		row := v.base(s)
		for i := range row {
			m := atomic.LoadUint32(&row[i])
			if m == none {
				break
			}
			if m < n {
				degree[m]++
			}
		}
	}
	return degree
}

// foster links slot from the nearest reachable node that has room. With degree it
// takes the place of the last neighbour that others link to as well.
func (x *Index) foster(c *linker, slot uint32, seen *bitset, degree []uint32) bool {
	q := &c.probe
	x.set.Retrace(q, c.sv, slot)
	at, d := x.descend(c.searcher, q, c.entry, 0)
	if !seen.has(at) { // upper levels may lead to where level 0 does not
		at, d = x.descend(c.searcher, q, c.entry, maxLevel)
	}
	c.turn()
	c.see(slot)
	c.pool.reset(x.cfg.EfConstruction)
	c.see(at)
	c.pool.insert(d, at)
	x.walk(context.Background(), c.searcher, q, 0)
	condemned := x.condemned.Load()
	for _, e := range c.pool.e {
		n := e.slot & slotMask
		if condemned.has(n) || !seen.has(n) {
			continue
		}
		if x.give(c, n, slot, degree) {
			return true
		}
	}
	return false
}

// give adds slot to the list of n if there is room, or with degree in place of a
// neighbour that keeps another link.
func (x *Index) give(c *linker, n, slot uint32, degree []uint32) bool {
	mu := x.lock(n)
	mu.Lock()
	defer mu.Unlock()
	row := c.gv.base(n)
	m := 0
	for ; m < len(row); m++ {
		if id := atomic.LoadUint32(&row[m]); id == slot {
			return true // a linker was faster
		} else if id == none {
			break
		}
	}
	if m < len(row) {
		atomic.StoreUint32(&row[m], slot)
		return true
	}
	if degree == nil {
		return false
	}
	for i := len(row) - 1; i >= 0; i-- {
		m := atomic.LoadUint32(&row[i])
		if int(m) < len(degree) && degree[m] > 1 {
			degree[m]--
			atomic.StoreUint32(&row[i], slot)
			return true
		}
	}
	return false
}
