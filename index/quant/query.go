package quant

import (
	"encoding/binary"
	"math"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// Query is a vector made ready to be scored against codes. The zero value is
// ready for Prepare, and may be prepared again and again without allocating.
type Query struct {
	bytes  []uint8 // int8 codes: 0..255
	signed []int8  // int4 codes: -128..127
	k      [][5]float32
	upto   []Bounds
	rest   []tail // of the blocks after a level
	face   facing // bits
}

// tail is the norm of some components of q̂, and the distance from those of q.
type tail struct{ norm, err float64 }

// Bounds says how far distances by codes, over the blocks 0..level, may be from
// those over the components that these blocks hold.
type Bounds struct {
	metric index.Metric
	err    float64 // ‖q − q̂‖
	norm   float64 // ‖q̂‖
	dim    float64
	mid    float64 // no less than the norm of the constant part of q̂

	bits bool    // dim is that of the rotated space
	sum  float64 // |Σq|
	root float64 // √ of the number of components
}

// Bounds are those of the distances over blocks 0..level.
func (q *Query) Bounds(level int) *Bounds { return &q.upto[level] }

func (q *Query) grow(c *Codec) {
	if len(q.bytes) != c.dim || len(q.k) != len(c.blocks) {
		q.bytes, q.signed = make([]uint8, c.dim), make([]int8, c.dim)
		q.k, q.upto = make([][5]float32, len(c.blocks)), make([]Bounds, len(c.blocks))
		q.rest = make([]tail, len(c.blocks))
	}
}

// Prepare makes q the query v, of Dim finite components; normalised under cosine.
// With several blocks the metric is L2: distances of blocks add up. O(dim).
func (c *Codec) Prepare(q *Query, m index.Metric, v []float32) {
	if c.bits != nil {
		q.grow(c)
		c.bits.prepare(q, m, v)
		return
	}
	for i := range c.blocks {
		c.PrepareLevel(q, i, m, v, 0)
	}
}

// PrepareLevel is Prepare for one block; levels come in order, and Bounds, Rows and
// Gather may be asked about those that came. Of v it reads the components of the
// block only, which may be off by slack in norm. Rest needs all levels.
func (c *Codec) PrepareLevel(q *Query, level int, m index.Metric, v []float32, slack float32) {
	q.grow(c)
	c.blocks[level].prepare(q, level, m, v, float64(slack))
	if level < len(c.blocks)-1 {
		return
	}
	whole := &q.upto[len(c.blocks)-1]
	for i := range q.rest {
		u := &q.upto[i]
		q.rest[i] = tail{root2(whole.norm, u.norm), root2(whole.err, u.err)}
	}
}

// root2 is √(a²−b²), 0 if b is larger.
func root2(a, b float64) float64 { return math.Sqrt(max(0, (a-b)*(a+b))) }

// Rest is the least squared distance that the blocks of row after level can add:
// by the triangle inequality it is no less than the squared difference of their
// norms. It reads headers only.
func (c *Codec) Rest(q *Query, row []byte, level int) float32 {
	n, e := 0.0, 0.0
	for _, b := range c.blocks[level+1:] {
		r := row[b.at:]
		n += float64(norm(r))
		e += float64(failure(r)) * float64(failure(r))
	}
	t := &q.rest[level]
	d := math.Abs(t.norm-math.Sqrt(n)) - t.err - math.Sqrt(e) - 1e-6*(t.norm+math.Sqrt(n))
	return float32(d * max(d, 0) * (1 - 1e-6))
}

func (b *block) prepare(q *Query, level int, m index.Metric, v []float32, slack float64) {
	v = v[b.from:b.to]
	codes := q.bytes[b.from:b.to]
	lo, hi, whole := simd.Span(v)
	a, t := lo, (hi-lo)/255
	if b.code == index.Int8 && integers(lo, hi, whole) {
		t = 1
	}
	t, inv := inverse(t)
	l := simd.Quantise(codes, v, &simd.Steps{Offset: a, Scale: t, Inv: inv, Lo: 0, Hi: 255})
	sum, square := l.Sum, l.Square
	if b.code == index.Int4 {
		signed := q.signed[b.from:b.to]
		for j, u := range codes {
			signed[j] = int8(u ^ 0x80)
		}
		// a + t·u = (a + 128·t) + t·(u-128)
		square += -256*sum + 128*128*int32(b.dim())
		sum -= 128 * int32(b.dim())
		a += 128 * t
	}
	n := float64(b.dim())
	norm := n*float64(a)*float64(a) + 2*float64(a)*float64(t)*float64(sum) + float64(t)*float64(t)*float64(square)
	q.set(level, m, a, t, float64(sum), max(0, norm), root(l.Err, l.Exact, b.dim())+slack, b.dim())
}

// PrepareRow makes q the vector that Decode makes of row, for distances over the
// first block only. For int8 codes it is much cheaper than Prepare.
func (c *Codec) PrepareRow(q *Query, m index.Metric, row []byte) {
	q.grow(c)
	b := &c.blocks[0]
	switch c.code {
	case index.Bit:
		c.bits.prepareRow(q, c.dim, m, row)
		return
	case index.Int4:
		b.prepareRow4(q, m, row)
		return
	}
	n := b.dim()
	flip(q.bytes[:n], row[header:header+n])
	// offset + scale·c = (offset - 128·scale) + scale·u with u = c + 128
	scale, offset := parameters(row)
	sum := 0.0
	if scale > 0 {
		sum = (float64(float(row[8:]))-float64(n)*float64(offset))/float64(scale) + 128*float64(n)
	}
	q.set(0, m, offset-128*scale, scale, sum, float64(norm(row)), 0, n)
}

// flip turns signed bytes into the unsigned ones 128 above them.
func flip(dst, src []byte) {
	const sign = 0x8080808080808080
	le := binary.LittleEndian
	for len(src) >= 32 && len(dst) >= 32 {
		a, b := (*[32]byte)(src), (*[32]byte)(dst)
		le.PutUint64(b[0:], le.Uint64(a[0:])^sign)
		le.PutUint64(b[8:], le.Uint64(a[8:])^sign)
		le.PutUint64(b[16:], le.Uint64(a[16:])^sign)
		le.PutUint64(b[24:], le.Uint64(a[24:])^sign)
		src, dst = src[32:], dst[32:]
	}
	for j, c := range src {
		dst[j] = c ^ 0x80
	}
}

// prepareRow4 widens 4-bit codes: offset + scale·u = (offset + 8·scale) + scale·(u-8).
func (b *block) prepareRow4(q *Query, m index.Metric, row []byte) {
	half := b.bytes()
	sum := 0
	for j := range half {
		u := row[header+j]
		q.signed[j] = int8(u&15) - 8
		sum += int(u&15) - 8
		if half+j < b.dim() {
			q.signed[half+j] = int8(u>>4) - 8
			sum += int(u>>4) - 8
		}
	}
	scale, offset := parameters(row)
	q.set(0, m, offset+8*scale, scale, float64(sum), float64(norm(row)), 0, b.dim())
}

// set fixes the linear function of a block's kernel, see the package comment, and
// the bounds up to it.
func (q *Query) set(level int, m index.Metric, a, t float32, sum, norm, err float64, dim int) {
	b := Bounds{metric: m, err: err, norm: math.Sqrt(norm), dim: float64(dim)}
	b.mid = math.Abs(float64(a)) * math.Sqrt(b.dim)
	if level > 0 {
		u := &q.upto[level-1]
		b.err, b.norm = math.Hypot(b.err, u.err), math.Hypot(b.norm, u.norm)
		b.mid, b.dim = b.mid+u.mid, b.dim+u.dim
	}
	q.upto[level] = b
	tb := float32(float64(t) * sum)
	switch m {
	case index.L2:
		q.k[level] = [5]float32{float32(norm), -2 * t, -2 * tb, -2 * a, 1}
	case index.IP:
		q.k[level] = [5]float32{0, -t, -tb, -a, 0}
	default:
		q.k[level] = [5]float32{1, -t, -tb, -a, 0}
	}
}

// angular reports whether distances are, or stand for, squared ones of bits, and
// unit is the squared distance that a distance of 1 stands for.
func (q *Bounds) angular() bool { return q.bits && q.metric != index.IP }

func (q *Bounds) unit() float64 {
	if q.metric == index.Cosine {
		return 2 // of vectors of length one
	}
	return 1
}

// Least bounds the true distance of a row from below: d is its distance from q by
// codes. By the triangle inequality
// ‖q−x‖ >= ‖q̂−x̂‖ − ‖q−q̂‖ − ‖x−x̂‖, and by that of Cauchy and Schwarz
// |q·x − q̂·x̂| <= ‖q−q̂‖·‖x̂‖ + ‖q‖·‖x−x̂‖. Rounding of the kernel's float32
// arithmetic is allowed for.
func (q *Bounds) Least(d float32, e Extent) float32 {
	if q.angular() {
		least, _ := q.apart(float64(d)*q.unit(), e)
		return float32(least / q.unit())
	}
	if q.metric == index.L2 {
		r := math.Sqrt(max(0, float64(d)-q.round(e))) - q.err - float64(e.Err)
		if r <= 0 {
			return 0
		}
		return float32(r * r * (1 - 1e-6))
	}
	return float32(float64(d) - q.width(e))
}

// Most bounds it from above.
func (q *Bounds) Most(d float32, e Extent) float32 {
	if q.angular() {
		_, most := q.apart(float64(d)*q.unit(), e)
		return float32(most / q.unit())
	}
	if q.metric == index.L2 {
		r := math.Sqrt(max(0, float64(d)+q.round(e))) + q.err + float64(e.Err)
		return float32(r * r * (1 + 1e-6))
	}
	return float32(float64(d) + q.width(e))
}

// Cut is the distance by codes above which Least is above limit for every row
// within e.
func (q *Bounds) Cut(limit float32, e Extent) float32 {
	if limit > math.MaxFloat32 {
		return limit
	}
	if q.angular() {
		return float32(q.within(float64(limit)*q.unit(), e) / q.unit())
	}
	if q.metric == index.L2 {
		r := math.Sqrt(max(0, float64(limit)))*(1+1e-6) + q.err + float64(e.Err)
		return float32((r*r + q.round(e)) * (1 + 1e-6))
	}
	return float32(float64(limit) + q.width(e) + 1e-6*math.Abs(float64(limit)))
}

// round is how far the kernel's float32 arithmetic may be off: each of its terms,
// bounded here by norms, carries about six roundings.
func (q *Bounds) round(e Extent) float64 {
	if q.bits { // of the rotation too
		x := math.Sqrt(float64(e.Norm))
		return 4e-7*(q.norm*q.norm+x*x+2*q.sum*float64(e.Offset)) + 1e-5*q.norm*x
	}
	x, b := math.Sqrt(float64(e.Norm)), float64(e.Offset)*math.Sqrt(q.dim)
	rest := q.norm + q.mid
	return 4e-7 * (q.norm*q.norm + x*x + 2*(q.mid*x+rest*b+rest*(x+b)))
}

// width bounds the error of an inner product.
func (q *Bounds) width(e Extent) float64 {
	if q.bits {
		w, _ := q.spare(e)
		return w + (q.norm+q.err)*float64(e.Err) + 1e-6
	}
	return q.err*math.Sqrt(float64(e.Norm)) + (q.norm+q.err)*float64(e.Err) + q.round(e) + 1e-6
}

// Likely is an estimate of how far the distance d of a row may be off: four
// standard deviations if the errors of components are independent of the vectors.
// It is what rescoring goes by; Least is what exactness needs.
func (q *Bounds) Likely(d float32, e Extent) float32 {
	if q.angular() {
		least, _ := q.Probably(d, e)
		return d - least
	}
	err, n := float64(e.Err), float64(e.Norm)
	if q.metric == index.L2 {
		return float32(8*math.Sqrt(max(0, float64(d))*(q.err*q.err+err*err)/q.dim) + q.round(e))
	}
	return float32(4*math.Sqrt((n*q.err*q.err+q.norm*q.norm*err*err)/q.dim) + q.round(e))
}

// Probably are what the true distance is likely to be no less and no more than: see
// Likely.
func (q *Bounds) Probably(d float32, e Extent) (least, most float32) {
	if q.angular() {
		lo, hi := q.probable(float64(d)*q.unit(), e)
		return float32(lo / q.unit()), float32(hi / q.unit())
	}
	r := q.Likely(d, e)
	return d - r, d + r
}

// Rounding is how far two computations of the distance from q to rows like q may
// differ.
func (q *Bounds) Rounding() float32 {
	return float32(q.round(Extent{Norm: float32(q.norm * q.norm), Offset: float32(q.mid / math.Sqrt(q.dim))}))
}
