package hnsw

import (
	"math"

	"github.com/eiderdb/eider/simd"
)

const (
	expanded = 1 << 31 // set in entry.slot once the node was expanded
	slotMask = expanded - 1
)

// entry is a scored node.
type entry struct {
	d    float32
	slot uint32 // with the mark expanded
}

// pool is a list of entries in order of distance, of bounded length: the
// candidates and the results of a best-first walk in one. For the few hundred
// entries a walk keeps, a binary search and a move beat a heap.
type pool struct {
	e   []entry
	cap int
}

func (p *pool) reset(capacity int) {
	p.cap = capacity
	if cap(p.e) < capacity+1 {
		p.e = make([]entry, 0, capacity+1)
	}
	p.e = p.e[:0]
}

// full reports whether a new entry drives out the last.
func (p *pool) full() bool { return len(p.e) == p.cap }

// last is the largest distance in p, which must not be empty.
func (p *pool) last() float32 { return p.e[len(p.e)-1].d }

// limit is the distance that a new entry must be below.
func (p *pool) limit() float32 {
	if len(p.e) < p.cap {
		return float32(math.Inf(1))
	}
	return p.last()
}

// insert puts an entry in its place, after equals, and returns the place. If p
// is full the last entry leaves; d must then be less than last.
func (p *pool) insert(d float32, slot uint32) int {
	at := p.place(d)
	p.put(at, d, slot)
	return at
}

// place is where an entry at distance d belongs, after equals.
func (p *pool) place(d float32) int { return simd.Place(p.e, d) }

// put inserts at a place.
func (p *pool) put(at int, d float32, slot uint32) {
	n := len(p.e)
	if n < p.cap {
		n++
		p.e = p.e[:n]
	}
	copy(p.e[at+1:n], p.e[at:n-1])
	p.e[at] = entry{d, slot}
}

// front is a min-heap of entries without bound: the nodes a filtered walk has
// still to expand.
type front []entry

func (f *front) push(e entry) {
	h := append(*f, e)
	*f = h
	i := len(h) - 1
	for i > 0 {
		p := (i - 1) / 2
		if h[p].d <= e.d {
			break
		}
		h[i] = h[p]
		i = p
	}
	h[i] = e
}

func (f *front) pop() entry {
	h := *f
	least, n := h[0], len(h)-1
	e := h[n]
	h = h[:n]
	*f = h
	i := 0
	for {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && h[c+1].d < h[c].d {
			c++
		}
		if e.d <= h[c].d {
			break
		}
		h[i] = h[c]
		i = c
	}
	if n > 0 {
		h[i] = e
	}
	return least
}
