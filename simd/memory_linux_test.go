package simd

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// matrix is memory in pages of a kind, "small" or "huge", every page touched; or
// "L1", which fits the first cache.
func matrix(b *testing.B, place string) []float32 {
	if place == "L1" {
		return make([]float32, 4096)
	}
	const align = 2 << 20
	mem, err := unix.Mmap(-1, 0, matrixBytes+align, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		b.Skip("no memory for the matrix:", err)
	}
	b.Cleanup(func() { _ = unix.Munmap(mem) })
	advice := unix.MADV_NOHUGEPAGE
	if place == "huge" {
		advice = unix.MADV_HUGEPAGE
	}
	if err := unix.Madvise(mem, advice); err != nil {
		b.Logf("%s pages: %v", place, err)
	}
	f, _ := Floats(mem[:matrixBytes])
	for i := range f {
		f[i] = float32(i & 255)
	}
	return f
}

// clock is the processor time of the calling thread.
func clock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}
