// Package quant turns vectors into compact codes that an index may walk in
// their stead: a quarter of the bytes of float32 or less, so that a quarter of
// the memory has to be read for each distance.
//
// # Codes
//
// A code is a pure function of one vector: nothing is trained, nothing drifts,
// and equal vectors have equal codes. A vector x is kept as
//
//	x̂ = offset + scale·c    c integer, one per component
//
// in a row of a 16-byte header and the integers (all little-endian):
//
//	 0  4  scale, float32
//	 4  2  error: no less than ‖x − x̂‖, bfloat16
//	 6  2  offset, bfloat16
//	 8  4  Σ x̂, float32
//	12  4  Σ x̂², float32
//	16  …  int8: dim bytes, c in -128..127
//	       int4: ⌈dim/2⌉ bytes, c in 0..15; byte j holds component j in its low
//	       half and component ⌈dim/2⌉+j in its high half
//
// filled with zero bytes to a multiple of 16. A vector of integers that span at
// most 255 is kept by int8 without any loss. Codes of one bit are of the rotated
// vector and have a header of their own: see bit.go.
//
// # Blocks
//
// For nested (Matryoshka) vectors a row may be divided at some widths into blocks,
// each with a header and a scale of its own. A search then goes by the first block
// and adds the others where it pays: squared distances of blocks add up, and the
// norms in the headers of blocks not looked at yet bound what they can add.
//
// # Distances
//
// A query is quantised in the same way to 8 bits, q̂ = a + t·u. Then
//
//	q̂·x̂ = a·Σx̂ + t·offset·Σu + t·scale·Σu·c
//
// needs one sum of products of bytes, and every metric is a linear function of
// it and of the header. What is computed is the distance of q̂ and x̂: it differs
// from that of q and x by no more than Bounds.Least says.
package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

const header = 16 // bytes

// Codec writes and scores codes of one kind, dimension and division into blocks. It
// is immutable.
type Codec struct {
	dim    int
	size   int
	code   index.Codes
	blocks []block
	bits   *bitter // of Bit
}

// block is the code of a run of components. A row is its blocks, one after the
// other.
type block struct {
	from, to int // components
	at, size int // bytes in the row; size is a multiple of 16
	code     index.Codes
}

// New returns the codec of a kind for vectors of dim components. widths, if any,
// are the ascending numbers of leading components after which a block ends: a
// distance over the first blocks alone is then there for less, and what the next
// block adds is had from that block alone. Errors: index.ErrOption.
func New(code index.Codes, dim int, widths ...int) (*Codec, error) {
	switch {
	case code != index.Int8 && code != index.Int4 && code != index.Bit:
		return nil, fmt.Errorf("%w: codes %q are none of int8, int4, bit", index.ErrOption, code)
	case dim < 1 || dim > index.MaxDim:
		return nil, fmt.Errorf("%w: dim %d is not in 1..%d", index.ErrOption, dim, index.MaxDim)
	}
	c := &Codec{dim: dim, code: code}
	if code == index.Bit {
		if err := checkBit(dim, widths); err != nil {
			return nil, err
		}
		c.bits = newBitter(dim)
	}
	from := 0
	for _, to := range append(slices.Clone(widths), dim) {
		if to == dim && from == dim {
			break
		}
		if to <= from || to > dim {
			return nil, fmt.Errorf("%w: widths %v do not ascend within 1..%d", index.ErrOption, widths, dim)
		}
		b := block{from: from, to: to, at: c.size, code: code}
		b.size = (header + b.bytes() + 15) &^ 15
		c.blocks = append(c.blocks, b)
		c.size += b.size
		from = to
	}
	return c, nil
}

// Dim is the number of components, Code the kind, and Levels the number of blocks.
func (c *Codec) Dim() int          { return c.dim }
func (c *Codec) Code() index.Codes { return c.code }
func (c *Codec) Levels() int       { return len(c.blocks) }

// Width is the number of components that the blocks 0..level hold.
func (c *Codec) Width(level int) int { return c.blocks[level].to }

// Size is the number of bytes of a row, headers included: a multiple of 16.
func (c *Codec) Size() int { return c.size }

// Head is the number of bytes of a row up to the end of block level: what Gather of
// the levels up to it reads. Rows reads those of level 0.
func (c *Codec) Head(level int) int {
	b := &c.blocks[level]
	return b.at + header + b.bytes()
}

func (b *block) dim() int { return b.to - b.from }

// bytes is the number of bytes of the integers.
func (b *block) bytes() int {
	switch b.code {
	case index.Int4:
		return (b.dim() + 1) / 2
	case index.Bit:
		return (b.dim() + 63) / 64 * 8
	}
	return b.dim()
}

// Encode writes the code of v, of Dim finite components, to row, of Size bytes.
// O(dim).
func (c *Codec) Encode(row []byte, v []float32) {
	if c.bits != nil {
		c.bits.encode(row, v)
		return
	}
	for i := range c.blocks {
		b := &c.blocks[i]
		part := row[b.at : b.at+b.size]
		if c.code == index.Int4 {
			b.encode4(part, v[b.from:b.to])
		} else {
			b.encode8(part, v[b.from:b.to])
		}
	}
}

// Loosen says that the vector of row is off by as much as slack, in the norm of each
// block, from the one that Encode was given.
func (c *Codec) Loosen(row []byte, slack float32) {
	for i := range c.blocks {
		r := row[c.blocks[i].at:]
		binary.LittleEndian.PutUint16(r[4:], above(float64(failure(r))+float64(slack)))
	}
}

// Decode writes x̂ to dst, of Dim components.
func (c *Codec) Decode(dst []float32, row []byte) {
	if c.bits != nil {
		c.bits.decode(dst, row)
		return
	}
	for i := range c.blocks {
		b := &c.blocks[i]
		b.decode(dst[b.from:b.to], row[b.at:])
	}
}

func (b *block) decode(dst []float32, row []byte) {
	scale, offset := parameters(row)
	if b.code == index.Int4 {
		half := b.bytes()
		for j := range dst {
			u := row[header+j%half]
			if j >= half {
				u >>= 4
			}
			dst[j] = offset + float32(scale*float32(u&15))
		}
		return
	}
	for j := range dst {
		dst[j] = offset + float32(scale*float32(int8(row[header+j])))
	}
}

// failure is no less than the distance of a block's components and their code, and
// norm the squared norm of what its code stands for.
func failure(row []byte) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(row[4:])) << 16)
}

func norm(row []byte) float32 { return float(row[12:]) }

// Extent is what bounds on distances go by: no less than the Euclidean distance
// of a vector and what Decode makes of its code, the squared norm of the latter,
// and the magnitude of the code's offset; or the largest of each of many.
type Extent struct{ Err, Norm, Offset float32 }

// Measure is the extent of a row's blocks 0..level.
func (c *Codec) Measure(row []byte, level int) (e Extent) {
	for i := range c.blocks[:level+1] {
		r := row[c.blocks[i].at:]
		_, offset := parameters(r)
		e.Offset = max(e.Offset, offset, -offset)
		e.Norm += norm(r)
		if f := failure(r); i == 0 {
			e.Err = f
		} else {
			e.Err = float32(math.Hypot(float64(e.Err), float64(f)) * (1 + 1e-6))
		}
	}
	return e
}

// Exact reports whether Decode gives back the very vector a row was made of.
func (c *Codec) Exact(row []byte) bool {
	for i := range c.blocks {
		if failure(row[c.blocks[i].at:]) != 0 {
			return false
		}
	}
	return true
}

// Check reports why row cannot be one that Encode wrote: index.ErrCorrupt.
func (c *Codec) Check(row []byte) error {
	if len(row) != c.Size() {
		return fmt.Errorf("%w: a code of %d bytes, want %d", index.ErrCorrupt, len(row), c.Size())
	}
	for i := range c.blocks {
		r := row[c.blocks[i].at:]
		scale, offset := parameters(r)
		for _, f := range [...]float32{scale, offset, failure(r), float(r[8:]), norm(r)} {
			if f != f || f > math.MaxFloat32 || f < -math.MaxFloat32 {
				return fmt.Errorf("%w: the header of a code is not finite", index.ErrCorrupt)
			}
		}
		if scale < 0 || failure(r) < 0 || norm(r) < 0 {
			return fmt.Errorf("%w: the header of a code is negative", index.ErrCorrupt)
		}
	}
	return nil
}

func parameters(row []byte) (scale, offset float32) {
	return float(row), math.Float32frombits(uint32(binary.LittleEndian.Uint16(row[6:])) << 16)
}

func float(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }

// seal writes the header: err is ‖x−x̂‖, sum Σc and square Σc².
func (b *block) seal(row []byte, scale, offset float32, err float64, sum, square int) {
	le := binary.LittleEndian
	s, o, n := float64(scale), float64(offset), float64(b.dim())
	le.PutUint32(row, math.Float32bits(scale))
	le.PutUint16(row[4:], above(err))
	le.PutUint16(row[6:], uint16(math.Float32bits(offset)>>16))
	le.PutUint32(row[8:], math.Float32bits(float32(n*o+s*float64(sum))))
	norm := n*o*o + 2*o*s*float64(sum) + s*s*float64(square)
	le.PutUint32(row[12:], math.Float32bits(float32(max(0, norm))))
}

// above is the least bfloat16 that is no less than x >= 0.
func above(x float64) uint16 {
	f := float32(x)
	if float64(f) < x {
		f = math.Nextafter32(f, math.MaxFloat32)
	}
	return uint16((math.Float32bits(f) + 0xffff) >> 16)
}

// bfloat is x rounded to a bfloat16.
func bfloat(x float32) float32 {
	b := math.Float32bits(x)
	return math.Float32frombits((b + 0x7fff + b>>16&1) &^ 0xffff)
}

// clamp brings x into lo..hi. It compares, for speed; x is a number.
func clamp(x, lo, hi float32) float32 {
	if x < lo {
		return lo
	}
	if x > hi {
		return hi
	}
	return x
}

// magic, added and taken away, rounds a float32 of magnitude below 2²² to the
// nearest integer.
const magic = 3 << 22

func (b *block) encode8(row []byte, v []float32) {
	lo, hi, whole := simd.Span(v)
	var scale, offset float32
	exact := false
	if integers(lo, hi, whole) {
		offset, scale = bfloat(float32(math.Floor(float64(lo+hi+1)/2))), 1
		exact = lo-offset >= -128 && hi-offset <= 127
	}
	if !exact {
		offset = bfloat(lo/2 + hi/2)
		scale = max((hi-offset)/127, (offset-lo)/128)
	}
	scale, inv := inverse(scale)
	l := simd.Quantise(row[header:header+len(v)], v, &simd.Steps{Offset: offset, Scale: scale, Inv: inv, Lo: -128, Hi: 127})
	clear(row[header+len(v):])
	b.seal(row, scale, offset, root(l.Err, l.Exact, b.dim()), int(l.Sum), int(l.Square))
}

// integers reports whether steps of 1 can hold components in lo..hi, all of them
// whole, without loss.
func integers(lo, hi float32, whole bool) bool {
	return whole && hi-lo <= 255 && lo >= -1<<20 && hi <= 1<<20
}

// inverse returns scale and what to multiply by instead of dividing by it: zeros
// where the components are so nearly equal that it has no inverse.
func inverse(scale float32) (s, inv float32) {
	if inv = 1 / scale; scale <= 0 || inv > math.MaxFloat32 {
		return 0, 0
	}
	return scale, inv
}

// root is an upper bound of the norm of dim differences: err is the sum of their
// squares, which may be short by dim ulps, and exact says that all of them are
// zero. Squares below 2⁻¹⁴⁹ are lost.
func root(err float32, exact bool, dim int) float64 {
	if exact {
		return 0
	}
	return math.Sqrt(float64(err)*(1+float64(dim)*1.2e-7) + float64(dim)*1.5e-45)
}

// clips are the shares of a vector's range that encode4 tries: with 16 levels it
// often pays to let the outermost components saturate.
var clips = [...]float32{1, 0.9, 0.8, 0.7, 0.6}

func (b *block) encode4(row []byte, v []float32) {
	lo, hi, _ := simd.Span(v)
	best := float32(math.MaxFloat32)
	var scale, offset float32
	for _, clip := range clips {
		mid, reach := lo/2+hi/2, (hi/2-lo/2)*clip
		o := bfloat(mid - reach)
		s := (mid + reach - o) / 15
		if e := saturated(v, o, s); e < best || clip == 1 {
			best, scale, offset = e, s, o
		}
	}
	scale, inv := inverse(scale)
	half := b.bytes()
	clear(row[header:])
	sum, square := 0, 0
	var err float32
	var any uint32
	for j, x := range v {
		y := clamp((x-offset)*inv, 0, 15) + magic - magic
		d := x - (offset + float32(scale*y))
		err += d * d
		any |= math.Float32bits(d)
		i := int(y)
		sum += i
		square += i * i
		if j < half {
			row[header+j] |= byte(i)
		} else {
			row[header+j-half] |= byte(i) << 4
		}
	}
	b.seal(row, scale, offset, root(err, any&^(1<<31) == 0, b.dim()), sum, square)
}

// saturated is the squared error of coding v by 16 levels.
func saturated(v []float32, offset, scale float32) (err float32) {
	scale, inv := inverse(scale)
	for _, x := range v {
		y := clamp((x-offset)*inv, 0, 15) + magic - magic
		d := x - (offset + float32(scale*y))
		err += d * d
	}
	return err
}

// Rows writes the distance from q, over the first block, to each of the codes that
// follow each other in rows to out.
func (c *Codec) Rows(q *Query, rows []byte, out []float32) {
	b := &c.blocks[0]
	switch c.code {
	case index.Bit:
		c.rowsBit(q, rows, out)
	case index.Int4:
		simd.AffineRowsI4(q.signed[:b.to], &q.k[0], rows, c.size, out)
	default:
		simd.AffineRowsI8(q.bytes[:b.to], &q.k[0], rows, c.size, out)
	}
}

// Gather writes the distance from q, over block level alone, to the codes ids[i] of
// rows to out[i]. The distance over several blocks is the sum.
func (c *Codec) Gather(q *Query, level int, rows []byte, ids []uint32, out []float32) {
	b := &c.blocks[level]
	switch c.code {
	case index.Bit:
		c.gatherBit(q, rows, ids, out)
	case index.Int4:
		simd.AffineGatherI4(q.signed[b.from:b.to], &q.k[level], rows[b.at:], c.size, ids, out)
	default:
		simd.AffineGatherI8(q.bytes[b.from:b.to], &q.k[level], rows[b.at:], c.size, ids, out)
	}
}
