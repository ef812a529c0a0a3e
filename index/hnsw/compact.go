package hnsw

import "slices"

const (
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
// stand still for a pass over all lists per batch. O(n·M) reads of links a batch,
// O(dim) for each node moved, no distances.
func (x *Index) compact() {
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
		high = append(high, x.move(from[:k], low[:k])...)
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
