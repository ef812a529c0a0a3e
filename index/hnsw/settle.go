package hnsw

import "sync/atomic"

const (
	settled = 32   // nodes that a link looks after at most
	load    = 4096 // nodes linked one by one before more count as a bulk load
)

// bulk reports whether so many nodes are new that the tender will ask for all when the
// linkers are done. It counts nodes that were linked, in order, and not what waits:
// with one linker equal input makes equal graphs, however fast it comes.
func (x *Index) bulk() bool {
	u := &x.upkeep
	unsure := u.unsure.Load()
	return x.selfish() && unsure > u.audited.Load() && u.dirty.Load() > (u.audited.Load()+unsure)/2+load
}

// wide is how many of the EfConstruction candidates of a new node are expanded, the
// nearest: all, or five eighths in a bulk load. Expanding the rest as well costs a
// quarter of a build and hardly changes recall: at ef 40, 50,000 x 128 clustered
// vectors gain 0.001 to 0.002 by it, 60,000 images and 20,000 x 768 none.
func (x *Index) wide() int {
	if x.bulk() {
		return max(x.m, x.cfg.EfConstruction*5/8)
	}
	return x.cfg.EfConstruction
}

// settle sees to it that slot, which was just linked, is found by its own vector, and
// those that gave way to it in the lists of others, unless what led to them is near
// and leads there still: a write must be found by itself however long it is until the
// next audit. In a bulk load that is soon. It costs up to a third of linking.
func (x *Index) settle(c *linker, slot uint32) {
	doubts := append(c.doubts, drop{none, slot})
	for n := 0; len(doubts) > 0 && n < settled; n++ {
		d := doubts[len(doubts)-1]
		doubts = doubts[:len(doubts)-1]
		if d.from != none && x.bypassed(c, d) && x.anchored(c, d.to) || x.finds(c, d.to) || x.lead(c, d.to, nil, nil) != none {
			continue
		}
		if gone := x.displace(c, d.to); gone.to != none {
			doubts = append(doubts, gone)
		}
	}
	c.doubts = doubts[:0]
}

// bypassed reports whether a neighbour of where d came from still leads to where it
// went: what came by the one comes by the other.
func (x *Index) bypassed(c *linker, d drop) bool {
	row := c.gv.base(d.from)
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		if n < c.limit && leads(c.gv.base(n), d.to) {
			return true
		}
	}
	return false
}

// anchored reports whether more than few of slot's own neighbours link to it: a walk
// for it comes by them.
func (x *Index) anchored(c *linker, slot uint32) bool {
	row, links := c.gv.base(slot), 0
	condemned := x.condemned.Load()
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if n == none {
			break
		}
		if n < c.limit && !condemned.has(n) && leads(c.gv.base(n), slot) {
			if links++; links > few {
				return true
			}
		}
	}
	return false
}

// leads reports whether slot is in a list.
func leads(row []uint32, slot uint32) bool {
	for i := range row {
		if atomic.LoadUint32(&row[i]) == slot {
			return true
		}
	}
	return false
}

// displace links slot from the nearest node where a walk for it ended, c.pool, that
// can do without a neighbour, in place of that. It returns the link that gave way, or
// one to none.
func (x *Index) displace(c *linker, slot uint32) drop {
	for _, e := range c.pool.e {
		n := e.slot & slotMask
		if n == slot || !x.set.IsLive(n) {
			continue
		}
		if gone := x.supplant(c, n, slot); gone != none {
			return drop{n, gone}
		}
	}
	return drop{none, none}
}

// supplant puts slot in the place of the last neighbour of n, which it returns, that is
// anchored and bypassed, or returns none. A link that is the way to nodes far from all
// others is not bypassed: were it to give way to another of them, that would in turn.
func (x *Index) supplant(c *linker, n, slot uint32) uint32 {
	mu := x.lock(n)
	mu.Lock()
	defer mu.Unlock()
	row := c.gv.base(n)
	for i := len(row) - 1; i >= 0; i-- {
		m := atomic.LoadUint32(&row[i])
		if m < c.limit && m != slot && x.bypassed(c, drop{n, m}) && x.anchored(c, m) {
			atomic.StoreUint32(&row[i], slot)
			x.doubt(m)
			return m
		}
	}
	return none
}
