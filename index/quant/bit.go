package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// # Bits
//
// A code of one bit per component (RaBitQ: Gao and Long, SIGMOD 2024, but without a
// centroid) stands for y, the rotated components less their mean, by
//
//	ŷ = scale·(c − ½)    c = 1 where y is not negative
//
// with the scale for which ŷ − y is at a right angle to y: then ŷ·z is right on
// average over rotations, whatever the query z, and it errs by the part of z that is
// at a right angle to y only. Near vectors have little of that.
//
//	 0  4  scale, float32
//	 4  2  error: no less than ‖y − ŷ‖, bfloat16
//	 6  2  mean, bfloat16; what it lacks of the mean stays in y
//	 8  4  scale·Σc, float32
//	12  4  Σ x², float32, of the components
//	16  …  n = dim filled up to a multiple of 64 bits; bit j is bit j%8 of byte j/8
//
// A query is quantised to 4 bits in the rotated space, ẑ = t·(u − mean of u), and
//
//	q·x ≈ mean·Σq + t·scale·Σu·c − t·(mean of u)·scale·Σc
//
// The mean of ẑ is taken away because no field is left for what it would need;
// scale is n/(n−1) times what it would be, which makes up for that on average.

// The 16 levels of a query reach spread standard deviations from the middle, and
// zero lies aside of the border of two levels by this part of a step. If it lay on
// the border the magnitudes of normally distributed coordinates would be found
// 1.5 % too large, and so would products with near vectors, whose signs are those
// of the query: the error of the midpoint rule, which is none at (1−1/√3)/2. What
// is cut off at the ends leaves 0.05 %.
const (
	spread = 3.4
	aside  = 0.2113
)

// bitter codes vectors by bits. It is immutable.
type bitter struct {
	*rotation
	scratch sync.Pool // of *[]float32, size coordinates
}

func newBitter(dim int) *bitter {
	w := &bitter{rotation: newRotation(dim)}
	w.scratch.New = func() any { y := make([]float32, w.size); return &y }
	return w
}

// turn writes the rotated components of v, less shift, to y.
func (w *bitter) turn(y, v []float32, shift float32) {
	for j, x := range v {
		y[j] = x - shift
	}
	clear(y[len(v):])
	w.apply(y)
}

// mean is the sum of v and its mean.
func mean(v []float32) (sum, mean float64) {
	for _, x := range v {
		sum += float64(x)
	}
	return sum, sum / float64(len(v))
}

// lengths are Σ|y| and Σy².
func lengths(y []float32) (one, two float64) {
	for _, x := range y {
		f := float64(x)
		one += math.Abs(f)
		two += float64(f * f)
	}
	return one, two
}

func (w *bitter) encode(row []byte, v []float32) {
	le := binary.LittleEndian
	_, m := mean(v)
	shift := bfloat(float32(m))
	ptr := w.scratch.Get().(*[]float32)
	defer w.scratch.Put(ptr)
	y := *ptr
	w.turn(y, v, shift)
	one, two := lengths(y)
	n := float64(w.size)
	_, norm := lengths(v)
	// ‖x'‖ by its own components: of tiny ones the rotation may have lost some.
	length := 0.0
	for _, x := range v {
		d := float64(x - shift)
		length += float64(d * d)
	}
	length = math.Sqrt(length)
	var scale float32
	err := length
	if one > 0 {
		scale = float32(2 * two / one * n / (n - 1))
		s := float64(scale) / 2
		err = math.Sqrt(max(0, s*s*n-2*s*one+two)) + 1e-5*length
	}
	ones := 0
	codes := row[header:]
	clear(codes)
	for i := 0; i < w.size; i += 64 {
		var word uint64
		for j, x := range y[i : i+64] {
			word |= uint64(math.Float32bits(x)>>31^1) << j
		}
		le.PutUint64(codes[i/8:], word)
		ones += bits.OnesCount64(word)
	}
	le.PutUint32(row, math.Float32bits(scale))
	le.PutUint16(row[4:], above(err))
	le.PutUint16(row[6:], uint16(math.Float32bits(shift)>>16))
	le.PutUint32(row[8:], math.Float32bits(float32(float64(scale)*float64(ones))))
	le.PutUint32(row[12:], math.Float32bits(float32(norm)))
}

func (w *bitter) decode(dst []float32, row []byte) {
	scale, shift := parameters(row)
	ptr := w.scratch.Get().(*[]float32)
	defer w.scratch.Put(ptr)
	y := *ptr
	for j := range y {
		y[j] = scale * (float32(row[header+j/8]>>(j%8)&1) - 0.5)
	}
	w.undo(y)
	for j := range dst {
		dst[j] = y[j] + shift
	}
}

// facing is a query, or a row in the place of one, against bits.
type facing struct {
	y      []float32
	levels []uint8
	planes []uint64
	k      [5]float32
	row    bool // made by PrepareRow: out of the kernel comes scale·(4·Σc·c' − 2·Σc)
	ones   float32
	shift  float32
	length float32 // ‖x'‖
	norm   float32
	metric index.Metric
}

func (f *facing) grow(w *bitter) {
	if len(f.y) != w.size {
		f.y, f.levels, f.planes = make([]float32, w.size), make([]uint8, w.size), make([]uint64, w.size/16)
	}
}

func (w *bitter) prepare(q *Query, metric index.Metric, v []float32) {
	f := &q.face
	f.grow(w)
	f.row = false
	sum, m := mean(v)
	w.turn(f.y, v, float32(m))
	rest, _ := mean(f.y)
	n := float64(w.size)
	_, two := lengths(f.y)
	_, norm := lengths(v)
	step, inv := inverse(float32(spread * math.Sqrt(two/n) / 7.5))
	simd.Quantise(f.levels, f.y, &simd.Steps{Offset: step * (aside - 7.5), Scale: step, Inv: inv, Lo: 0, Hi: 15})
	var total, squares, along float64 // Σu, Σu², Σu·y
	for j, u := range f.levels {
		g := float64(u)
		total += g
		squares += g * g
		along += float64(g * float64(f.y[j]))
	}
	slice(f.planes, f.levels)
	mid := total / n
	along -= mid * rest
	t := 0.0
	if along > 0 {
		t = max(0, two-rest*rest/n) / along
	}
	// ‖z − ẑ‖, with ẑ = t·(u − mid)
	err := math.Sqrt(max(0, two-2*t*along+t*t*(squares-n*mid*mid))) + 1e-5*math.Sqrt(two)
	q.upto[0] = Bounds{
		metric: metric, err: err, norm: math.Sqrt(norm), dim: n,
		bits: true, sum: math.Abs(sum), root: math.Sqrt(float64(len(v))),
	}
	q.rest[0] = tail{}
	a, b, c := float32(t), float32(sum), float32(t*mid)
	switch metric {
	case index.L2:
		f.k = [5]float32{float32(norm), -2 * a, -2 * b, 2 * c, 1}
	case index.IP:
		f.k = [5]float32{0, -a, -b, c, 0}
	default:
		f.k = [5]float32{1, -a, -b, c, 0}
	}
}

// slice takes the four lower bits of u apart: bit j of plane p is bit p of u[j].
func slice(planes []uint64, u []uint8) {
	const lowest, collect = 0x0101010101010101, 0x0102040810204080
	words := len(planes) / 4
	for i := range words {
		var p [4]uint64
		for j := range 8 {
			x := binary.LittleEndian.Uint64(u[64*i+8*j:])
			for k := range p {
				// The product brings bit 0 of byte b to bit 56+b.
				p[k] |= x >> k & lowest * collect >> 56 << (8 * j)
			}
		}
		for k := range p {
			planes[k*words+i] = p[k]
		}
	}
}

// prepareRow makes q what row stands for. Estimates of distance between two codes
// take the share of bits in which they differ for the angle: of random planes that
// many lie between the two.
func (w *bitter) prepareRow(q *Query, dim int, metric index.Metric, row []byte) {
	f := &q.face
	f.grow(w)
	words := w.size / 64
	ones := 0
	for i := range words {
		x := binary.LittleEndian.Uint64(row[header+8*i:])
		ones += bits.OnesCount64(x)
		for p := range 4 {
			f.planes[p*words+i] = x
		}
	}
	_, shift := parameters(row)
	f.row, f.metric, f.ones, f.shift, f.norm = true, metric, float32(ones), shift, norm(row)
	f.length = length(row, dim)
	f.k = [5]float32{0, 4. / 15, 0, -2, 0}
	n := math.Sqrt(float64(f.norm))
	q.upto[0] = Bounds{metric: metric, norm: n, dim: float64(w.size), bits: true,
		sum: math.Abs(float64(shift) * float64(dim)), root: math.Sqrt(float64(dim))}
}

// length is about ‖x'‖ of a row.
func length(row []byte, dim int) float32 {
	_, shift := parameters(row)
	return float32(math.Sqrt(float64(max(0, norm(row)-float32(dim)*shift*shift))))
}

// pair turns what the kernel made of a row, for a query that is one, into a
// distance.
func (w *bitter) pair(f *facing, dim int, row []byte, u float32) float32 {
	scale, shift := parameters(row)
	cos := float32(1)
	if scale > 0 {
		n := float32(w.size)
		r := float64(clamp((u/scale+n-2*f.ones)/n, -1, 1))
		cos = float32(math.Sin(math.Pi / 2 * r))
	}
	ip := float32(dim)*shift*f.shift + f.length*length(row, dim)*cos
	switch f.metric {
	case index.L2:
		return max(0, f.norm+norm(row)-2*ip)
	case index.IP:
		return -ip
	}
	return 1 - ip
}

func (c *Codec) rowsBit(q *Query, rows []byte, out []float32) {
	f := &q.face
	simd.AffineRowsI1(f.planes, &f.k, rows, c.size, out)
	if f.row {
		for i, u := range out {
			out[i] = c.bits.pair(f, c.dim, rows[i*c.size:][:c.size], u)
		}
	}
}

func (c *Codec) gatherBit(q *Query, rows []byte, ids []uint32, out []float32) {
	f := &q.face
	simd.AffineGatherI1(f.planes, &f.k, rows, c.size, ids, out)
	if f.row {
		for i, id := range ids {
			out[i] = c.bits.pair(f, c.dim, rows[int(id)*c.size:][:c.size], out[i])
		}
	}
}

// checkBit reports why the widths of blocks cannot be had.
func checkBit(dim int, widths []int) error {
	if len(widths) > 1 || len(widths) == 1 && widths[0] != dim {
		return fmt.Errorf("%w: bits mix all components, so they have no prefixes; use int8 or int4, or declare no prefixes", index.ErrOption)
	}
	return nil
}

// lack is how much the mean in a header may be short of the mean: half a unit in
// the last of 8 places, and a little.
const lack = 1. / 255

// spare is what a bound on the error of an inner product by bits allows for all but
// the error of the code, and ε what that of the query adds to the latter's angle.
func (q *Bounds) spare(e Extent) (w, eps float64) {
	x, o := math.Sqrt(float64(e.Norm))*(1+1e-6), lack*float64(e.Offset)
	hat := q.norm + q.err
	w = x*q.err + q.sum*o + x*hat/(q.dim-1) + q.round(e)
	return w, q.err + q.root*o
}

// apart are the least and the largest square of a distance whose estimate by bits
// is d. With E the error of the code, the true inner product differs from the
// estimate by E times the part of the query at a right angle to the vector, which
// is no more than the distance D sought: |D² − d| <= 2·E·(D + ε) + 2·w.
func (q *Bounds) apart(d float64, e Extent) (least, most float64) {
	w, eps := q.spare(e)
	E := float64(e.Err)
	slack := 2 * (E*eps + w)
	if lo := d - slack; lo > 0 {
		r := math.Sqrt(E*E+lo) - E
		least = r * r * (1 - 1e-6)
	}
	r := E + math.Sqrt(max(0, E*E+d+slack))
	return least, r * r * (1 + 1e-6)
}

// within is the estimate above which the square of the distance is above limit.
func (q *Bounds) within(limit float64, e Extent) float64 {
	w, eps := q.spare(e)
	r := math.Sqrt(max(0, limit)) * (1 + 1e-6)
	return (r*r + 2*float64(e.Err)*(r+eps) + 2*w) * (1 + 1e-6)
}

// probable is how far below d the square of a distance may be: four standard
// deviations 2·E·D/√n of the estimate, and of the query's error.
func (q *Bounds) probable(d float64, e Extent) float64 {
	half := 4 * math.Hypot(float64(e.Err), q.err) / math.Sqrt(q.dim)
	d = max(0, d)
	r := math.Sqrt(d+half*half) - half
	return d - r*r + q.round(e)
}
