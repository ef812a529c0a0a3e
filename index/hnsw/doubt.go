package hnsw

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// A node is in doubt if it may not be found by its own vector since a link to it was
// dropped and nobody has asked for it since. The tender asks for those when no more
// inserts come and in each repair. A snapshot says which they were, and which lack links
// in it: its lists are written one after the other while linkers go on, and those of
// the dead are left out. Nodes linked in a bulk load are not noted: all are in doubt
// until an audit.

const (
	unlisted = none - 1              // in a snapshot, instead of doubts: there are too many
	prompt   = 20 * time.Millisecond // of asking before a loaded index is ready; the tender asks the rest

	leafWords = 1 << 15 // of a leaf of marks
	leaves    = 1 << 12
)

// marks is a set of slots that grows while others add to it.
type marks struct {
	some atomic.Bool // slots may be in it
	top  atomic.Pointer[[leaves]atomic.Pointer[leaf]]
}

type leaf [leafWords]uint32

// word is the mark of slot and those around it; with grow it is there afterwards, else
// nil if none of its leaf is marked.
func (m *marks) word(slot uint32, grow bool) *uint32 {
	top := m.top.Load()
	if top == nil {
		if !grow {
			return nil
		}
		m.top.CompareAndSwap(nil, new([leaves]atomic.Pointer[leaf]))
		top = m.top.Load()
	}
	p := &top[slot/32/leafWords]
	c := p.Load()
	if c == nil {
		if !grow {
			return nil
		}
		p.CompareAndSwap(nil, new(leaf))
		c = p.Load()
	}
	return &c[slot/32%leafWords]
}

func (m *marks) add(slot uint32) {
	if w := m.word(slot, true); atomic.LoadUint32(w)&(1<<(slot%32)) == 0 {
		atomic.OrUint32(w, 1<<(slot%32))
	}
	if !m.some.Load() {
		m.some.Store(true)
	}
}

func (m *marks) has(slot uint32) bool {
	w := m.word(slot, false)
	return w != nil && atomic.LoadUint32(w)&(1<<(slot%32)) != 0
}

// take takes those of 32 slots from slot, a multiple of that, out of m.
func (m *marks) take(slot uint32) uint32 {
	w := m.word(slot, false)
	if w == nil || atomic.LoadUint32(w) == 0 {
		return 0
	}
	return atomic.SwapUint32(w, 0)
}

// mark adds slot if b is of so many.
func (b *bitset) mark(slot uint32) {
	if int(slot/32) < len(b.words) {
		b.add(slot)
	}
}

// doubt notes that a link to slot at level 0 was dropped. The caller holds the gate.
func (x *Index) doubt(slot uint32) {
	x.suspects.add(slot)
	if s := x.snapshots.Load(); s != nil {
		for _, b := range *s {
			b.mark(slot)
		}
	}
}

// reask asks for the nodes in doubt, and links those that are not found, as settle
// does. Nodes that give way in turn are in doubt again, so it is done a few times;
// among more equals than there is room for it might go on for ever.
func (x *Index) reask(c *linker, without []uint32) {
	if !x.selfish() {
		x.suspects.some.Store(false)
		return
	}
	for round := 0; round < rounds && x.suspects.some.Swap(false) && !x.upkeep.isStopped(); round++ {
		x.spread(c, func(c *linker, from, to int) {
			x.gate.RLock()
			defer x.gate.RUnlock()
			x.set.Move.RLock()
			defer x.set.Move.RUnlock()
			c.enter(x)
			c.without = without
			for s := from; s < to; s += 32 {
				x.askThose(c, uint32(s), x.suspects.take(uint32(s)))
			}
			c.without = nil
		})
	}
	x.suspects.some.Store(false)
}

// askThose is settle for those of 32 slots from slot that are in word.
func (x *Index) askThose(c *linker, slot, word uint32) {
	for ; word != 0; word &= word - 1 {
		if s := slot + uint32(bits.TrailingZeros32(word)); s < c.limit {
			c.doubts = c.doubts[:0]
			x.settle(c, s)
		}
	}
}

// watch begins to note which of n slots are in doubt, for a snapshot: those that are
// now, and those that get into doubt until unwatch. The caller holds the gate
// exclusively.
func (x *Index) watch(n int) *bitset {
	b := newBitset(n)
	for s := 0; s < n; s += 32 {
		if w := x.suspects.word(uint32(s), false); w != nil {
			b.words[s/32] = atomic.LoadUint32(w)
		}
	}
	x.watching.Lock()
	defer x.watching.Unlock()
	s := []*bitset{b}
	if old := x.snapshots.Load(); old != nil {
		s = append(s, *old...)
	}
	x.snapshots.Store(&s)
	return b
}

// unwatch ends watch.
func (x *Index) unwatch(b *bitset) {
	x.watching.Lock()
	defer x.watching.Unlock()
	s := slices.DeleteFunc(slices.Clone(*x.snapshots.Load()), func(o *bitset) bool { return o == b })
	if len(s) == 0 {
		x.snapshots.Store(nil)
		return
	}
	x.snapshots.Store(&s)
}

// reassure asks for the nodes that a loaded snapshot names as in doubt, before the
// first search if there are few; the others are left to the tender.
func (x *Index) reassure(ids []uint32) {
	u := &x.upkeep
	if len(ids) == 0 {
		return
	}
	if ids[len(ids)-1] == unlisted {
		u.dirty.Store(x.slack() + 1)
		if x.selfish() {
			u.unsure.Store(int64(x.set.Len()) + 1)
			u.unsettled.Store(1)
		}
		return
	}
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	c := x.newLinker()
	c.enter(x)
	start, some := time.Now(), false
	for _, id := range ids {
		slot, ok := x.set.Bound(id)
		if id == none || !ok || !x.set.IsLive(slot) {
			continue
		}
		some = true
		asked := x.selfish() && time.Since(start) < prompt
		if asked {
			c.doubts = c.doubts[:0]
			x.settle(c, slot)
		}
		if !asked || x.set.Filling() { // then it was asked for by its code
			x.doubt(slot)
		}
	}
	if some {
		u.dirty.Store(x.slack() + 1) // without the dead some may be out of reach
	}
}
