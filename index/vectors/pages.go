package vectors

import (
	"sync"
	"sync/atomic"
)

const (
	pageBits = 10
	pageSize = 1 << pageBits
)

// pages is a sparse array of atomically accessed numbers, all zero at first.
// Memory is taken a page at a time for the indices that were ever set, and kept.
// Reads take no lock and see a page as soon as it is published.
type pages struct {
	mu  sync.Mutex
	top atomic.Pointer[[]atomic.Pointer[page]]
	n   atomic.Int64 // pages taken
}

type page [pageSize]atomic.Uint64

// get returns the number at i.
func (p *pages) get(i uint32) uint64 {
	top := p.top.Load()
	if top == nil || int(i>>pageBits) >= len(*top) {
		return 0
	}
	pg := (*top)[i>>pageBits].Load()
	if pg == nil {
		return 0
	}
	return pg[i&(pageSize-1)].Load()
}

// set stores v at i.
func (p *pages) set(i uint32, v uint64) {
	top := p.top.Load()
	if top != nil && int(i>>pageBits) < len(*top) {
		if pg := (*top)[i>>pageBits].Load(); pg != nil {
			pg[i&(pageSize-1)].Store(v)
			return
		}
	}
	if v == 0 {
		return
	}
	p.page(i)[i&(pageSize-1)].Store(v)
}

// page returns the page of i, taking it if need be. The top is replaced, never
// changed in length, so readers of an old top miss only pages that were empty
// when they loaded it.
func (p *pages) page(i uint32) *page {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := int(i>>pageBits) + 1
	top := p.top.Load()
	if top == nil || len(*top) < want {
		size := 16
		for size < want {
			size *= 2
		}
		grown := make([]atomic.Pointer[page], size)
		if top != nil {
			for j := range *top {
				grown[j].Store((*top)[j].Load())
			}
		}
		p.top.Store(&grown)
		top = &grown
	}
	pg := (*top)[i>>pageBits].Load()
	if pg == nil {
		pg = new(page)
		(*top)[i>>pageBits].Store(pg)
		p.n.Add(1)
	}
	return pg
}

// bytes is the memory of the pages taken.
func (p *pages) bytes() int64 { return p.n.Load() * pageSize * 8 }
