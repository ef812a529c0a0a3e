//go:build !purego

package simd

import "golang.org/x/sys/cpu"

// detect lists the implementations this CPU can run, best first. Every arm64
// CPU has NEON; the 8-bit dot product came with ARMv8.2.
func detect() []*kernels { return []*kernels{neon(cpu.ARM64.HasASIMDDP)} }

// neon is the table of NEON kernels; what has none keeps the plain loop.
func neon(sdot bool) *kernels {
	k := generic
	k.name = "neon"
	k.dot, k.dotGather, k.dotRows = dotNEON, dotGatherNEON, inOrder(dotGatherNEON)
	k.l2, k.l2Gather, k.l2Rows = l2NEON, l2GatherNEON, inOrder(l2GatherNEON)
	k.cosine = func(a, b []float32) (dot, aa, bb float32) { return dotNEON(a, b), dotNEON(a, a), dotNEON(b, b) }
	if sdot {
		k.dotI8, k.dotGatherI8, k.dotRowsI8 = dotI8NEON, dotGatherI8NEON, inOrder(dotGatherI8NEON)
		k.l2I8, k.l2GatherI8, k.l2RowsI8 = l2I8NEON, l2GatherI8NEON, inOrder(l2GatherI8NEON)
		k.dotU8, k.dotGatherU8, k.dotRowsU8 = dotU8NEON, dotGatherU8NEON, inOrder(dotGatherU8NEON)
		k.l2U8, k.l2GatherU8, k.l2RowsU8 = l2U8NEON, l2GatherU8NEON, inOrder(l2GatherU8NEON)
	} else {
		k.dotI8, k.dotGatherI8, k.dotRowsI8 = dotI8OldNEON, dotGatherI8OldNEON, inOrder(dotGatherI8OldNEON)
		k.l2I8, k.l2GatherI8, k.l2RowsI8 = l2I8OldNEON, l2GatherI8OldNEON, inOrder(l2GatherI8OldNEON)
		k.dotU8, k.dotGatherU8, k.dotRowsU8 = dotU8OldNEON, dotGatherU8OldNEON, inOrder(dotGatherU8OldNEON)
		k.l2U8, k.l2GatherU8, k.l2RowsU8 = l2U8OldNEON, l2GatherU8OldNEON, inOrder(l2GatherU8OldNEON)
	}
	k.hamming = func(a, b []uint64) int {
		// The kernel counts in 32 bits.
		const words = 1 << 24
		n := 0
		for ; len(a) > words; a, b = a[words:], b[words:] {
			n += int(hammingNEON(a[:words], b[:words]))
		}
		return n + int(hammingNEON(a, b))
	}
	k.hammingGather, k.hammingRows = hammingGatherNEON, inOrder(hammingGatherNEON)
	return &k
}

// counting lists the first rows of a matrix.
var counting = func() (ids [64]uint32) {
	for i := range ids {
		ids[i] = uint32(i)
	}
	return ids
}()

// inOrder makes a kernel of consecutive rows from one of rows by id.
func inOrder[Q, R, S any](gather func([]Q, []R, int, []uint32, []S)) func([]Q, []R, int, []S) {
	return func(q []Q, rows []R, stride int, out []S) {
		for len(out) > len(counting) {
			gather(q, rows, stride, counting[:], out)
			rows, out = rows[len(counting)*stride:], out[len(counting):]
		}
		gather(q, rows, stride, counting[:len(out)], out)
	}
}
