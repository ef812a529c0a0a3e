package simd

import (
	"math"
	"math/bits"
)

// generic is every kernel in plain Go: the meaning that the assembly is tested
// against, and what runs where there is none. Float sums are kept in four
// partial sums, which is both faster and more exact than one.
var generic = kernels{
	name:      "generic",
	dot:       dotGeneric,
	l2:        l2Generic,
	dotRows:   func(q, rows []float32, stride int, out []float32) { eachRow(dotGeneric, q, rows, stride, out) },
	l2Rows:    func(q, rows []float32, stride int, out []float32) { eachRow(l2Generic, q, rows, stride, out) },
	dotGather: dotGatherGeneric,
	l2Gather:  l2GatherGeneric,
	cosine:    cosineGeneric,
	axpy:      axpyGeneric,
	probe:     probeGeneric,
	largest:   largestGeneric,
	toHalf:    toHalfGeneric,
	fromHalf:  fromHalfGeneric,
	dotHalf:   dotHalfGeneric,
	l2Half:    l2HalfGeneric,
	dotRowsHalf: func(q []float32, rows []uint16, stride int, out []float32) {
		eachRow(dotHalfGeneric, q, rows, stride, out)
	},
	l2RowsHalf: func(q []float32, rows []uint16, stride int, out []float32) {
		eachRow(l2HalfGeneric, q, rows, stride, out)
	},
	dotGatherHalf: func(q []float32, rows []uint16, stride int, ids []uint32, out []float32) {
		eachID(dotHalfGeneric, q, rows, stride, ids, out)
	},
	l2GatherHalf: func(q []float32, rows []uint16, stride int, ids []uint32, out []float32) {
		eachID(l2HalfGeneric, q, rows, stride, ids, out)
	},
	dotI8:     dotBytes[int8],
	l2I8:      l2Bytes[int8],
	dotRowsI8: func(q, rows []int8, stride int, out []int32) { eachRow(dotBytes[int8], q, rows, stride, out) },
	l2RowsI8:  func(q, rows []int8, stride int, out []int32) { eachRow(l2Bytes[int8], q, rows, stride, out) },
	dotGatherI8: func(q, rows []int8, stride int, ids []uint32, out []int32) {
		eachID(dotBytes[int8], q, rows, stride, ids, out)
	},
	l2GatherI8: func(q, rows []int8, stride int, ids []uint32, out []int32) {
		eachID(l2Bytes[int8], q, rows, stride, ids, out)
	},
	dotU8:     dotBytes[uint8],
	l2U8:      l2Bytes[uint8],
	dotRowsU8: func(q, rows []uint8, stride int, out []int32) { eachRow(dotBytes[uint8], q, rows, stride, out) },
	l2RowsU8:  func(q, rows []uint8, stride int, out []int32) { eachRow(l2Bytes[uint8], q, rows, stride, out) },
	dotGatherU8: func(q, rows []uint8, stride int, ids []uint32, out []int32) {
		eachID(dotBytes[uint8], q, rows, stride, ids, out)
	},
	l2GatherU8: func(q, rows []uint8, stride int, ids []uint32, out []int32) {
		eachID(l2Bytes[uint8], q, rows, stride, ids, out)
	},
	popcount:    popcountGeneric,
	hamming:     hammingGeneric,
	hammingRows: func(q, rows []uint64, stride int, out []int32) { eachRow(hamming32, q, rows, stride, out) },
	hammingGather: func(q, rows []uint64, stride int, ids []uint32, out []int32) {
		eachID(hamming32, q, rows, stride, ids, out)
	},
	affineRowsI8:   affineRowsI8,
	affineGatherI8: affineGatherI8,
	affineRowsI4:   affineRowsI4,
	affineGatherI4: affineGatherI4,
	affineRowsI1:   affineRowsI1,
	affineGatherI1: affineGatherI1,
	span:           spanGeneric,
	place:          placeGeneric,
	admit:          admitGeneric,
	quantise:       quantiseGeneric,
	gemm:           &gemmGeneric,
	functions:      genericFunctions,
}

// eachRow scores q against consecutive rows.
func eachRow[Q, R, S any](f func([]Q, []R) S, q []Q, rows []R, stride int, out []S) {
	for i := range out {
		out[i] = f(q, rows[i*stride:][:len(q)])
	}
}

// eachID scores q against the rows of a list.
func eachID[Q, R, S any](f func([]Q, []R) S, q []Q, rows []R, stride int, ids []uint32, out []S) {
	out = out[:len(ids)]
	for i, id := range ids {
		out[i] = f(q, rows[int(id)*stride:][:len(q)])
	}
}

func dotGeneric(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return (s0 + s1) + (s2 + s3)
}

func l2Generic(a, b []float32) float32 {
	b = b[:len(a)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(a); i += 4 {
		d0, d1, d2, d3 := a[i]-b[i], a[i+1]-b[i+1], a[i+2]-b[i+2], a[i+3]-b[i+3]
		s0 += d0 * d0
		s1 += d1 * d1
		s2 += d2 * d2
		s3 += d3 * d3
	}
	for ; i < len(a); i++ {
		d := a[i] - b[i]
		s0 += d * d
	}
	return (s0 + s1) + (s2 + s3)
}

func dotGatherGeneric(q, rows []float32, stride int, ids []uint32, out []float32) {
	eachID(dotGeneric, q, rows, stride, ids, out)
}

func l2GatherGeneric(q, rows []float32, stride int, ids []uint32, out []float32) {
	eachID(l2Generic, q, rows, stride, ids, out)
}

func cosineGeneric(a, b []float32) (dot, aa, bb float32) {
	return dotGeneric(a, b), dotGeneric(a, a), dotGeneric(b, b)
}

func axpyGeneric(alpha float32, x, y []float32) {
	y = y[:len(x)]
	for i, v := range x {
		y[i] += alpha * v
	}
}

func probeGeneric(x []float32) float32 {
	var s uint32
	for _, v := range x {
		s ^= math.Float32bits(v)
	}
	return math.Float32frombits(s)
}

// probeRest adds to the probe of whole runs of 128 elements what is left of x.
func probeRest(x []float32, done float32) float32 {
	rest := probeGeneric(x[len(x)&^127:])
	return math.Float32frombits(math.Float32bits(done) ^ math.Float32bits(rest))
}

func largestGeneric(ids []uint32) uint32 {
	var last uint32
	for _, id := range ids {
		last = max(last, id)
	}
	return last
}

// widen is the float32 of a binary16. Subnormal halves are normal float32
// numbers, found by scaling: 2⁻²⁴ is the smallest.
func widen(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exp, frac := uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exp {
	case 0:
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1f:
		if frac != 0 {
			frac |= 0x200 // quiet
		}
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// narrow is the binary16 nearest to f, ties to even.
func narrow(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b>>16) & 0x8000
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000: // NaN
		return sign | 0x7e00 | uint16(b>>13)&0x3ff
	case b >= 0x477ff000: // at least 65520, the tie that rounds up to Inf
		return sign | 0x7c00
	case b < 0x38800000: // less than 2⁻¹⁴: subnormal; adding 0.5 aligns and rounds
		return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000)
	}
	// A carry out of the fraction moves to the exponent, as it should.
	b += 0xfff + b>>13&1
	return sign | uint16((b-(127-15)<<23)>>13)
}

func toHalfGeneric(dst []uint16, src []float32) {
	dst = dst[:len(src)]
	for i, f := range src {
		dst[i] = narrow(f)
	}
}

func fromHalfGeneric(dst []float32, src []uint16) {
	dst = dst[:len(src)]
	for i, h := range src {
		dst[i] = widen(h)
	}
}

func dotHalfGeneric(q []float32, b []uint16) float32 {
	b = b[:len(q)]
	var s0, s1 float32
	i := 0
	for ; i+2 <= len(q); i += 2 {
		s0 += q[i] * widen(b[i])
		s1 += q[i+1] * widen(b[i+1])
	}
	if i < len(q) {
		s0 += q[i] * widen(b[i])
	}
	return s0 + s1
}

func l2HalfGeneric(q []float32, b []uint16) float32 {
	b = b[:len(q)]
	var s0, s1 float32
	i := 0
	for ; i+2 <= len(q); i += 2 {
		d0, d1 := q[i]-widen(b[i]), q[i+1]-widen(b[i+1])
		s0 += d0 * d0
		s1 += d1 * d1
	}
	if i < len(q) {
		d := q[i] - widen(b[i])
		s0 += d * d
	}
	return s0 + s1
}

func dotBytes[T int8 | uint8](a, b []T) int32 {
	b = b[:len(a)]
	var s int32
	for i, x := range a {
		s += int32(x) * int32(b[i])
	}
	return s
}

func l2Bytes[T int8 | uint8](a, b []T) int32 {
	b = b[:len(a)]
	var s int32
	for i, x := range a {
		d := int32(x) - int32(b[i])
		s += d * d
	}
	return s
}

func popcountGeneric(a []uint64) int {
	n := 0
	for _, w := range a {
		n += bits.OnesCount64(w)
	}
	return n
}

func hammingGeneric(a, b []uint64) int {
	b = b[:len(a)]
	n := 0
	for i, w := range a {
		n += bits.OnesCount64(w ^ b[i])
	}
	return n
}

func hamming32(a, b []uint64) int32 { return int32(hammingGeneric(a, b)) }
