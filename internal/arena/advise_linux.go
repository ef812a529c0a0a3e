package arena

import "golang.org/x/sys/unix"

// noReserve keeps a reservation from counting as memory in use.
const noReserve = unix.MAP_NORESERVE

// advise asks for huge pages, which spare random reads most of their TLB misses.
// A kernel without them refuses; that costs speed only.
func advise(fresh []byte) {
	_ = unix.Madvise(fresh, unix.MADV_HUGEPAGE)
	// Vectors can be rebuilt and may be large or private: keep them out of
	// core dumps.
	_ = unix.Madvise(fresh, unix.MADV_DONTDUMP)
}
