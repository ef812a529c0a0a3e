//go:build linux || darwin

package arena

import (
	"golang.org/x/sys/unix"
)

// granule is the step of reservations and growth: a huge page.
const granule = 2 << 20

const stable = true

// reserve maps size bytes that cannot be touched, starting at a multiple of
// granule so that huge pages fit.
func reserve(size int) ([]byte, func([]byte) error, error) {
	whole, err := unix.Mmap(-1, 0, size+granule, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|noReserve)
	if err != nil {
		return nil, nil, err
	}
	skip := int(-address(whole) & (granule - 1))
	mem := whole[skip : skip+size : skip+size]
	return mem, func([]byte) error { return unix.Munmap(whole) }, nil
}

// small is the size in bytes up to which a region has ordinary pages: a huge
// page is backed whole when its first byte is written, so a thousand small
// indexes would hold gigabytes.
const small = 4 << 20

// commit lets bytes [from, to) be read and written; the kernel backs a page with
// zeroed memory when it is first written.
func (r *Region) commit(from, to int64) error {
	fresh := r.mem[from:to]
	if err := unix.Mprotect(fresh, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return err
	}
	if to > small && from <= small {
		fresh = r.mem[:to] // what was small no longer is
	}
	advise(fresh, to > small)
	return nil
}
