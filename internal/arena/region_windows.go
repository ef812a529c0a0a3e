package arena

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// granule is the step of reservations and growth: the allocation granularity of
// VirtualAlloc.
const granule = 64 << 10

const stable = true

// reserve takes size bytes of address space that cannot be touched.
func reserve(size int) ([]byte, func([]byte) error, error) {
	base, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return nil, nil, err
	}
	// The memory is the system's, not the garbage collector's, so the address
	// may become a pointer.
	mem := unsafe.Slice(*(**byte)(unsafe.Pointer(&base)), size)
	return mem, func([]byte) error { return windows.VirtualFree(base, 0, windows.MEM_RELEASE) }, nil
}

// discard lets the system drop the pages of b.
func discard(b []byte) {
	_, _ = windows.VirtualAlloc(address(b), uintptr(len(b)), windows.MEM_RESET, windows.PAGE_READWRITE)
}

// commit lets bytes [from, to) be read and written.
func (r *Region) commit(from, to int64) error {
	fresh := r.mem[from:to]
	_, err := windows.VirtualAlloc(address(fresh), uintptr(len(fresh)), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	return err
}
