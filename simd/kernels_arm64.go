//go:build !purego

package simd

import "golang.org/x/sys/cpu"

// detect lists the implementations this CPU can run, best first. Every arm64
// CPU has NEON; the 8-bit dot product came with ARMv8.2.
func detect() []*kernels { return []*kernels{neon(cpu.ARM64.HasASIMDDP)} }

// neon is the table of NEON kernels; what has none keeps the plain loop.
func neon(sdot bool) *kernels {
	k := generic
	k.name, k.gemm = "neon", &gemmNeon
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
	k.affineGatherI8 = func(q []uint8, c *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
		tail := tailI8(q)
		if sdot {
			affineGatherI8NEON(q, &tail, c, rows, stride, ids, out)
		} else {
			affineGatherI8OldNEON(q, &tail, c, rows, stride, ids, out)
		}
	}
	k.affineGatherI4 = func(q []int8, c *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
		tail := tailI4(q)
		if sdot {
			affineGatherI4NEON(q, &tail, c, rows, stride, ids, out)
		} else {
			affineGatherI4OldNEON(q, &tail, c, rows, stride, ids, out)
		}
	}
	k.affineGatherI1 = func(q []uint64, c *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
		tail := tailI1(q)
		affineGatherI1NEON(q, &tail, c, rows, stride, ids, out)
	}
	k.affineRowsI8 = affineInOrder(k.affineGatherI8)
	k.affineRowsI4 = affineInOrder(k.affineGatherI4)
	k.affineRowsI1 = affineInOrder(k.affineGatherI1)
	return &k
}

// The last 16 bytes of codes meet a query of their own: zeros against codes that
// whole steps counted, or against the header, then what is left.

func tailI8(q []uint8) (tail [16]uint8) {
	rest := len(q) & 15
	copy(tail[16-rest:], q[len(q)-rest:])
	return tail
}

func tailI4(q []int8) (tail [32]int8) {
	h, whole := (len(q)+1)/2, len(q)/2&^15
	copy(tail[16-(h-whole):16], q[whole:h])
	copy(tail[32-(h-whole):], q[h+whole:])
	return tail
}

func tailI1(q []uint64) (tail [8]uint64) {
	if w := len(q) / 4; w%2 != 0 {
		for p := range 4 {
			tail[2*p+1] = q[p*w+w-1]
		}
	}
	return tail
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

// affineInOrder is inOrder for affine kernels.
func affineInOrder[Q any](gather func([]Q, *[5]float32, []uint8, int, []uint32, []float32)) func([]Q, *[5]float32, []uint8, int, []float32) {
	return func(q []Q, k *[5]float32, rows []uint8, stride int, out []float32) {
		for len(out) > len(counting) {
			gather(q, k, rows, stride, counting[:], out)
			rows, out = rows[len(counting)*stride:], out[len(counting):]
		}
		gather(q, k, rows, stride, counting[:len(out)], out)
	}
}
