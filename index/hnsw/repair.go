package hnsw

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	span  = 64   // slots a repairer takes at a time
	tries = 32   // candidates looked at for the place of a dead neighbour
	reach = 512  // condemned nodes looked beyond for those that live
	freed = 1024 // slots freed at a time, since inserts wait meanwhile

	// Dead nodes that a walk can be kept from at little cost; of more, those that they
	// led to are asked for when they are gone.
	passable = 4096
)

// removal is a batch of dead slots on their way out of the graph.
type removal struct {
	dead   *bitset
	mended *bitset // nodes that have found what they need among the living
}

// repair takes dead slots out of the graph and frees them:
//
//  1. condemn them, with all linkers at rest: from now on nobody links to them
//  2. give every node that has one as a neighbour new neighbours around it; the
//     dead stay in its list where there is room
//  3. link what would be out of reach without the dead, or not found by its vector
//  4. take the dead out of all lists
//  5. wait for the searches that may still hold one
//  6. free the slots
//
// Searches go on all the while, and reach what lives: nothing is cut before its
// replacement is there. O(n·M) reads of links, plus work for the nodes concerned.
//
// It reports whether all that lives is reachable.
func (x *Index) repair(c *linker, batch []uint32) (whole bool) {
	capacity := x.view.Load().cap
	r := &removal{newBitset(capacity), newBitset(capacity)}
	for _, s := range batch {
		r.dead.add(s)
	}
	x.gate.Lock()
	x.condemned.Store(r.dead)
	x.gate.Unlock()
	x.abdicate(r.dead)
	x.everywhere(c, r, x.mend)
	whole = x.sweep(c)
	x.bereave(c, batch)
	if len(batch) <= passable {
		x.reask(c, batch)
	}
	x.everywhere(c, r, x.strip)
	x.set.Wait()
	if x.upkeep.isStopped() {
		return false
	}
	// The condemned still link to each other: Check must not come in between.
	x.gate.RLock()
	v := x.view.Load()
	for _, s := range batch {
		x.unblock(atomic.LoadUint32(&v.towers[s]))
		atomic.StoreUint32(&v.towers[s], 0)
	}
	x.condemned.Store(&bitset{})
	x.gate.RUnlock()
	for part := range slices.Chunk(batch, freed) {
		x.set.Free(part)
	}
	x.upkeep.dirty.Add(1)
	x.upkeep.vacated.Add(int64(len(batch)))
	x.upkeep.unsure.Add(int64(len(batch)))
	return whole
}

// bereave puts those in doubt that the dead link to.
func (x *Index) bereave(c *linker, batch []uint32) {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	v := x.view.Load()
	for _, s := range batch {
		c.list = take(v.base(s), c.list[:0])
		for _, n := range c.list {
			x.doubt(n)
		}
	}
}

// everywhere calls do for each list that holds a dead slot, from as many
// goroutines as there are workers.
func (x *Index) everywhere(c *linker, r *removal, do func(c *linker, r *removal, slot uint32, level int, row []uint32)) {
	x.spread(c, func(c *linker, from, to int) { x.among(c, r, from, to, do) })
}

// spread calls do for all slots, span at a time, from as many goroutines as there
// are workers, each with a linker; c is that of one.
func (x *Index) spread(c *linker, do func(c *linker, from, to int)) {
	n := x.set.Slots()
	var next atomic.Int64
	work := func(c *linker) {
		for !x.upkeep.isStopped() {
			from := int(next.Add(span)) - span
			if from >= n {
				return
			}
			do(c, from, min(from+span, n))
			runtime.Gosched() // as linkers do
		}
	}
	var wg sync.WaitGroup
	for range min(x.crew(), n/(8*span)+1) - 1 {
		wg.Go(func() { work(x.newLinker()) })
	}
	work(c)
	wg.Wait()
}

// among is everywhere for the lists of the slots from..to-1.
func (x *Index) among(c *linker, r *removal, from, to int, do func(c *linker, r *removal, slot uint32, level int, row []uint32)) {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	for s := uint32(from); s < uint32(to); s++ {
		if !c.gv.linked(s) || r.dead.has(s) {
			continue
		}
		for level := c.gv.level(s); level >= 0; level-- {
			row := c.gv.list(s, level)
			for i := range row {
				n := atomic.LoadUint32(&row[i])
				if n == none {
					break
				}
				if r.dead.has(n) {
					do(c, r, s, level, row)
					runtime.Gosched() // as linkers do
					break
				}
			}
		}
	}
}

// abdicate replaces an entry point that is condemned by the highest node left,
// a live one if there is any. Linkers go on.
func (x *Index) abdicate(condemned *bitset) {
	x.gate.RLock() // for Check, which would see nodes above the entry point
	defer x.gate.RUnlock()
	e := x.entry.Load()
	if e == noEntry || !condemned.has(uint32(e>>8)) {
		return
	}
	heir := x.highest(condemned)
	x.towerMu.Lock()
	if x.entry.Load() == e {
		x.entry.Store(heir)
	}
	x.towerMu.Unlock()
	// What was linked since it was looked for may be higher.
	if heir = x.highest(condemned); heir != noEntry {
		x.raise(uint32(heir>>8), int(heir&0xff))
	}
}

// highest is the entry point that a node outside condemned makes, the highest and
// live if possible. O(n).
func (x *Index) highest(condemned *bitset) uint64 {
	v := x.view.Load()
	heir, best, lives := uint64(noEntry), -1, false
	for s := range uint32(min(x.set.Slots(), v.cap)) {
		if !v.linked(s) || condemned.has(s) {
			continue
		}
		if level, live := v.level(s), x.set.IsLive(s); level > best || level == best && live && !lives {
			heir, best, lives = uint64(s)<<8|uint64(level), level, live
		}
	}
	return heir
}

// mend gives slot other neighbours at level in place of the dead ones, and links
// the new ones back where they have room.
func (x *Index) mend(c *linker, r *removal, slot uint32, level int, row []uint32) {
	x.remake(c, r, slot, level, row)
	if level == 0 {
		r.mended.add(slot)
	}
	for _, n := range c.fresh {
		x.join(c, r, n, slot, level)
	}
	for _, n := range c.gone {
		x.doubt(n)
	}
}

// remake is mend but for the links back; those are due from c.fresh. The list
// becomes no shorter if there are enough candidates, so that repairs do not wear
// the graph thin. A node that lost most of its neighbours gets a list chosen anew;
// else those that are left stay.
func (x *Index) remake(c *linker, r *removal, slot uint32, level int, row []uint32) {
	mu := x.lock(slot)
	mu.Lock()
	defer mu.Unlock()
	c.turn()
	c.see(slot)
	c.stays, c.bridge, c.fresh, c.gone = c.stays[:0], c.bridge[:0], c.fresh[:0], c.gone[:0]
	for _, n := range take(row, c.list[:0]) {
		switch {
		case !c.see(n):
		case r.dead.has(n):
			c.bridge = append(c.bridge, n)
		default:
			c.stays = append(c.stays, n)
		}
	}
	direct := len(c.bridge)
	if direct == 0 {
		put(row, c.stays)
		return
	}
	old := len(c.stays) + direct
	least := max(old, len(row)/2)
	x.beyond(c, r.dead, level, len(row))
	lost := len(c.stays)+len(c.list) < least
	if lost && c.entry != noEntry {
		x.look(c, slot, level, r.dead)
	}
	var kept []uint32
	if lost || 4*len(c.stays) < old {
		c.list = append(c.list, c.stays...)
		x.rank(c, slot, c.list)
		near := c.local.e[:min(len(c.local.e), x.cfg.EfConstruction)]
		kept = x.diverse(c, near, len(row), least)
		if level == 0 {
			for _, n := range c.stays {
				if !slices.Contains(kept, n) {
					c.gone = append(c.gone, n)
				}
			}
		}
	} else {
		x.rank(c, slot, c.list)
		kept = x.patch(c, c.local.e, least)
	}
	for _, n := range kept {
		if !slices.Contains(c.stays, n) {
			c.fresh = append(c.fresh, n)
		}
	}
	put(row, append(kept, c.bridge[:min(direct, len(row)-len(kept))]...))
}

// strip takes the dead out of a list.
func (x *Index) strip(c *linker, r *removal, slot uint32, _ int, row []uint32) {
	mu := x.lock(slot)
	mu.Lock()
	defer mu.Unlock()
	c.list = take(row, c.list[:0])
	put(row, slices.DeleteFunc(c.list, r.dead.has))
}

// beyond collects in c.list the live nodes that those in c.bridge, all dead,
// lead to. Where a whole cluster died the way out is over several: then it goes on
// until it has m.
func (x *Index) beyond(c *linker, dead *bitset, level, m int) {
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
			case dead.has(n):
				c.bridge = append(c.bridge, n)
			case x.set.IsLive(n):
				c.list = append(c.list, n)
			}
		}
	}
}

// patch returns c.stays with candidates, sorted by distance, added until they are
// least: first those that are nearer to the base than to any that it has, as in
// diverse, then the nearest. The result is c's until the next call.
func (x *Index) patch(c *linker, candidates []entry, least int) []uint32 {
	return x.extend(c, append(c.kept[:0], c.stays...), candidates[:min(len(candidates), tries)], least, least)
}

// join adds slot to the list of n at level if there is room, or a dead node that n
// can do without.
func (x *Index) join(c *linker, r *removal, n, slot uint32, level int) {
	mu := x.lock(n)
	mu.Lock()
	defer mu.Unlock()
	row := c.gv.list(n, level)
	at := -1
	for i := range row {
		switch m := atomic.LoadUint32(&row[i]); {
		case m == slot:
			return
		case m == none:
			atomic.StoreUint32(&row[i], slot)
			return
		case level == 0 && r.dead.has(m) && r.mended.has(n):
			at = i
		}
	}
	if at >= 0 {
		atomic.StoreUint32(&row[at], slot)
	}
}

// look adds the nodes that a search for slot finds at level to c.list.
func (x *Index) look(c *linker, slot uint32, level int, dead *bitset) {
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
	for _, s := range c.stays {
		c.see(s)
	}
	for _, e := range c.pool.e {
		if s := e.slot & slotMask; !dead.has(s) && c.see(s) && c.gv.level(s) >= level {
			c.list = append(c.list, s)
		}
	}
}
