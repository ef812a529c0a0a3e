package hnsw

import (
	"slices"
	"sync/atomic"
)

const (
	moves = 4096    // nodes moved at a time, at least
	step  = 4 << 20 // bytes given back at a time, since inserts wait meanwhile
	loose = 256     // free slots that are never worth a compaction
)

// roomy reports whether over an eighth of the slots are free, and many became so
// since the last compaction.
func (x *Index) roomy() bool {
	n := x.set.Slots()
	return n-x.set.Len()-x.set.Dead() > n/8+loose && x.upkeep.vacated.Load() > int64(n/16)
}

// compact moves the nodes with the highest slots to free ones below, and gives the
// memory at the end back to the system. Searches and inserts go on. Linkers
// stand still for an instant per batch. O(n·M) reads of links a batch, O(dim) for
// each node moved, no distances.
func (x *Index) compact(c *linker) {
	defer x.upkeep.vacated.Store(0)
	if x.set.Filling() {
		return // a later repair will see to it
	}
	free := x.set.Seize()
	slices.Sort(free)
	n := x.set.Slots()
	used := n - len(free)
	cut := uint32(used + used/16 + 64) // some room below it, for what comes next
	split, _ := slices.BinarySearch(free, cut)
	low, high := free[:split], free[split:]
	var from []uint32
	for s, v := cut, x.view.Load(); s < uint32(n); s++ {
		if v.linked(s) && x.set.IsLive(s) {
			from = append(from, s)
		}
	}
	m := min(len(from), len(low))
	from = from[len(from)-m:]
	x.vacate(low[m:])
	x.set.StartMoves()
	for size := max(moves, m/8); len(from) > 0 && !x.upkeep.isStopped(); {
		k := min(size, len(from))
		x.move(c, from[:k], low[:k])
		from, low = from[k:], low[k:]
	}
	x.set.EndMoves()
	x.vacate(low[:len(from)])
	x.trim(high)
}

// vacate makes slots, in order of number, free; the lowest is taken first.
func (x *Index) vacate(slots []uint32) {
	slices.Reverse(slots)
	for part := range slices.Chunk(slots, 16*freed) {
		x.set.Vacate(part)
	}
}

// move moves the nodes with slots from to the free slots to, one for one, in the
// steps that package vectors names.
func (x *Index) move(c *linker, from, to []uint32) {
	forward := make(map[uint32]uint32, len(from))
	var back, old []uint32
	for i := range from {
		if x.twin(c, from[i], to[i]) {
			forward[from[i]] = to[i]
		} else {
			back = append(back, to[i])
		}
	}
	x.set.Wait()
	x.gate.Lock() // against Save, which takes each id once
	for i, f := range from {
		if _, ok := forward[f]; ok && !x.set.Switch(f, to[i]) {
			delete(forward, f)
			old = append(old, to[i])
		}
	}
	x.gate.Unlock()
	x.set.Wait()
	for f, t := range forward {
		x.set.Retire(f, t)
		old = append(old, f)
	}
	x.set.Vacate(back)
	if len(old) > 0 {
		x.repair(c, old, forward)
	}
}

// twin puts a copy of the node from into the graph at slot to, where walks that
// expand from meet it; others are led to it when from is repaired. It reports false
// if there was no memory for its upper levels.
func (x *Index) twin(c *linker, from, to uint32) bool {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c.enter(x)
	level, tower := c.gv.level(from), uint32(1)
	if level > 0 {
		var err error
		if tower, err = x.block(level); err != nil || tower == 1 {
			return false
		}
	}
	x.set.Copy(from, to)
	mu := x.lock(from)
	mu.Lock()
	defer mu.Unlock()
	for l := 1; l <= level; l++ {
		put(c.gv.floor(tower, l), take(c.gv.list(from, l), c.list[:0]))
	}
	row := c.gv.base(from)
	c.list = take(row, c.list[:0])
	put(c.gv.base(to), c.list)
	atomic.StoreUint32(&c.gv.towers[to], tower)
	atomic.StoreUint32(&row[min(len(c.list), len(row)-1)], to)
	return true
}

// trim gives back the memory of the free slots at the end, high and those on the
// free list.
func (x *Index) trim(high []uint32) {
	free := append(high, x.set.Seize()...)
	slices.Sort(free)
	end := x.set.Slots()
	for each := max(1, step/x.slotBytes()); ; {
		last := len(free)
		for last > 0 && len(free)-last < each && int(free[last-1]) == end-1-(len(free)-last) {
			last--
		}
		to := end - (len(free) - last)
		if to == end || x.upkeep.isStopped() || !x.set.Trim(end, to, x.discard) {
			break
		}
		free, end = free[:last], to
	}
	x.vacate(free)
}

// slotBytes is the memory of a slot, but for maps.
func (x *Index) slotBytes() int { return x.set.SlotBytes() + x.m0*4 }

// discard gives back the memory of the level-0 lists of slots from..to-1.
func (x *Index) discard(from, to int) {
	size := int64(x.m0) * 4
	x.links.Discard(int64(from)*size, int64(to)*size)
}
