package hnsw

import (
	"runtime"
	"slices"
	"sync/atomic"
)

const (
	windows = 8       // parts that an ordering goes through: an eighth more memory, two passes over all lists each
	group   = 64      // neighbours that lie together
	worth   = 8 << 20 // bytes of what walks read from which an ordering pays
)

const vacant = none - 1 // in place of a node: the slot is free, and ours to fill

// scattered reports whether half of the nodes came since they were last put in
// order, and walks read more than caches hold. Called under upkeep.mu.
func (x *Index) scattered() bool {
	n := x.set.Len()
	return x.upkeep.unordered.Load() > int64(n/2) && n*x.walkedBytes() > x.upkeep.worth && !x.set.Filling()
}

// walkedBytes is what a walk reads of a node: its list, and its code or vector.
func (x *Index) walkedBytes() int {
	if size := x.set.CodeSize(); size > 0 {
		return size + x.m0*4
	}
	return x.slotBytes()
}

// order moves the nodes so that those that lie together in the graph lie together
// in memory: walks wait for memory, and then find what they read next in the same
// cache lines and pages. The graph stays the same, so does every answer. Slots are
// filled window by window, from the lowest: what is in the way goes to free slots,
// and the nodes that belong there come in. Each node moves twice. It takes memory
// for an eighth more slots for as long as it lasts. O(n·M + n·dim).
func (x *Index) order() {
	x.upkeep.unordered.Store(0)
	x.follow(x.tour())
}

// follow moves the nodes whose slots tour lists into that order.
func (x *Index) follow(tour []uint32) {
	window := max(moves, len(tour)/windows)
	free := x.set.Seize()
	first, err := x.set.Annex(window)
	if err != nil {
		x.vacate(free) // walks are slower than they could be, that is all
		return
	}
	for i := range window {
		free = append(free, first+uint32(i))
	}
	a := arrange(tour, free, x.set.Slots())
	x.set.StartMoves()
	for from := 0; from < len(tour) && !x.upkeep.isStopped(); from += window {
		to := min(from+window, len(tour))
		a.clear(x, from, to)
		a.fill(x, from, to)
	}
	x.set.EndMoves()
	x.trim(a.free())
}

// tour is the live nodes in groups of neighbours: whoever a breadth-first walk from
// the entry point at level 0 comes to and is in no group begins one, of the nodes
// that a walk of its own comes to first. Groups keep links shorter than one such walk
// over all, which soon is everywhere at once. O(n·M).
func (x *Index) tour() []uint32 {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	v, e := x.view.Load(), x.entry.Load()
	n := uint32(min(x.set.Slots(), v.cap))
	placed, queued := newBitset(int(n)), newBitset(int(n))
	all := make([]uint32, 0, n) // dead ones too: the way to others may be over them
	var queue []uint32
	if e != noEntry {
		queue = append(queue, uint32(e>>8))
	}
	for at, rest := 0, uint32(0); ; at++ {
		for ; at == len(queue) && rest < n; rest++ {
			if v.linked(rest) && !placed.has(rest) {
				queue = append(queue, rest)
			}
		}
		if at == len(queue) {
			break
		}
		if seed := queue[at]; placed.add(seed) {
			begin := len(all)
			all = append(all, seed)
			for i := begin; i < len(all); i++ {
				row := v.base(all[i])
				for j := range row {
					switch m := atomic.LoadUint32(&row[j]); {
					case m >= n || placed.has(m) || !v.linked(m):
					case len(all)-begin < group:
						placed.add(m)
						all = append(all, m)
					case queued.add(m):
						queue = append(queue, m)
					}
				}
			}
			runtime.Gosched() // as linkers do
		}
	}
	return slices.DeleteFunc(all, func(s uint32) bool { return !x.set.IsLive(s) })
}

// arrangement is nodes on their way into an order.
type arrangement struct {
	at     []uint32 // node, by its number in the order -> its slot
	places []uint32 // and where it belongs
	holds  []uint32 // slot -> number of its node, vacant, or none: not ours
}

// arrange is for the order of nodes that tour, a list of slots, gives, into the
// lowest of their slots and free ones, of slots in all.
func arrange(tour, free []uint32, slots int) *arrangement {
	a := &arrangement{at: tour, holds: make([]uint32, slots)}
	for i := range a.holds {
		a.holds[i] = none
	}
	for i, s := range tour {
		a.holds[s] = uint32(i)
	}
	for _, s := range free {
		a.holds[s] = vacant
	}
	for s, h := range a.holds {
		if h != none && len(a.places) < len(tour) {
			a.places = append(a.places, uint32(s))
		}
	}
	return a
}

// clear moves the nodes out of places from..to-1 that belong elsewhere, to the
// highest vacant slots.
func (a *arrangement) clear(x *Index, from, to int) {
	var nodes, slots []uint32
	s, last := len(a.holds)-1, a.places[to-1]
	for i := from; i < to; i++ {
		h := a.holds[a.places[i]]
		if h >= vacant || h == uint32(i) {
			continue
		}
		for s > int(last) && a.holds[s] != vacant {
			s--
		}
		if s == int(last) {
			break // nodes that died hold slots; then some lie out of order
		}
		nodes, slots = append(nodes, h), append(slots, uint32(s))
		s--
	}
	a.move(x, nodes, slots)
}

// fill moves the nodes that belong in places from..to-1 there.
func (a *arrangement) fill(x *Index, from, to int) {
	var nodes, slots []uint32
	for i := from; i < to; i++ {
		if a.holds[a.places[i]] == vacant && a.holds[a.at[i]] == uint32(i) {
			nodes, slots = append(nodes, uint32(i)), append(slots, a.places[i])
		}
	}
	a.move(x, nodes, slots)
}

// move moves nodes to vacant slots. Of one that died the slot is no longer ours.
func (a *arrangement) move(x *Index, nodes, slots []uint32) {
	from := make([]uint32, len(nodes))
	for i, n := range nodes {
		from[i] = a.at[n]
	}
	for i, free := range x.move(from, slots) {
		n := nodes[i]
		if free != from[i] {
			a.holds[from[i]] = none
			continue
		}
		a.holds[from[i]], a.holds[slots[i]] = vacant, n
		a.at[n] = slots[i]
	}
}

// free is the vacant slots.
func (a *arrangement) free() (free []uint32) {
	for s, h := range a.holds {
		if h == vacant {
			free = append(free, uint32(s))
		}
	}
	return free
}
