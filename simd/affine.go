package simd

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// AffineHeader is the number of bytes before the codes of an affine row: a
// little-endian float32 scale; a word whose high 16 bits are those of a float32
// offset, and whose low 16 bits the kernels do not read; a float32 sum; and a
// float32 norm. What they mean is up to the caller.
const AffineHeader = 16

// AffineRowsI8 writes the affine score of q and row i to out[i], for every i <
// len(out). Row i starts at byte i*stride with its header; len(q) codes follow,
// signed bytes. With U = Σ q[j]*code[j] the score is
//
//	((k[0] + k[2]*offset) + (k[3]*sum + k[4]*norm)) + (k[1]*scale)*float32(U)
//
// in float32, each operation rounded: all implementations give the same bits. U
// is exact for up to 65,793 codes; beyond, it wraps modulo 2³². k must not be
// nil. It panics if stride is less than a row or a row ends beyond rows.
func AffineRowsI8(q []uint8, k *[5]float32, rows []uint8, stride int, out []float32) {
	dense("AffineRowsI8", AffineHeader+len(q), len(rows), stride, len(out))
	if len(out) > 0 {
		active.Load().affineRowsI8(hide(q), coefficients(k), hide(rows), stride, hide(out))
	}
}

// AffineGatherI8 writes the score of q and row ids[i], as AffineRowsI8 has it, to
// out[i], under the same rules as DotGather; stride counts bytes.
func AffineGatherI8(q []uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	listed("AffineGatherI8", AffineHeader+len(q), len(rows), stride, ids, len(out))
	if len(ids) > 0 {
		active.Load().affineGatherI8(hide(q), coefficients(k), hide(rows), stride, hide(ids), hide(out))
	}
}

// AffineRowsI4 writes the score of q and row i to out[i], as AffineRowsI8 does,
// of codes 0 to 15 with U = Σ q[j]*code[j]. With h = (len(q)+1)/2 a row is its
// header and h bytes: byte j holds code j in its low nibble and code h+j in its
// high one, which must be zero in the last byte if len(q) is odd. U is exact for
// up to 1,118,481 codes.
func AffineRowsI4(q []int8, k *[5]float32, rows []uint8, stride int, out []float32) {
	dense("AffineRowsI4", AffineHeader+(len(q)+1)/2, len(rows), stride, len(out))
	if len(out) > 0 {
		active.Load().affineRowsI4(hide(q), coefficients(k), hide(rows), stride, hide(out))
	}
}

// AffineGatherI4 writes the score of q and row ids[i], as AffineRowsI4 has it, to
// out[i], under the same rules as DotGather; stride counts bytes.
func AffineGatherI4(q []int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	listed("AffineGatherI4", AffineHeader+(len(q)+1)/2, len(rows), stride, ids, len(out))
	if len(ids) > 0 {
		active.Load().affineGatherI4(hide(q), coefficients(k), hide(rows), stride, hide(ids), hide(out))
	}
}

// AffineRowsI1 writes the score of q and row i to out[i], as AffineRowsI8 does,
// of codes of one bit. A row is its header and w little-endian words; q is four
// planes of w words, one after the other, so len(q) must be 4*w, and U = Σ 2ᵖ *
// popcount(plane p & row). U is exact for up to 2,236,962 words. It panics as
// AffineRowsI8 does, and if len(q) is no multiple of four.
func AffineRowsI1(q []uint64, k *[5]float32, rows []uint8, stride int, out []float32) {
	planes("AffineRowsI1", len(q))
	dense("AffineRowsI1", AffineHeader+2*len(q), len(rows), stride, len(out))
	if len(out) > 0 {
		active.Load().affineRowsI1(hide(q), coefficients(k), hide(rows), stride, hide(out))
	}
}

// AffineGatherI1 writes the score of q and row ids[i], as AffineRowsI1 has it, to
// out[i], under the same rules as DotGather; stride counts bytes.
func AffineGatherI1(q []uint64, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	planes("AffineGatherI1", len(q))
	listed("AffineGatherI1", AffineHeader+2*len(q), len(rows), stride, ids, len(out))
	if len(ids) > 0 {
		active.Load().affineGatherI1(hide(q), coefficients(k), hide(rows), stride, hide(ids), hide(out))
	}
}

// coefficients hides k as hide does a slice.
func coefficients(k *[5]float32) *[5]float32 { return (*[5]float32)(hide(k[:])) }

// codesI8 is Σ q[j]*code[j] of unsigned and signed bytes.
func codesI8(q, codes []uint8) int32 {
	codes = codes[:len(q)]
	var s int32
	for i, x := range q {
		s += int32(x) * int32(int8(codes[i]))
	}
	return s
}

// codesI4 is Σ q[j]*code[j] of signed bytes and nibbles.
func codesI4(q []int8, codes []uint8) int32 {
	h := (len(q) + 1) / 2
	lo, hi := q[:h], q[h:]
	codes = codes[:h]
	var s int32
	for i, x := range hi {
		s += int32(x)*int32(codes[i]>>4) + int32(lo[i])*int32(codes[i]&15)
	}
	if len(hi) < h {
		s += int32(lo[h-1]) * int32(codes[h-1]&15)
	}
	return s
}

// codesI1 is Σ 2ᵖ * popcount(plane p & codes).
func codesI1(q []uint64, codes []uint8) int32 {
	w := len(q) / 4
	p0, p1, p2, p3 := q[:w], q[w:][:w], q[2*w:][:w], q[3*w:][:w]
	n := 0
	for i, p := range p0 {
		x := binary.LittleEndian.Uint64(codes[8*i:])
		n += bits.OnesCount64(p&x) + 2*bits.OnesCount64(p1[i]&x) + 4*bits.OnesCount64(p2[i]&x) + 8*bits.OnesCount64(p3[i]&x)
	}
	return int32(n)
}

// affineScore is what the header of row makes of u. The conversions keep the
// compiler from fusing operations, so that each is rounded.
func affineScore(k *[5]float32, row []uint8, u int32) float32 {
	le := binary.LittleEndian
	row = row[:AffineHeader]
	scale := math.Float32frombits(le.Uint32(row))
	offset := math.Float32frombits(le.Uint32(row[4:]) &^ 0xffff)
	sum, norm := math.Float32frombits(le.Uint32(row[8:])), math.Float32frombits(le.Uint32(row[12:]))
	rest := float32(k[0]+float32(k[2]*offset)) + float32(float32(k[3]*sum)+float32(k[4]*norm))
	return float32(rest) + float32(float32(k[1]*scale)*float32(u))
}

// affineRows scores consecutive rows of n bytes of codes, whose sum with q is f.
func affineRows[Q any](f func(q []Q, codes []uint8) int32, n int, q []Q, k *[5]float32, rows []uint8, stride int, out []float32) {
	for i := range out {
		row := rows[i*stride:][:AffineHeader+n]
		out[i] = affineScore(k, row, f(q, row[AffineHeader:]))
	}
}

// affineGather scores the rows of a list.
func affineGather[Q any](f func(q []Q, codes []uint8) int32, n int, q []Q, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	out = out[:len(ids)]
	for i, id := range ids {
		row := rows[int(id)*stride:][:AffineHeader+n]
		out[i] = affineScore(k, row, f(q, row[AffineHeader:]))
	}
}

func affineRowsI8(q []uint8, k *[5]float32, rows []uint8, stride int, out []float32) {
	affineRows(codesI8, len(q), q, k, rows, stride, out)
}

func affineGatherI8(q []uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	affineGather(codesI8, len(q), q, k, rows, stride, ids, out)
}

func affineRowsI4(q []int8, k *[5]float32, rows []uint8, stride int, out []float32) {
	affineRows(codesI4, (len(q)+1)/2, q, k, rows, stride, out)
}

func affineGatherI4(q []int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	affineGather(codesI4, (len(q)+1)/2, q, k, rows, stride, ids, out)
}

func affineRowsI1(q []uint64, k *[5]float32, rows []uint8, stride int, out []float32) {
	affineRows(codesI1, 2*len(q), q, k, rows, stride, out)
}

func affineGatherI1(q []uint64, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32) {
	affineGather(codesI1, 2*len(q), q, k, rows, stride, ids, out)
}
