package hnsw

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/eiderdb/eider/index/vectors"
)

// drop is a link that gave way.
type drop struct{ from, to uint32 }

// linker is a searcher that also changes links.
type linker struct {
	*searcher
	other         vectors.Probe
	base          uint32  // whose neighbours are being chosen
	slack         float32 // of distances from it
	kept, refused []uint32
	bases         []vectors.Probe // of kept, as far as candidates were held against them
	open          []entry
	near          struct {
		slots [batch]uint32
		d     [batch]float32
	}
	vec          []float32
	list         []uint32
	settles      bool     // what it links, and those that give way
	doubts       []drop   // of lists at level 0 since link began
	stays, fresh []uint32 // neighbours of a mended node, from before and new
	gone         []uint32 // neighbours that it had and that have to do without it
	without      []uint32 // nodes that walks of finds pass by
	local        pool     // candidates of one node
	levels       [maxLevel + 1][]uint32
}

func (x *Index) newLinker() *linker {
	return &linker{
		searcher: newSearcher(x.serial.Add(1), x.m0),
		open:     make([]entry, 0, batch),
	}
}

// link puts a fresh slot into the graph. The caller is a reader of the set.
//
// The slot's own lists are complete before its tower is published and before any
// node links to it, so a search that meets it can go on from it.
func (x *Index) link(c *linker, slot uint32) error {
	x.gate.RLock()
	defer x.gate.RUnlock()
	x.set.Move.RLock()
	defer x.set.Move.RUnlock()
	level := x.level(atomic.LoadUint32(&x.set.View().IDs[slot]))
	tower := uint32(1)
	if level > 0 {
		var err error
		if tower, err = x.block(level); err != nil {
			return err
		}
		if tower == 1 {
			level = 0
		}
	}
	c.enter(x)
	if c.entry == noEntry && x.first(slot, tower, level) {
		return nil
	}
	if c.entry == noEntry {
		c.enter(x)
	}
	top := min(level, int(c.entry&0xff))
	x.choose(c, slot, top)
	put(c.gv.base(slot), c.levels[0])
	for l := 1; l <= top; l++ {
		put(c.gv.floor(tower, l), c.levels[l])
	}
	atomic.StoreUint32(&c.gv.towers[slot], tower)
	for l := top; l > 0; l-- {
		for _, n := range c.levels[l] {
			x.back(c, n, slot, l, false)
		}
	}
	held := false
	c.doubts, c.settles = c.doubts[:0], x.selfish() && !x.bulk()
	for _, n := range c.levels[0] {
		held = x.back(c, n, slot, 0, false) || held
	}
	if !held && len(c.levels[0]) > 0 {
		x.back(c, c.levels[0][0], slot, 0, true)
	}
	if e := x.entry.Load(); e == noEntry || level > int(e&0xff) {
		x.raise(slot, level)
	}
	if c.settles {
		x.settle(c, slot)
	} else if x.selfish() {
		x.upkeep.unsettled.Add(1)
	}
	return nil
}

// first makes slot the entry point of an empty graph; false if it is not empty.
func (x *Index) first(slot, tower uint32, level int) bool {
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	if x.entry.Load() != noEntry {
		return false
	}
	atomic.StoreUint32(&x.view.Load().towers[slot], tower)
	x.entry.Store(uint64(slot)<<8 | uint64(level))
	return true
}

// raise makes slot the entry point if no other is as high.
func (x *Index) raise(slot uint32, level int) {
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	if e := x.entry.Load(); e == noEntry || level > int(e&0xff) {
		x.entry.Store(uint64(slot)<<8 | uint64(level))
	}
}

// choose finds the neighbours of slot at levels top..0 into c.levels.
func (x *Index) choose(c *linker, slot uint32, top int) {
	q := &c.probe
	if x.set.Resident() {
		x.set.Retrace(q, c.sv, slot)
	} else {
		x.set.Ask(q, c.sv, slot)
	}
	c.base, c.slack = slot, x.set.Rounding(q, 0)
	at, d := x.descend(c.searcher, q, c.entry, top)
	for l := top; l >= 0; l-- {
		c.turn()
		c.see(slot)
		c.pool.reset(x.cfg.EfConstruction)
		if c.see(at) {
			c.pool.insert(d, at)
		}
		x.walkTo(context.Background(), c.searcher, q, l, x.wide())
		if len(c.pool.e) > 0 {
			at, d = c.pool.e[0].slot&slotMask, c.pool.e[0].d
		}
		c.levels[l] = append(c.levels[l][:0], x.diverse(c, x.eligible(c, c.pool.e), x.m, x.m/2)...)
	}
}

// eligible is e without the nodes that should get no links: condemned ones, and
// dead ones unless nothing lives. It reuses e.
func (x *Index) eligible(c *linker, e []entry) []entry {
	if x.set.Dead() == 0 {
		return e
	}
	condemned := x.condemned.Load()
	live, rest := e[:0], c.local.e[:0]
	for _, n := range e {
		s := n.slot & slotMask
		switch {
		case x.set.IsLive(s):
			live = append(live, n)
		case !condemned.has(s):
			rest = append(rest, n)
		}
	}
	c.local.e = rest
	if len(live) == 0 {
		return rest
	}
	return live
}

// back adds slot to the list of n at level and reports whether it is in it then.
// A full list is chosen anew among its members and slot; with force slot replaces
// the last of those kept if need be.
func (x *Index) back(c *linker, n, slot uint32, level int, force bool) bool {
	mu := x.lock(n)
	mu.Lock()
	defer mu.Unlock()
	row := c.gv.list(n, level)
	if row == nil {
		return false
	}
	c.list = take(row, c.list[:0])
	for _, m := range c.list {
		if m == slot {
			return true
		}
	}
	if len(c.list) < len(row) {
		atomic.StoreUint32(&row[len(c.list)], slot)
		return true
	}
	c.list = append(c.list, slot)
	x.rank(c, n, c.list)
	kept := x.diverse(c, c.local.e, len(row), len(row)/2)
	held := false
	for _, m := range kept {
		held = held || m == slot
	}
	if !held && force {
		kept[len(kept)-1], held = slot, true
	}
	put(row, kept)
	if level == 0 && (c.settles || x.snapshots.Load() != nil) {
		for _, e := range c.local.e {
			if s := e.slot & slotMask; s != slot && !slices.Contains(kept, s) {
				c.doubts = append(c.doubts, drop{n, s})
				x.doubt(s)
			}
		}
	}
	return held
}

// rank sorts slots by distance from base into c.local, leaving out the condemned.
func (x *Index) rank(c *linker, base uint32, slots []uint32) {
	if dead := x.set.Dead(); dead > 0 {
		condemned := x.condemned.Load()
		kept := slots[:0]
		for _, s := range slots {
			if !condemned.has(s) {
				kept = append(kept, s)
			}
		}
		slots = kept
	}
	x.set.Retrace(&c.other, c.sv, base)
	c.base, c.slack = base, x.set.Rounding(&c.other, 0)
	c.local.reset(len(slots))
	for len(slots) > 0 {
		m := min(len(slots), len(c.out))
		x.set.Near(&c.other, c.sv, slots[:m], c.out, inf)
		for i, d := range c.out[:m] {
			c.local.insert(d, slots[i])
		}
		slots = slots[m:]
	}
}
