package arena

import "golang.org/x/sys/unix"

// noReserve keeps a reservation from counting as memory in use.
const noReserve = unix.MAP_NORESERVE

// discard drops the pages of b; they read as zero afterwards. A kernel that
// refuses keeps them.
func discard(b []byte) { _ = unix.Madvise(b, unix.MADV_DONTNEED) }

// advise asks for huge pages, which spare random reads most of their TLB misses,
// or for ordinary ones. A kernel without them refuses; that costs speed only.
func advise(fresh []byte, huge bool) {
	advice := unix.MADV_NOHUGEPAGE
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(fresh, advice)
	// Vectors can be rebuilt and may be large or private: keep them out of
	// core dumps.
	_ = unix.Madvise(fresh, unix.MADV_DONTDUMP)
}
