package quant

import (
	"encoding/binary"
	"math"

	"github.com/eiderdb/eider/index"
)

// Query is a vector made ready to be scored against codes. The zero value is
// ready for Prepare, and may be prepared again and again without allocating.
type Query struct {
	bytes  []uint8 // int8 codes: 0..255
	signed []int8  // int4 codes: -128..127
	k      [5]float32
	metric index.Metric
	err    float64 // ‖q − q̂‖
	norm   float64 // ‖q̂‖
	dim    float64
}

// Prepare makes q the query v, of Dim finite components; normalised under cosine.
// O(dim).
func (c *Codec) Prepare(q *Query, m index.Metric, v []float32) {
	if len(q.bytes) < c.dim {
		q.bytes, q.signed = make([]uint8, c.dim), make([]int8, c.dim)
	}
	q.bytes, q.signed = q.bytes[:c.dim], q.signed[:c.dim]
	lo, hi := bounds(v)
	a, t := lo, (hi-lo)/255
	if hi-lo <= 255 && lo >= -1<<20 && hi <= 1<<20 && whole(v) {
		t = 1
	}
	t, inv := inverse(t)
	var sum, square int32
	var err float32
	var any uint32
	for j, x := range v {
		y := min((x-a)*inv, 255) + magic - magic
		d := x - (a + t*y)
		err += d * d
		any |= math.Float32bits(d)
		i := int32(y)
		sum += i
		square += i * i
		q.bytes[j] = byte(i)
	}
	if c.code == index.Int4 {
		for j, u := range q.bytes {
			q.signed[j] = int8(u ^ 0x80)
		}
		// a + t·u = (a + 128·t) + t·(u-128)
		square += -256*sum + 128*128*int32(c.dim)
		sum -= 128 * int32(c.dim)
		a += 128 * t
	}
	q.err = root(err, any, c.dim)
	n := float64(c.dim)
	norm := n*float64(a)*float64(a) + 2*float64(a)*float64(t)*float64(sum) + float64(t)*float64(t)*float64(square)
	q.set(m, a, t, float64(sum), max(0, norm), c.dim)
}

// PrepareRow makes q the vector that Decode makes of row. It is for int8 codes,
// and much cheaper than Prepare.
func (c *Codec) PrepareRow(q *Query, m index.Metric, row []byte) {
	if len(q.bytes) < c.dim {
		q.bytes, q.signed = make([]uint8, c.dim), make([]int8, c.dim)
	}
	if c.code == index.Int4 {
		c.prepareRow4(q, m, row)
		return
	}
	codes := row[header : header+c.dim]
	dst := q.bytes[:c.dim]
	j := 0
	for ; j+8 <= len(codes); j += 8 {
		binary.LittleEndian.PutUint64(dst[j:], binary.LittleEndian.Uint64(codes[j:])^0x8080808080808080)
	}
	for ; j < len(codes); j++ {
		dst[j] = codes[j] ^ 0x80
	}
	// offset + scale·c = (offset - 128·scale) + scale·u with u = c + 128
	scale, offset := parameters(row)
	sum := 0.0
	if scale > 0 {
		sum = (float64(float(row[8:]))-float64(c.dim)*float64(offset))/float64(scale) + 128*float64(c.dim)
	}
	q.err = 0
	q.set(m, offset-128*scale, scale, sum, float64(Norm(row)), c.dim)
}

// prepareRow4 widens 4-bit codes: offset + scale·u = (offset + 8·scale) + scale·(u-8).
func (c *Codec) prepareRow4(q *Query, m index.Metric, row []byte) {
	half := c.bytes()
	q.signed = q.signed[:c.dim]
	sum := 0
	for j := range half {
		u := row[header+j]
		q.signed[j] = int8(u&15) - 8
		sum += int(u&15) - 8
		if half+j < c.dim {
			q.signed[half+j] = int8(u>>4) - 8
			sum += int(u>>4) - 8
		}
	}
	scale, offset := parameters(row)
	q.err = 0
	q.set(m, offset+8*scale, scale, float64(sum), float64(Norm(row)), c.dim)
}

// set fixes the linear function of the kernels: see the package comment.
func (q *Query) set(m index.Metric, a, t float32, sum, norm float64, dim int) {
	q.metric, q.norm, q.dim = m, math.Sqrt(norm), float64(dim)
	tb := float32(float64(t) * sum)
	switch m {
	case index.L2:
		q.k = [5]float32{float32(norm), -2 * t, -2 * tb, -2 * a, 1}
	case index.IP:
		q.k = [5]float32{0, -t, -tb, -a, 0}
	default:
		q.k = [5]float32{1, -t, -tb, -a, 0}
	}
}

// Least bounds the true distance of a row from below: d is its distance from q by
// codes, err its Error, norm its Norm. By the triangle inequality ‖q−x‖ >= ‖q̂−x̂‖ − ‖q−q̂‖ − ‖x−x̂‖, and
// |q·x − q̂·x̂| <= ‖q−q̂‖·‖x̂‖ + ‖q‖·‖x−x̂‖ (Cauchy-Schwarz). Rounding of the
// kernel's float32 arithmetic is allowed for.
func (q *Query) Least(d, err, norm float32) float32 {
	x := math.Sqrt(float64(norm))
	round := 4e-7 * (q.norm*q.norm + x*x + 2*q.norm*x)
	if q.metric == index.L2 {
		r := math.Sqrt(max(0, float64(d)-round)) - q.err - float64(err)
		if r <= 0 {
			return 0
		}
		return float32(r * r * (1 - 1e-6))
	}
	return float32(float64(d) - q.err*x - (q.norm+q.err)*float64(err) - round - 1e-6)
}

// Likely is an estimate of how far the distance d of a row may be off, whose error
// is err and whose norm is norm: four standard deviations if the errors of
// components are independent of the vectors. It is what rescoring goes by; Least
// is what exactness needs.
func (q *Query) Likely(d, err, norm float32) float32 {
	e, n := float64(err), float64(norm)
	switch q.metric {
	case index.L2:
		return float32(8 * math.Sqrt(max(0, float64(d))*(q.err*q.err+e*e)/q.dim))
	default:
		return float32(4 * math.Sqrt((n*q.err*q.err+q.norm*q.norm*e*e)/q.dim))
	}
}

// Rounding is how far two computations of the same distance by codes may differ.
func (q *Query) Rounding() float32 {
	if q.metric == index.L2 {
		return float32(1e-6 * q.norm * q.norm)
	}
	return float32(1e-6 * max(1, q.norm*q.norm))
}
