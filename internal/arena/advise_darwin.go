package arena

import "golang.org/x/sys/unix"

// noReserve keeps a reservation from counting as memory in use.
const noReserve = unix.MAP_NORESERVE

// advise does nothing: darwin has no huge pages for anonymous memory.
func advise([]byte, bool) {}
