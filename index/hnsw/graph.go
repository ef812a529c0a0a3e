package hnsw

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/eiderdb/eider/internal/arena"
)

// view is the memory of the graph as of one growth; slots below cap have it.
type view struct {
	cap    int
	m, m0  int
	links  []uint32
	towers []uint32 // 0: not in the graph; 1: level 0; else 2 + offset in blocks
	blocks []uint32
}

// base is the level-0 list of slot.
func (v *view) base(slot uint32) []uint32 {
	off := int(slot) * v.m0
	return v.links[off : off+v.m0 : off+v.m0]
}

// list is the list of slot at level; nil if the slot does not reach it.
func (v *view) list(slot uint32, level int) []uint32 {
	if level == 0 {
		return v.base(slot)
	}
	return v.floor(atomic.LoadUint32(&v.towers[slot]), level)
}

// floor is the list at level >= 1 of the node with tower t; nil if it is lower.
func (v *view) floor(t uint32, level int) []uint32 {
	if t < 2 {
		return nil
	}
	off := int(t - 2)
	if off >= len(v.blocks) || int(v.blocks[off]) < level {
		return nil
	}
	off += 1 + (level-1)*v.m
	if off+v.m > len(v.blocks) {
		return nil // memory moved after this view was taken
	}
	return v.blocks[off : off+v.m : off+v.m]
}

// linked reports whether slot is in the graph.
func (v *view) linked(slot uint32) bool { return atomic.LoadUint32(&v.towers[slot]) != 0 }

// level is the highest level of a linked slot.
func (v *view) level(slot uint32) int {
	if t := atomic.LoadUint32(&v.towers[slot]); t >= 2 && int(t-2) < len(v.blocks) {
		return int(v.blocks[t-2])
	}
	return 0
}

// put stores ids as the list row.
func put(row, ids []uint32) {
	for i := range row {
		id := uint32(none)
		if i < len(ids) {
			id = ids[i]
		}
		if atomic.LoadUint32(&row[i]) != id {
			atomic.StoreUint32(&row[i], id)
		}
	}
}

// take appends the neighbours in row to dst.
func take(row, dst []uint32) []uint32 {
	for i := range row {
		id := atomic.LoadUint32(&row[i])
		if id == none {
			break
		}
		dst = append(dst, id)
	}
	return dst
}

// grow gives the slots below capacity their lists; see vectors.New.
func (x *Index) grow(capacity int) error {
	if err := x.links.Grow(int64(capacity) * int64(x.m0) * 4); err != nil {
		return err
	}
	if err := x.towers.Grow(int64(capacity) * 4); err != nil {
		return err
	}
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	if !x.blocks.Stable() {
		// Linkers stand still here, so memory may move. Upper levels take about
		// one word a node; a node that finds no room stays at level 0.
		if err := x.blocks.Grow(int64(capacity) * 2 * 4); err != nil {
			return err
		}
	}
	x.publish(capacity)
	return nil
}

// publish makes a view of the regions as they are. Called under towerMu.
func (x *Index) publish(capacity int) {
	x.view.Store(&view{
		cap: capacity, m: x.m, m0: x.m0,
		links:  arena.Whole[uint32](x.links),
		towers: arena.Whole[uint32](x.towers),
		blocks: arena.Whole[uint32](x.blocks),
	})
}

// block takes a block of empty lists for a node of level >= 1 and returns the
// value for towers.
func (x *Index) block(level int) (uint32, error) {
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	words := int64(1 + level*x.m)
	var t uint32
	if s := x.spare[level]; len(s) > 0 {
		t = s[len(s)-1]
		x.spare[level] = s[:len(s)-1]
	} else {
		if x.blocked+words > math.MaxUint32-2 {
			return 0, fmt.Errorf("%w: upper levels", arena.ErrFull)
		}
		if want := (x.blocked + words) * 4; want > x.blocks.Len() {
			if !x.blocks.Stable() {
				return 1, nil // only grow may move memory; see there
			}
			if err := x.blocks.Grow(max(want, want+want/4)); err != nil {
				return 0, err
			}
		}
		t = uint32(x.blocked) + 2
		x.blocked += words
	}
	b := x.view.Load().blocks[t-2 : int64(t-2)+words]
	b[0] = uint32(level)
	for i := range b[1:] {
		atomic.StoreUint32(&b[1+i], none)
	}
	return t, nil
}

// raiseBlocks takes the first words words of blocks, for an index being loaded.
func (x *Index) raiseBlocks(words int64) error {
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	if words > math.MaxUint32-2 {
		return fmt.Errorf("%w: upper levels", arena.ErrFull)
	}
	if err := x.blocks.Grow(words * 4); err != nil {
		return err
	}
	x.blocked = words
	x.publish(x.view.Load().cap)
	return nil
}

// unblock gives the block of a tower value back.
func (x *Index) unblock(t uint32) {
	if t < 2 {
		return
	}
	x.towerMu.Lock()
	defer x.towerMu.Unlock()
	level := x.view.Load().blocks[t-2]
	x.spare[level] = append(x.spare[level], t)
}

// lock is the lock of the lists of slot.
func (x *Index) lock(slot uint32) *sync.Mutex { return &x.locks[slot%stripes] }

// level draws the level of a node: geometric with mean scale, a pure function of
// the seed and the id so that equal input gives an equal graph.
func (x *Index) level(id uint32) int {
	z := uint64(x.cfg.Seed) + (uint64(id)+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	u := (float64(z>>11) + 0.5) / (1 << 53) // in (0, 1)
	return min(int(-math.Log(u)*x.scale), maxLevel)
}

// bitset is a set of slots, changed atomically.
type bitset struct{ words []uint32 }

func newBitset(n int) *bitset { return &bitset{make([]uint32, (n+31)/32)} }

func (b *bitset) has(i uint32) bool {
	return int(i/32) < len(b.words) && atomic.LoadUint32(&b.words[i/32])&(1<<(i%32)) != 0
}

// clone is a copy of b that holds 0..n-1 at least.
func (b *bitset) clone(n int) *bitset {
	c := newBitset(max(n, 32*len(b.words)))
	copy(c.words, b.words)
	return c
}

// add puts i in and reports whether it was not there.
func (b *bitset) add(i uint32) bool {
	return atomic.OrUint32(&b.words[i/32], 1<<(i%32))&(1<<(i%32)) == 0
}
