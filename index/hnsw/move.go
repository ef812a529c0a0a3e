package hnsw

import (
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	moves   = 4096       // nodes that move at a time, at least: each batch reads all lists
	portion = 4 * atOnce // lists renamed before others may run: few stops, as linkers wait
)

// move moves the nodes with slots from to the free slots to, one for one, in the
// steps that package vectors names, and renames them in all lists: the graph stays
// what it is. It returns, in the same order, the slots that are free then, for the
// caller to use or vacate: that in from, or that in to if the node died before.
//
// Searches go on. Linkers stand still while the lists are read, so none of them
// can bring back a name that was replaced, and Save comes before or after. O(n·M)
// reads, O(dim) for each node.
func (x *Index) move(from, to []uint32) (free []uint32) {
	x.share(len(from), func(i, j int) {
		for ; i < j; i++ {
			x.set.Copy(from[i], to[i])
		}
	})
	x.saving.Lock()
	x.gate.Lock()
	forward, moved := make([]uint32, x.set.Slots()), newBitset(x.set.Slots())
	for i, f := range from {
		x.inherit(f, to[i])
		if !x.set.Switch(f, to[i]) {
			x.disown(to[i])
			free = append(free, to[i])
			continue
		}
		if x.suspects.has(f) {
			x.suspects.add(to[i])
		}
		free = append(free, f)
		forward[f] = to[i]
		moved.add(f)
	}
	x.condemned.Store(moved)
	x.share(len(forward), func(i, j int) { x.rename(i, j, moved, forward) })
	x.towerMu.Lock()
	if e := x.entry.Load(); e != noEntry && moved.has(uint32(e>>8)) {
		x.entry.Store(uint64(forward[e>>8])<<8 | e&0xff)
	}
	x.towerMu.Unlock()
	x.gate.Unlock()
	x.saving.Unlock()
	x.set.Wait()
	x.gate.RLock() // for Check, which must not see some of them gone
	for i, f := range from {
		if moved.has(f) {
			x.disown(f)
			x.set.Retire(f, to[i])
		}
	}
	x.condemned.Store(&bitset{})
	x.gate.RUnlock()
	x.set.Wait()
	return free
}

// inherit gives the free slot to the lists of from: a copy at level 0, the same
// above.
func (x *Index) inherit(from, to uint32) {
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	v := x.view.Load()
	row, old := v.base(to), v.base(from)
	for i := range row {
		atomic.StoreUint32(&row[i], atomic.LoadUint32(&old[i]))
	}
	atomic.StoreUint32(&v.towers[to], atomic.LoadUint32(&v.towers[from]))
}

// disown takes slot out of the graph; its upper lists are another's.
func (x *Index) disown(slot uint32) {
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	atomic.StoreUint32(&x.view.Load().towers[slot], 0)
}

// rename puts the new slots in place of those that moved in the lists of slots
// i..j-1.
func (x *Index) rename(i, j int, moved *bitset, forward []uint32) {
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	v := x.view.Load()
	for s := uint32(i); s < uint32(j); s++ {
		if !v.linked(s) {
			continue
		}
		for level := v.level(s); level >= 0; level-- {
			row := v.list(s, level)
			for k := range row {
				n := atomic.LoadUint32(&row[k])
				if n == none {
					break
				}
				if moved.has(n) {
					atomic.StoreUint32(&row[k], forward[n])
				}
			}
		}
	}
}

// share calls do for parts of 0..n-1, from as many goroutines as there are
// workers. Unlike spread it always comes to the end.
func (x *Index) share(n int, do func(i, j int)) {
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(portion)) - portion
			if i >= n {
				return
			}
			do(i, min(i+portion, n))
			runtime.Gosched() // as linkers do
		}
	}
	var wg sync.WaitGroup
	for range min(x.crew(), n/portion+1) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
