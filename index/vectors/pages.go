package vectors

import "sync/atomic"

const (
	pageBits = 10 // of an index into a page; 11 bits each lead to it
	pageSize = 1 << pageBits
	fanBits  = 11
	fanSize  = 1 << fanBits
)

// pages is a sparse array of atomically accessed numbers by uint32, all zero at
// first: a tree of two fans and pages, so that even one large index costs 24 KiB
// only. Memory is taken when a page is first set, and kept. No call takes a lock.
type pages struct {
	top [fanSize]atomic.Pointer[fan]
	n   atomic.Int64 // bytes taken
}

type (
	fan  [fanSize]atomic.Pointer[page]
	page [pageSize]atomic.Uint64
)

// get returns the number at i.
func (p *pages) get(i uint32) uint64 {
	f := p.top[i>>(pageBits+fanBits)].Load()
	if f == nil {
		return 0
	}
	pg := f[i>>pageBits%fanSize].Load()
	if pg == nil {
		return 0
	}
	return pg[i%pageSize].Load()
}

// set stores v at i.
func (p *pages) set(i uint32, v uint64) {
	top := &p.top[i>>(pageBits+fanBits)]
	f := top.Load()
	if f == nil {
		if v == 0 {
			return
		}
		if f = new(fan); top.CompareAndSwap(nil, f) {
			p.n.Add(fanSize * 8)
		} else {
			f = top.Load()
		}
	}
	place := &f[i>>pageBits%fanSize]
	pg := place.Load()
	if pg == nil {
		if v == 0 {
			return
		}
		if pg = new(page); place.CompareAndSwap(nil, pg) {
			p.n.Add(pageSize * 8)
		} else {
			pg = place.Load()
		}
	}
	pg[i%pageSize].Store(v)
}

// bytes is the memory of the pages taken.
func (p *pages) bytes() int64 { return p.n.Load() }
