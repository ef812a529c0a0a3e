//go:build !purego

package simd

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate go -C _asm run . -isa avx2 -out ../avx2_amd64.s -stubs ../avx2_amd64.go -pkg simd
//go:generate go -C _asm run . -isa avx512 -out ../avx512_amd64.s -stubs ../avx512_amd64.go -pkg simd

// amd is whether the CPU is one of AMD's, on which kernels walk long matrices one
// row after the other, and fetch ahead into the second cache only; see denseRows and
// byVendor in _asm.
var amd = func() bool {
	const auth = 'A' | 'u'<<8 | 't'<<16 | 'h'<<24
	_, vendor, _, _ := cpuid(0, 0)
	return vendor == auth
}()

// detect lists the implementations this CPU and its system can run, best first.
func detect() []*kernels {
	const f16c = 1 << 29
	x := &cpu.X86
	if _, _, c, _ := cpuid(1, 0); !x.HasAVX2 || !x.HasFMA || !x.HasBMI2 || c&f16c == 0 {
		return nil
	}
	two := avx2()
	if !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512VL || !x.HasAVX512DQ {
		return []*kernels{two}
	}
	return []*kernels{avx512(two, x.HasAVX512VNNI, x.HasAVX512VPOPCNTDQ), two}
}

// avx512 is the table of AVX-512 kernels. Early AVX-512 CPUs have no 8-bit dot
// product (vnni) or no population count (popcnt); they keep AVX2's.
func avx512(two *kernels, vnni, popcnt bool) *kernels {
	k := *two
	k.name, k.lanes = "avx512", 16
	k.dotRows, k.dotGather = dotRowsAVX512, dotGatherAVX512
	k.l2Rows, k.l2Gather = l2RowsAVX512, l2GatherAVX512
	k.cosine, k.axpy = cosineAVX512, axpyAVX512
	k.probe = func(x []float32) float32 { return probeRest(x, probeAVX512(x)) }
	k.largest = largestAVX512
	k.toHalf, k.fromHalf = toHalfAVX512, fromHalfAVX512
	k.dotHalf, k.dotRowsHalf, k.dotGatherHalf = dotHalfAVX512, dotRowsHalfAVX512, dotGatherHalfAVX512
	k.l2Half, k.l2RowsHalf, k.l2GatherHalf = l2HalfAVX512, l2RowsHalfAVX512, l2GatherHalfAVX512
	k.gemm = &gemmAVX512
	k.place = placeNear
	k.admit = admitAVX512
	k.functions = avx512Functions
	k.span, k.quantise = wholeSpan(spanAVX512), wholeQuantise(quantiseAVX512)
	if vnni {
		k.dotI8, k.dotRowsI8, k.dotGatherI8 = dotI8AVX512, dotRowsI8AVX512, dotGatherI8AVX512
		k.l2I8, k.l2RowsI8, k.l2GatherI8 = l2I8AVX512, l2RowsI8AVX512, l2GatherI8AVX512
		k.dotU8, k.dotRowsU8, k.dotGatherU8 = dotU8AVX512, dotRowsU8AVX512, dotGatherU8AVX512
		k.l2U8, k.l2RowsU8, k.l2GatherU8 = l2U8AVX512, l2RowsU8AVX512, l2GatherU8AVX512
		k.affineRowsI8, k.affineGatherI8 = affineRowsI8AVX512, affineGatherI8AVX512
		k.affineRowsI4, k.affineGatherI4 = affineRowsI4AVX512, affineGatherI4AVX512
	}
	if popcnt {
		k.popcount, k.hamming = popcountAVX512, hammingAVX512
		// Rows of fewer bytes than a register are AVX2's: a masked load that goes
		// on into the next line waits for it.
		k.hammingRows = longRows(wordBlock, hammingRowsAVX512, two.hammingRows)
		k.hammingGather = longGather(wordBlock, hammingGatherAVX512, two.hammingGather)
		k.affineRowsI1 = longAffineRows(planeBlock, affineRowsI1AVX512, two.affineRowsI1)
		k.affineGatherI1 = longAffineGather(planeBlock, affineGatherI1AVX512, two.affineGatherI1)
	}
	return &k
}

// Of AVX-512, for what it leaves to AVX2.
const (
	wordBlock  = 8
	planeBlock = 4 * (wordBlock - AffineHeader/8)
)

// Without mask registers, an AVX2 kernel of anything but words reads its last
// elements by a block that ends with the vector, so vectors shorter than a block
// go to the plain loops.
const (
	floatBlock = 8
	byteBlock  = 16

	// A block of nibbles may begin in the header, which multiplies zeros.
	nibbleBlock = 2*AffineHeader - 1
)

func avx2() *kernels {
	g := &generic
	return &kernels{
		name:      "avx2",
		lanes:     8,
		dotRows:   longRows(floatBlock, dotRowsAVX2, g.dotRows),
		l2Rows:    longRows(floatBlock, l2RowsAVX2, g.l2Rows),
		dotGather: longGather(floatBlock, dotGatherAVX2, g.dotGather),
		l2Gather:  longGather(floatBlock, l2GatherAVX2, g.l2Gather),
		cosine: func(a, b []float32) (dot, aa, bb float32) {
			if len(a) < floatBlock {
				return cosineGeneric(a, b)
			}
			return cosineAVX2(a, b)
		},
		axpy:  axpyAVX2,
		probe: func(x []float32) float32 { return probeRest(x, probeAVX2(x)) },
		largest: func(ids []uint32) uint32 {
			if len(ids) < floatBlock {
				return largestGeneric(ids)
			}
			return largestAVX2(ids)
		},
		toHalf: func(dst []uint16, src []float32) {
			if len(src) < floatBlock {
				toHalfGeneric(dst, src)
			} else {
				toHalfAVX2(dst, src)
			}
		},
		fromHalf: func(dst []float32, src []uint16) {
			if len(src) < floatBlock {
				fromHalfGeneric(dst, src)
			} else {
				fromHalfAVX2(dst, src)
			}
		},
		dotHalf:        longPair(floatBlock, dotHalfAVX2, g.dotHalf),
		l2Half:         longPair(floatBlock, l2HalfAVX2, g.l2Half),
		dotRowsHalf:    longRows(floatBlock, dotRowsHalfAVX2, g.dotRowsHalf),
		l2RowsHalf:     longRows(floatBlock, l2RowsHalfAVX2, g.l2RowsHalf),
		dotGatherHalf:  longGather(floatBlock, dotGatherHalfAVX2, g.dotGatherHalf),
		l2GatherHalf:   longGather(floatBlock, l2GatherHalfAVX2, g.l2GatherHalf),
		dotI8:          longPair(byteBlock, dotI8AVX2, g.dotI8),
		l2I8:           longPair(byteBlock, l2I8AVX2, g.l2I8),
		dotRowsI8:      longRows(byteBlock, dotRowsI8AVX2, g.dotRowsI8),
		l2RowsI8:       longRows(byteBlock, l2RowsI8AVX2, g.l2RowsI8),
		dotGatherI8:    longGather(byteBlock, dotGatherI8AVX2, g.dotGatherI8),
		l2GatherI8:     longGather(byteBlock, l2GatherI8AVX2, g.l2GatherI8),
		dotU8:          longPair(byteBlock, dotU8AVX2, g.dotU8),
		l2U8:           longPair(byteBlock, l2U8AVX2, g.l2U8),
		dotRowsU8:      longRows(byteBlock, dotRowsU8AVX2, g.dotRowsU8),
		l2RowsU8:       longRows(byteBlock, l2RowsU8AVX2, g.l2RowsU8),
		dotGatherU8:    longGather(byteBlock, dotGatherU8AVX2, g.dotGatherU8),
		l2GatherU8:     longGather(byteBlock, l2GatherU8AVX2, g.l2GatherU8),
		popcount:       popcountAVX2,
		hamming:        hammingAVX2,
		hammingRows:    hammingRowsAVX2,
		hammingGather:  hammingGatherAVX2,
		affineRowsI8:   longAffineRows(byteBlock, affineRowsI8AVX2, g.affineRowsI8),
		affineGatherI8: longAffineGather(byteBlock, affineGatherI8AVX2, g.affineGatherI8),
		affineRowsI4: longAffineRows(nibbleBlock, func(q []int8, k *[5]float32, rows []uint8, stride int, out []float32) {
			tail := halves(q)
			affineRowsI4AVX2(&tail, q, k, rows, stride, out)
		}, g.affineRowsI4),
		affineGatherI4: longAffineGather(nibbleBlock, func(q []int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
			tail := halves(q)
			affineGatherI4AVX2(&tail, q, k, rows, stride, ids, out)
		}, g.affineGatherI4),
		affineRowsI1:   affineRowsI1AVX2,
		affineGatherI1: affineGatherI1AVX2,
		span:           wholeSpan(spanAVX2),
		quantise:       wholeQuantise(quantiseAVX2),
		place:          placeGeneric,
		gemm:           &gemmAVX2,
		admit:          admitGeneric,
		functions:      avx2Functions,
	}
}

// longPair is long, or short for vectors of fewer than n elements.
func longPair[Q, R, S any](n int, long, short func([]Q, []R) S) func([]Q, []R) S {
	return func(a []Q, b []R) S {
		if len(a) < n {
			return short(a, b)
		}
		return long(a, b)
	}
}

// longRows is long, or short for vectors of fewer than n elements.
func longRows[Q, R, S any](n int, long, short func([]Q, []R, int, []S)) func([]Q, []R, int, []S) {
	return func(q []Q, rows []R, stride int, out []S) {
		if len(q) < n {
			short(q, rows, stride, out)
		} else {
			long(q, rows, stride, out)
		}
	}
}

// longGather is long, or short for vectors of fewer than n elements.
func longGather[Q, R, S any](n int, long, short func([]Q, []R, int, []uint32, []S)) func([]Q, []R, int, []uint32, []S) {
	return func(q []Q, rows []R, stride int, ids []uint32, out []S) {
		if len(q) < n {
			short(q, rows, stride, ids, out)
		} else {
			long(q, rows, stride, ids, out)
		}
	}
}

// halves is the last block of a query of nibbles, of 32 bytes of each half: at
// the end of each those that come after whole blocks, zeros before them.
func halves(q []int8) (tail [64]int8) {
	h, whole := (len(q)+1)/2, len(q)/2&^31
	copy(tail[32-(h-whole):], q[whole:h])
	copy(tail[64-(h-whole):], q[h+whole:])
	return tail
}

// longAffineRows is long, or short for queries of fewer than n elements.
func longAffineRows[Q any](n int, long, short func([]Q, *[5]float32, []uint8, int, []float32)) func([]Q, *[5]float32, []uint8, int, []float32) {
	return func(q []Q, k *[5]float32, rows []uint8, stride int, out []float32) {
		if len(q) < n {
			short(q, k, rows, stride, out)
		} else {
			long(q, k, rows, stride, out)
		}
	}
}

// longAffineGather is long, or short for queries of fewer than n elements.
func longAffineGather[Q any](n int, long, short func([]Q, *[5]float32, []uint8, int, []uint32, []float32)) func([]Q, *[5]float32, []uint8, int, []uint32, []float32) {
	return func(q []Q, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
		if len(q) < n {
			short(q, k, rows, stride, ids, out)
		} else {
			long(q, k, rows, stride, ids, out)
		}
	}
}

// placeNear halves long lists until counting is faster.
func placeNear(e []placed, d float32) int {
	const count = 512
	at := within(e, d, count)
	return at + placeAVX512((*uint8)(unsafe.Pointer(&e[at])), min(count, len(e)-at), d)
}

// encodeBlock is what the kernels of codes take at a time; the rest is the plain
// loop's.
const encodeBlock = 16

// wholeSpan is whole for blocks.
func wholeSpan(whole func([]float32) (lo, hi float32, parts uint32)) func([]float32) (lo, hi float32, parts uint32) {
	return func(v []float32) (lo, hi float32, parts uint32) {
		if len(v) < encodeBlock {
			return spanGeneric(v)
		}
		lo, hi, parts = whole(v)
		return spanRest(v[len(v)&^(encodeBlock-1):], lo, hi, parts)
	}
}

// wholeQuantise is whole for blocks.
func wholeQuantise(whole func([]uint8, []float32, *[5]float32) (sum, square int32, err float32, bits uint32)) func([]uint8, []float32, *[5]float32) (sum, square int32, err float32, bits uint32) {
	return func(codes []uint8, v []float32, k *[5]float32) (sum, square int32, err float32, bits uint32) {
		if len(v) < encodeBlock {
			return quantiseGeneric(codes, v, k)
		}
		sum, square, err, bits = whole(codes, v, k)
		if n := len(v) &^ (encodeBlock - 1); n < len(v) {
			a, b, e, any := quantiseGeneric(codes[n:], v[n:], k)
			sum, square, err, bits = sum+a, square+b, err+e, bits|any
		}
		return sum, square, err, bits
	}
}
