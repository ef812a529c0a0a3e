package hnsw

import (
	"context"
	"sync/atomic"

	"github.com/eiderdb/eider/index/vectors"
	"github.com/eiderdb/eider/simd"
)

// lookout is how many hops a walk takes between looks at the context.
const lookout = 32

// searcher is the working memory of one walk at a time. It is reused, so a
// search allocates nothing in steady state.
type searcher struct {
	hint  uint32
	sv    *vectors.View
	gv    *view
	limit uint32  // slots from here on have no memory in the views
	entry uint64  // the entry point; below limit
	seen  []uint8 // slot -> epoch of the walk that last saw it
	epoch uint8   // of this walk, even; with 1 added: met and refused

	pool   pool
	found  pool // admitted nodes of a filtered walk
	front  front
	slots  []uint32
	out    []float32
	next   []uint32 // spare, for fetch
	bridge []uint32
	probe  vectors.Probe
	tail   []uint32
	bits   []uint64 // allowed ids of a filtered search
	scan   vectors.Scan
	allow  admission

	away vectors.Probe // a node, in place of the query
	warm uint32        // sum of what was read only to have it in the cache

	passed int // searches, for asked.note
	copies int // of one vector that a pool takes at most

	hops, scored, links int // since enter
}

func newSearcher(hint uint32, m0 int) *searcher {
	return &searcher{hint: hint, copies: m0 / 4, slots: make([]uint32, 4*m0), next: make([]uint32, m0), out: make([]float32, 4*m0)}
}

// enter takes the views of x as they are now.
func (c *searcher) enter(x *Index) {
	c.entry = x.entry.Load() // before the views, so that they have its memory
	c.gv = x.view.Load()
	c.sv = x.set.View()
	n := min(c.gv.cap, c.sv.Cap)
	c.limit = uint32(n)
	if len(c.seen) < n {
		c.seen = make([]uint8, n, (n+3)&^3)
		c.epoch = 0
	}
	c.hops, c.scored, c.links = 0, 0, 0
}

// turn forgets which slots were seen.
func (c *searcher) turn() {
	if c.epoch += 2; c.epoch == 0 {
		clear(c.seen)
		c.epoch = 2
	}
}

// see marks slot and reports whether it is new and within the views.
func (c *searcher) see(slot uint32) bool {
	if slot >= c.limit || c.seen[slot] == c.epoch {
		return false
	}
	c.seen[slot] = c.epoch
	return true
}

// descend goes greedily from the entry point to the node nearest to q at
// each level above to, and returns it with its distance.
func (x *Index) descend(c *searcher, q *vectors.Probe, entry uint64, to int) (uint32, float32) {
	at := uint32(entry >> 8)
	c.slots[0] = at
	x.set.Near(q, c.sv, c.slots[:1], c.out, inf)
	c.scored++
	best := c.out[0]
	for level := int(entry & 0xff); level > to; level-- {
		for moved := true; moved; {
			moved = false
			m := 0
			for _, n := range take(c.gv.list(at, level), c.slots[:0]) {
				if n < c.limit {
					c.slots[m] = n
					m++
				}
			}
			x.set.Near(q, c.sv, c.slots[:m], c.out, best)
			c.scored += m
			c.hops++
			for i, d := range c.out[:m] {
				if d < best {
					best, at, moved = d, c.slots[i], true
				}
			}
		}
	}
	return at, best
}

// walk fills c.pool with the ef nodes nearest to q that a best-first walk at
// level meets, starting from what is in the pool, all of it marked seen.
func (x *Index) walk(ctx context.Context, c *searcher, q *vectors.Probe, level int) error {
	return x.walkTo(ctx, c, q, level, c.pool.cap)
}

// walkTo is walk until the first ef of the pool are all expanded. What they are
// then is what a walk with a pool of that size would find. It may be called again
// to go on to a larger ef.
func (x *Index) walkTo(ctx context.Context, c *searcher, q *vectors.Probe, level, ef int) error {
	p := &c.pool
	slots, out := c.slots, c.out
	for cur, hop := 0, 0; cur < min(ef, len(p.e)); {
		s := p.e[cur].slot
		if s&expanded != 0 {
			cur++
			continue
		}
		p.e[cur].slot = s | expanded
		if hop++; hop%lookout == 0 && done(ctx) {
			return ctx.Err()
		}
		m := c.unseen(c.gv.list(s, level), slots)
		c.hops++
		if cur++; m == 0 {
			continue
		}
		x.fetch(c, q, p.e[cur:], level)
		x.set.Near(q, c.sv, slots[:m], out, p.limit())
		c.scored += m
		cur = min(cur, x.offer(c, p, slots[:m], out[:m]))
	}
	return nil
}

// unseen writes the neighbours in row that the walk has not seen to dst, of at
// least as many, marks them and returns their number. Each takes the same steps:
// whether one was seen is a coin toss to the CPU, and wrong guesses cost more.
func (c *searcher) unseen(row, dst []uint32) int {
	seen, epoch := c.seen[:c.limit], c.epoch
	dst = dst[:len(row)]
	m := 0
	for i := range row {
		n := atomic.LoadUint32(&row[i])
		if uint(n) >= uint(len(seen)) {
			if n == none {
				break
			}
			continue
		}
		dst[m] = n
		unseen := 0
		if seen[n] != epoch {
			unseen = 1
		}
		seen[n] = epoch
		m += unseen
	}
	return m
}

// fetch asks for the memory of the hops that come next unless nearer nodes are
// found first: what, for q, the first node of e that is not expanded will score, and the
// lists of the two after it. Once they are first, the CPU has their lists.
func (x *Index) fetch(c *searcher, q *vectors.Probe, e []entry, level int) {
	for i, n := 0, 0; i < len(e) && n < 3; i++ {
		if e[i].slot&expanded != 0 {
			continue
		}
		row := c.gv.list(e[i].slot, level)
		if n++; n == 1 {
			x.set.Fetch(q, c.sv, row, c.seen[:c.limit], c.epoch, c.next)
		} else {
			simd.Fetch(row)
		}
	}
}

// offer inserts scored nodes that get in and returns the least place taken. Of
// equal vectors at most c.copies get in: more of them than the pool holds would
// hide everything beyond them.
func (x *Index) offer(c *searcher, p *pool, slots []uint32, out []float32) int {
	least := len(p.e)
	limit := p.limit()
	for i, d := range out {
		if d >= limit {
			continue
		}
		at := p.place(d)
		if at >= c.copies && p.e[at-c.copies].d == d && x.crowded(c, slots[i], p.e[at-c.copies:at]) {
			continue
		}
		p.put(at, d, slots[i])
		least = min(least, at)
		limit = p.limit()
	}
	return least
}

// crowded reports whether all of e hold the vector that slot holds.
func (x *Index) crowded(c *searcher, slot uint32, e []entry) bool {
	for i := len(e) - 1; i >= 0; i-- {
		if !x.set.Equal(c.sv, slot, e[i].slot&slotMask) {
			return false
		}
	}
	return true
}

// done reports whether ctx has ended; cheaper than its Err.
func done(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}
