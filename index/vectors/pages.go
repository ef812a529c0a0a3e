package vectors

import "sync/atomic"

// The 32 bits of an index into pages lead, from the top, through two wide fans
// and a narrow one to a page.
const (
	pageBits = 7
	lowBits  = 9
	fanBits  = 8
)

// pages is a sparse array of atomically accessed numbers by uint32, all zero at
// first: a tree of fans and pages, so that even a few indices far apart cost a
// few KiB each only. Memory is taken when a page is first set, and kept. No call
// takes a lock.
type pages struct {
	top fan[fan[low]]
	n   atomic.Int64 // bytes taken
}

type (
	fan[T any] [1 << fanBits]atomic.Pointer[T]
	low        [1 << lowBits]atomic.Pointer[page]
	page       [1 << pageBits]atomic.Uint64
)

// place is the way to index i.
func place(i uint32) (a, b, c, d uint32) {
	return i >> (fanBits + lowBits + pageBits),
		i >> (lowBits + pageBits) % (1 << fanBits),
		i >> pageBits % (1 << lowBits),
		i % (1 << pageBits)
}

// get returns the number at i.
func (p *pages) get(i uint32) uint64 {
	a, b, c, d := place(i)
	if mid := p.top[a].Load(); mid != nil {
		if low := mid[b].Load(); low != nil {
			if page := low[c].Load(); page != nil {
				return page[d].Load()
			}
		}
	}
	return 0
}

// set stores v at i.
func (p *pages) set(i uint32, v uint64) {
	if v == 0 && p.get(i) == 0 {
		return
	}
	p.cell(i).Store(v)
}

// claim stores v at i if there is 0, and reports whether it did.
func (p *pages) claim(i uint32, v uint64) bool { return p.cell(i).CompareAndSwap(0, v) }

// cell is the place of i, made if need be.
func (p *pages) cell(i uint32) *atomic.Uint64 {
	a, b, c, d := place(i)
	mid := grown(&p.top[a], &p.n, 8<<fanBits)
	low := grown(&mid[b], &p.n, 8<<lowBits)
	page := grown(&low[c], &p.n, 8<<pageBits)
	return &page[d]
}

// grown returns what at points to, which it makes, of so many bytes, if need be.
func grown[T any](at *atomic.Pointer[T], total *atomic.Int64, bytes int64) *T {
	if t := at.Load(); t != nil {
		return t
	}
	if t := new(T); at.CompareAndSwap(nil, t) {
		total.Add(bytes)
		return t
	}
	return at.Load()
}

// bytes is the memory of the pages taken.
func (p *pages) bytes() int64 { return p.n.Load() }
