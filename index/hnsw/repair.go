package hnsw

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	span  = 1024 // slots a repairer takes at a time
	tries = 32
	reach = 512  // nodes looked at around a node that lost neighbours
)

// repair takes dead slots out of the graph and frees them:
//
//  1. condemn them, with all linkers at rest: from now on nobody links to them
//  2. give every node that has one as a neighbour new neighbours around it
//  3. wait for the searches that may still hold one
//  4. free the slots
//
// Searches go on all the while; they may walk over condemned nodes until 3.
// O(n·M) reads of links, plus work for the nodes concerned.
func (x *Index) repair(c *linker, batch []uint32) {
	condemned := newBitset(x.view.Load().cap)
	for _, s := range batch {
		condemned.add(s)
	}
	x.gate.Lock()
	x.condemned.Store(condemned)
	x.abdicate(condemned)
	x.gate.Unlock()

	n := x.set.Slots()
	var next atomic.Int64
	work := func(c *linker) {
		for !x.upkeep.isStopped() {
			from := int(next.Add(span)) - span
			if from >= n {
				return
			}
			x.mendAll(c, condemned, from, min(from+span, n))
		}
	}
	var wg sync.WaitGroup
	for range min(x.cfg.Workers, n/(8*span)+1) - 1 {
		wg.Go(func() { work(x.newLinker()) })
	}
	work(c)
	wg.Wait()
	x.set.Wait()
	if x.upkeep.isStopped() {
		return
	}
	v := x.view.Load()
	for _, s := range batch {
		x.unblock(atomic.LoadUint32(&v.towers[s]))
		atomic.StoreUint32(&v.towers[s], 0)
	}
	x.condemned.Store(&bitset{})
	x.set.Free(batch)
	x.upkeep.dirty.Add(int64(len(batch)))
}

// abdicate replaces an entry point that is condemned by the highest node left,
// a live one if there is any. Called with the gate closed.
func (x *Index) abdicate(condemned *bitset) {
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	e := x.entry.Load()
	if e == noEntry || !condemned.has(uint32(e>>8)) {
		return
	}
	v := x.view.Load()
	heir, best, lives := uint32(none), -1, false
	for s := range uint32(x.set.Slots()) {
		if !v.linked(s) || condemned.has(s) {
			continue
		}
		if level, live := v.level(s), x.set.IsLive(s); level > best || level == best && live && !lives {
			heir, best, lives = s, level, live
		}
	}
	if heir == none {
		x.entry.Store(noEntry)
		return
	}
	x.entry.Store(uint64(heir)<<8 | uint64(best))
}

// mendAll mends the lists of the slots from..to-1.
func (x *Index) mendAll(c *linker, condemned *bitset, from, to int) {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	for s := uint32(from); s < uint32(to); s++ {
		if !c.gv.linked(s) || condemned.has(s) {
			continue
		}
		for level := c.gv.level(s); level >= 0; level-- {
			row := c.gv.list(s, level)
			for i := range row {
				n := atomic.LoadUint32(&row[i])
				if n == none {
					break
				}
				if condemned.has(n) {
					x.mend(c, condemned, s, level, row)
					break
				}
			}
		}
	}
}

// mend gives slot other neighbours at level in place of the condemned ones, and
// links the new ones back where they have room. The list becomes no shorter if
// there are enough candidates, so that repairs do not wear the graph thin.
func (x *Index) mend(c *linker, condemned *bitset, slot uint32, level int, row []uint32) {
	c.fresh = c.fresh[:0]
	x.remake(c, condemned, slot, level, row)
	for _, n := range c.fresh {
		x.join(c, n, slot, level)
	}
	x.upkeep.dirty.Add(1)
}

// remake is mend but for the links back; those are due from c.fresh.
func (x *Index) remake(c *linker, condemned *bitset, slot uint32, level int, row []uint32) {
	mu := x.lock(slot)
	mu.Lock()
	defer mu.Unlock()
	c.turn()
	c.see(slot)
	c.stays, c.bridge = c.stays[:0], c.bridge[:0]
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		if c.see(n) && !condemned.has(n) {
			c.stays = append(c.stays, n)
		} else {
			c.bridge = append(c.bridge, n)
		}
	}
	old := len(c.stays) + len(c.bridge)
	least := max(old, len(row)/2)
	x.around2(c, condemned, level, len(row))
	lost := len(c.list)+len(c.stays) < least
	if lost && c.entry != noEntry {
		x.look(c, slot, level, condemned)
	}
	if len(c.stays) < old/4 || lost {
		c.list = append(c.list, c.stays...)
		x.rank(c, slot, c.list)
		e := c.local.e[:min(len(c.local.e), x.cfg.EfConstruction)]
		put(row, x.diverse(c, e, len(row), least))
	} else {
		x.rank(c, slot, c.list)
		put(row, x.patch(c, c.local.e, least))
	}
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		if !slices.Contains(c.stays, n) {
			c.fresh = append(c.fresh, n)
		}
	}
}

// patch adds candidates to c.stays until they are least: first those that none of them covers.
func (x *Index) patch(c *linker, candidates []entry, least int) []uint32 {
	kept, refused := append(c.kept[:0], c.stays...), c.refused[:0]
	for i, e := range candidates {
		if len(kept) >= least || i == tries {
			break
		}
		if x.covered(c, e.slot, e.d, kept) {
			refused = append(refused, e.slot)
		} else {
			kept = append(kept, e.slot)
		}
	}
	for _, n := range refused {
		if len(kept) >= least {
			break
		}
		kept = append(kept, n)
	}
	c.kept, c.refused = kept, refused
	return kept
}

// around2 collects in c.list the live nodes that the condemned ones in c.bridge lead to.
func (x *Index) around2(c *linker, condemned *bitset, level, m int) {
	c.list = c.list[:0]
	direct := len(c.bridge)
	for i := 0; i < len(c.bridge) && i < reach; i++ {
		if i >= direct && len(c.list) >= m {
			break
		}
		row := c.gv.list(c.bridge[i], level)
		for j := range row {
			n := atomic.LoadUint32(&row[j])
			if n == none {
				break
			}
			switch {
			case !c.see(n):
			case condemned.has(n):
				c.bridge = append(c.bridge, n)
			case x.set.IsLive(n):
				c.list = append(c.list, n)
			}
		}
	}
}

// join adds slot to the list of n at level if there is room.
func (x *Index) join(c *linker, n, slot uint32, level int) {
	mu := x.lock(n)
	mu.Lock()
	defer mu.Unlock()
	row := c.gv.list(n, level)
	for i := range row {
		switch atomic.LoadUint32(&row[i]) {
		case slot:
			return
		case none:
			atomic.StoreUint32(&row[i], slot)
			return
		}
	}
}

// look adds the nodes that a search for slot finds at level to c.list.
func (x *Index) look(c *linker, slot uint32, level int, condemned *bitset) {
	if level > int(c.entry&0xff) {
		return
	}
	q := &c.probe
	x.set.Retrace(q, c.sv, slot)
	at, d := x.descend(c.searcher, q, c.entry, level)
	listed := append([]uint32(nil), c.list...)
	c.turn()
	c.see(slot)
	c.pool.reset(x.cfg.EfConstruction)
	if c.see(at) {
		c.pool.insert(d, at)
	}
	x.walk(context.Background(), c.searcher, q, level)
	c.turn()
	for _, s := range listed {
		c.see(s)
	}
	for _, e := range c.pool.e {
		if s := e.slot & slotMask; !condemned.has(s) && c.see(s) && c.gv.level(s) >= level {
			c.list = append(c.list, s)
		}
	}
}
