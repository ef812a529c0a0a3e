// Package arena reserves address space for index memory that grows: flat
// arrays without pointers, outside the garbage collector's heap.
//
// A Region reserves its largest size at once and commits memory as it grows, so
// its base address never moves and readers need no lock while a writer grows
// it. A reservation costs address space only; committed memory costs RAM only
// when a page is first written.
//
//	reserved  |<------------------ Cap ------------------>|
//	committed |<-- Len -->|  beyond it, access faults     |
//
// Systems without such memory (see Stable) fall back to a heap slice that grows
// by copying.
package arena

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"unsafe"
)

// Errors, wrapped with detail.
var (
	// ErrFull reports a Grow beyond what was reserved; reserve more.
	ErrFull = errors.New("arena region is full")
	// ErrFreed reports a Grow after Free.
	ErrFreed = errors.New("arena region was freed")
	// ErrMemory reports that the system refused address space or memory.
	ErrMemory = errors.New("system refused memory")
	// ErrSize reports a size that is not positive or that this machine cannot
	// address.
	ErrSize = errors.New("arena size is out of range")
)

// Region is one growable run of zeroed memory. Len, Cap, Stable and views may be
// used from many goroutines at once, also during Grow; Grow and Free need the
// caller's own exclusion.
type Region struct {
	mem   []byte // whole reservation if Stable, else the committed bytes
	size  atomic.Int64
	limit int64
	free  func([]byte) error // nil after Free
}

// Reserve returns an empty region that can grow to max bytes, rounded up to
// whole pages (2 MiB where huge pages are advised). Reserving far more than the
// machine has is fine. Errors: ErrSize, ErrMemory. The caller must Free it.
func Reserve(max int64) (*Region, error) {
	if max <= 0 || max > math.MaxInt-2*granule {
		return nil, fmt.Errorf("reserve %d bytes: %w", max, ErrSize)
	}
	max = (max + granule - 1) / granule * granule
	r := &Region{limit: max}
	mem, free, err := reserve(int(max))
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w: %w", max, ErrMemory, err)
	}
	r.mem, r.free = mem, free
	return r, nil
}

// Grow extends the region to at least size bytes; fresh bytes are zero, bytes in
// use keep their value. A region never shrinks: a smaller size does nothing.
// If Stable, views taken before remain valid; otherwise they go on showing the
// old memory, and the caller takes new ones, keeping readers out meanwhile.
// Errors: ErrFull, ErrFreed, ErrMemory; then nothing has changed.
func (r *Region) Grow(size int64) error {
	have := r.size.Load()
	switch {
	case r.free == nil:
		return fmt.Errorf("grow to %d bytes: %w", size, ErrFreed)
	case size <= have:
		return nil
	case size > r.limit:
		return fmt.Errorf("grow to %d bytes: %w: %d are reserved", size, ErrFull, r.limit)
	}
	size = (size + granule - 1) / granule * granule
	if err := r.commit(have, size); err != nil {
		return fmt.Errorf("grow to %d bytes: %w: %w", size, ErrMemory, err)
	}
	r.size.Store(size)
	return nil
}

// Discard gives the memory of the whole pages in bytes [from, to) back to the
// system, which backs them again when they are next written. Until then they read
// as zero or as before. Bytes of pages that are not whole in the range keep their
// value. Where the system has no such call it does nothing.
func (r *Region) Discard(from, to int64) {
	page := int64(os.Getpagesize())
	from, to = (from+page-1)/page*page, min(to, r.size.Load())/page*page
	if stable && from >= 0 && from < to {
		discard(r.mem[from:to])
	}
}

// Len is the number of committed bytes.
func (r *Region) Len() int64 { return r.size.Load() }

// Cap is the number of reserved bytes.
func (r *Region) Cap() int64 { return r.limit }

// Stable reports whether the base address stays the same across Grow.
func (r *Region) Stable() bool { return stable }

// Free gives the memory back; no view may be used after it, on pain of a
// fault. A second Free does nothing.
func (r *Region) Free() error {
	if r.free == nil {
		return nil
	}
	free, mem := r.free, r.mem
	r.free, r.mem = nil, nil
	r.size.Store(0)
	r.limit = 0
	return free(mem)
}

// Element is a type that a region may hold: it has no pointers.
type Element interface {
	~int8 | ~uint8 | ~int16 | ~uint16 | ~int32 | ~uint32 | ~int64 | ~uint64 | ~float32 | ~float64
}

// View returns the committed bytes of r as a slice of T in this machine's byte
// order; whole elements only, starting at the base. The slice shares r's memory
// and is valid until Free. It does not grow with r.
func View[T Element](r *Region) []T { return slice[T](r, r.size.Load()) }

// Whole returns all reserved bytes of r as a slice of T, where r is Stable: one
// view for the life of r, of which only the first Len bytes may be touched; the
// rest faults. Where r is not Stable it is the same as View.
func Whole[T Element](r *Region) []T {
	if !stable {
		return View[T](r)
	}
	return slice[T](r, r.limit)
}

func slice[T Element](r *Region, size int64) []T {
	if size == 0 {
		return nil
	}
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(r.mem))), size/int64(unsafe.Sizeof(zero)))
}
