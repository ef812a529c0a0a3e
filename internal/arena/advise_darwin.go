package arena

import "golang.org/x/sys/unix"

// noReserve keeps a reservation from counting as memory in use.
const noReserve = unix.MAP_NORESERVE

// discard lets the system take the pages of b when it is short of memory.
func discard(b []byte) { _ = unix.Madvise(b, unix.MADV_FREE) }

// advise does nothing: darwin has no huge pages for anonymous memory.
func advise([]byte, bool) {}
