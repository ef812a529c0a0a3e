//go:build !linux && !darwin && !windows

package arena

import "unsafe"

// granule is the step of growth.
const granule = 64 << 10

const stable = false

// discard does nothing: the garbage collector owns the memory.
func discard([]byte) {}

// reserve takes nothing; commit allocates.
func reserve(int) ([]byte, func([]byte) error, error) {
	return nil, func([]byte) error { return nil }, nil
}

// commit moves the bytes in use to a larger slice, at least doubling it so that
// a region that grows step by step copies each byte a bounded number of times.
// The slice is made of words, so every element type is aligned.
func (r *Region) commit(from, to int64) error {
	if to <= int64(cap(r.mem)) {
		r.mem = r.mem[:to]
		return nil
	}
	room := min(max(to, 2*from), r.limit)
	words := make([]uint64, room/8)
	fresh := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), room)
	copy(fresh, r.mem[:from])
	r.mem = fresh[:to]
	return nil
}
