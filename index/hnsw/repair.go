package hnsw

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	span  = 1024 // slots a repairer takes at a time
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

// mend chooses the neighbours of slot at level anew, among those that live and the
// nodes that the condemned ones lead to, and links the new ones back. The list
// becomes no shorter if there are enough candidates, so that repairs do not wear
// the graph thin.
func (x *Index) mend(c *linker, condemned *bitset, slot uint32, level int, row []uint32) {
	c.fresh = c.fresh[:0]
	x.remake(c, condemned, slot, level, row)
	for _, n := range c.fresh {
		x.back(c, n, slot, level, false)
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
	c.list = c.list[:0]
	bridge := c.bridge[:0]
	meet := func(n uint32, old bool) {
		switch {
		case !c.see(n):
		case condemned.has(n):
			bridge = append(bridge, n)
		case old || x.set.IsLive(n):
			c.list = append(c.list, n)
		}
	}
	old := 0
	for ; old < len(row); old++ {
		n := atomic.LoadUint32(&row[old])
		if n == none {
			break
		}
		meet(n, true)
	}
	stay := len(c.list)
	// Where a whole cluster died the way out leads over several condemned nodes.
	for i := 0; i < len(bridge) && i < reach; i++ {
		if len(c.list) >= 16*len(row) {
			break
		}
		over := c.gv.list(bridge[i], level)
		for j := range over {
			n := atomic.LoadUint32(&over[j])
			if n == none {
				break
			}
			meet(n, false)
		}
	}
	c.bridge = bridge
	least := max(old, len(row)/2)
	if len(c.list) < least && c.entry != noEntry {
		x.look(c, slot, level, condemned)
	}
	c.stays = append(c.stays[:0], c.list[:stay]...)
	x.rank(c, slot, c.list)
	kept := x.diverse(c, c.local.e, len(row), least)
	put(row, kept)
	for _, n := range kept {
		if !slices.Contains(c.stays, n) {
			c.fresh = append(c.fresh, n)
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
