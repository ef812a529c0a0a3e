package hnsw

import (
	"context"
	"runtime"
	"sync/atomic"
)

// atOnce is the number of lists read, about 50 us, before others may run.
const atOnce = 512

// sweep restores invariant I4: it marks what is reachable at level 0 from the
// entry point over nodes that are not condemned, and links every other node of the
// graph to a reachable one near it. O(n·M) integer work, plus a search for a node
// that its own neighbours have no room for. It reports whether all are linked.
func (x *Index) sweep(c *linker) bool {
	for range 8 {
		x.upkeep.dirty.Store(0)
		if forced, left := x.adopt(c); forced == 0 {
			return left == 0
		}
	}
	return false
}

// adopt is one round of sweep. It returns for how many unreachable nodes another
// link had to give way, and how many it has left.
func (x *Index) adopt(c *linker) (forced, left int) {
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
	// The condemned are no way to anywhere: they are about to leave.
	seen := x.condemned.Load().clone(int(c.limit))
	stack := x.flood(c.gv, seen, uint32(c.entry>>8), nil)
	var degree []uint32 // links to each node, counted when first needed
	for s := range n {
		if !c.gv.linked(s) || seen.has(s) || x.set.Died(s) != 0 {
			continue
		}
		if s%64 == 0 && x.upkeep.isStopped() {
			return 0, 0
		}
		if !x.adjoin(c, s, seen) && !x.foster(c, s, seen, nil) {
			if degree == nil {
				degree = x.inDegrees(c.gv, n)
			}
			if !x.foster(c, s, seen, degree) {
				left++
				continue
			}
			forced++
		}
		stack = x.flood(c.gv, seen, s, stack)
	}
	return forced, left
}

// flood marks every slot reachable from slot at level 0. It returns its stack for
// use again.
func (x *Index) flood(v *view, seen *bitset, slot uint32, stack []uint32) []uint32 {
	words := seen.words
	words[slot/32] |= 1 << (slot % 32)
	stack = append(stack[:0], slot)
	for met := 1; len(stack) > 0; met++ {
		if met%atOnce == 0 {
			runtime.Gosched() // as linkers do
		}
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

// inDegrees counts the level-0 links to each slot from nodes that will stay.
func (x *Index) inDegrees(v *view, n uint32) []uint32 {
	degree, condemned := make([]uint32, n), x.condemned.Load()
	for s := range n {
		if s%atOnce == atOnce-1 {
			runtime.Gosched() // as linkers do
		}
		if !v.linked(s) || condemned.has(s) {
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

// adjoin links slot from one of its own neighbours that is reachable and has room.
func (x *Index) adjoin(c *linker, slot uint32, seen *bitset) bool {
	condemned := x.condemned.Load()
	c.list = take(c.gv.base(slot), c.list[:0])
	for _, n := range c.list {
		if !seen.has(n) || condemned.has(n) {
			continue
		}
		if given, _ := x.give(c, n, slot, nil); given {
			return true
		}
	}
	return false
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
		if given, _ := x.give(c, n, slot, degree); given {
			return true
		}
	}
	return false
}

// give adds slot to the list of n if there is room or a condemned node, or with
// degree in place of a neighbour that keeps another link: out, or none.
func (x *Index) give(c *linker, n, slot uint32, degree []uint32) (given bool, out uint32) {
	mu := x.lock(n)
	mu.Lock()
	defer mu.Unlock()
	row := c.gv.base(n)
	condemned, at := x.condemned.Load(), -1
	for i := range row {
		switch id := atomic.LoadUint32(&row[i]); {
		case id == slot:
			return true, none // a linker was faster
		case id == none:
			atomic.StoreUint32(&row[i], slot)
			return true, none
		case condemned.has(id):
			at = i
		}
	}
	if at >= 0 {
		atomic.StoreUint32(&row[at], slot)
		return true, none
	}
	if degree == nil {
		return false, none
	}
	for _, least := range []uint32{few, 1} {
		for i := len(row) - 1; i >= 0; i-- {
			m := atomic.LoadUint32(&row[i])
			if int(m) < len(degree) && degree[m] > least {
				degree[m]--
				atomic.StoreUint32(&row[i], slot)
				x.doubt(m)
				return true, m
			}
		}
	}
	return false, none
}
