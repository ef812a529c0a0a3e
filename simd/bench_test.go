package simd

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"
)

// matrixBytes is the size of the matrices that random rows come from: far beyond
// the caches.
const matrixBytes = 512 << 20

// cycle returns a function that yields lists of n random ids below count, from
// a supply long enough that rows are not in a cache when they come again.
func cycle(n, count int) func() []uint32 {
	r := seeded(n)
	supply := make([]uint32, 1<<17/n*n)
	for i := range supply {
		supply[i] = uint32(r.IntN(count))
	}
	at := 0
	return func() []uint32 {
		at += n
		if at > len(supply) {
			at = n
		}
		return supply[at-n : at]
	}
}

// fastest reports the time of the fastest of b.N batches of calls, by the clock
// of this thread, for each of the n distances in a call: other programs on the
// machine make a mean worthless.
func fastest(b *testing.B, n int, call func()) {
	const batch = 64
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Duration(math.MaxInt64)
	for range b.N {
		start := clock()
		for range batch {
			call()
		}
		best = min(best, clock()-start)
	}
	b.ReportMetric(float64(best)/float64(batch*n), "ns/distance")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkGather scores lists of 32 ids and reports time per distance: of rows
// that stay in the first cache, and of random rows of a large matrix in small
// and in huge pages, against one call a pair.
func BenchmarkGather(b *testing.B) {
	for _, place := range []string{"L1", "small", "huge"} {
		mem := matrix(b, place)
		for _, dim := range []int{128, 784} {
			rows := mem[:len(mem)/dim*dim]
			q, out := rows[:dim], make([]float32, 32)
			next := cycle(32, len(rows)/dim)
			report := func(name string, score func(ids []uint32)) {
				b.Run(fmt.Sprintf("%s/%d/%s", place, dim, name), func(b *testing.B) {
					fastest(b, 32, func() { score(next()) })
				})
			}
			report("L2", func(ids []uint32) { L2Gather(q, rows, dim, ids, out) })
			report("Dot", func(ids []uint32) { DotGather(q, rows, dim, ids, out) })
			report("pairs", func(ids []uint32) {
				for i, id := range ids {
					out[i] = L2(q, rows[int(id)*dim:][:dim])
				}
			})
		}
	}
}

// BenchmarkGatherCodes scores lists of 32 ids over compact rows, random in a
// large matrix of huge pages.
func BenchmarkGatherCodes(b *testing.B) {
	for _, place := range []string{"L1", "huge"} {
		mem := matrix(b, place)
		halves, int8s, uint8s, words := half16(mem), view8[int8](mem), view8[uint8](mem), view64(mem)
		out, ints := make([]float32, 32), make([]int32, 32)
		for _, dim := range []int{128, 784} {
			q := make([]float32, dim)
			report := func(name string, bytes int, score func(ids []uint32)) {
				next := cycle(32, len(mem)*4/bytes)
				b.Run(fmt.Sprintf("%s/%d/%s", place, dim, name), func(b *testing.B) {
					fastest(b, 32, func() { score(next()) })
				})
			}
			report("L2Half", 2*dim, func(ids []uint32) { L2GatherHalf(q, halves, dim, ids, out) })
			report("L2I8", dim, func(ids []uint32) { L2GatherI8(int8s[:dim], int8s, dim, ids, ints) })
			report("DotI8", dim, func(ids []uint32) { DotGatherI8(int8s[:dim], int8s, dim, ids, ints) })
			report("L2U8", dim, func(ids []uint32) { L2GatherU8(uint8s[:dim], uint8s, dim, ids, ints) })
			report("DotU8", dim, func(ids []uint32) { DotGatherU8(uint8s[:dim], uint8s, dim, ids, ints) })
			w := (dim + 63) / 64
			report("Hamming", 8*w, func(ids []uint32) { HammingGather(words[:w], words, w, ids, ints) })
		}
	}
}

// BenchmarkRowsBandwidth scans a large matrix in order, against Probe, the
// fastest read there is.
func BenchmarkRowsBandwidth(b *testing.B) {
	mem := matrix(b, "huge")[:64<<20]
	b.Run("Probe", func(b *testing.B) {
		bandwidth(b, 4*len(mem), func() { Probe(mem) })
	})
	for _, dim := range []int{96, 128, 784} {
		n := len(mem) / dim
		out, ints, q := make([]float32, 4*n), make([]int32, 4*n), mem[:dim]
		report := func(name string, scan func()) {
			b.Run(fmt.Sprintf("%s/%d", name, dim), func(b *testing.B) {
				bandwidth(b, 4*n*dim, scan)
			})
		}
		report("L2Rows", func() { L2Rows(q, mem, dim, out[:n]) })
		report("DotRows", func() { DotRows(q, mem, dim, out[:n]) })
		report("L2RowsHalf", func() { L2RowsHalf(q, half16(mem), dim, out[:2*n]) })
		report("L2RowsU8", func() { L2RowsU8(view8[uint8](mem)[:dim], view8[uint8](mem), dim, ints) })
		report("DotRowsI8", func() { DotRowsI8(view8[int8](mem)[:dim], view8[int8](mem), dim, ints) })
	}
}

// bandwidth reports the rate of the fastest of b.N scans.
func bandwidth(b *testing.B, bytes int, scan func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Duration(math.MaxInt64)
	for range b.N {
		start := clock()
		scan()
		best = min(best, clock()-start)
	}
	b.ReportMetric(float64(bytes)/float64(best), "GB/s")
}

// BenchmarkPair is the cost of one call in the first cache.
func BenchmarkPair(b *testing.B) {
	for _, dim := range []int{16, 128, 784} {
		x, y := make([]float32, dim), make([]float32, dim)
		for name, f := range map[string]func(a, b []float32) float32{"Dot": Dot, "L2": L2} {
			b.Run(fmt.Sprintf("%s/%d", name, dim), func(b *testing.B) {
				fastest(b, 1, func() { f(x, y) })
			})
		}
	}
}

// BenchmarkAffineGather scores lists of 32 ids over rows of affine codes, random
// in a large matrix of huge pages.
func BenchmarkAffineGather(b *testing.B) {
	for _, place := range []string{"L1", "huge"} {
		mem := view[uint8](matrix(b, place))
		out, k := make([]float32, 32), &[5]float32{1, 1, 1, 1, 1}
		for _, dim := range []int{128, 400, 784, 1536} {
			report := func(name string, codes int, score func(stride int, ids []uint32)) {
				stride := AffineHeader + codes
				next := cycle(32, len(mem)/stride)
				b.Run(fmt.Sprintf("%s/%d/%s", place, dim, name), func(b *testing.B) {
					fastest(b, 32, func() { score(stride, next()) })
				})
			}
			bytes, nibbles, planes := make([]uint8, dim), make([]int8, dim), make([]uint64, (dim+63)/64*4)
			report("I8", dim, func(stride int, ids []uint32) { AffineGatherI8(bytes, k, mem, stride, ids, out) })
			report("I4", (dim+1)/2, func(stride int, ids []uint32) { AffineGatherI4(nibbles, k, mem, stride, ids, out) })
			report("I1", 2*len(planes), func(stride int, ids []uint32) { AffineGatherI1(planes, k, mem, stride, ids, out) })
		}
	}
}
