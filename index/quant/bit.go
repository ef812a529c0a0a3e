package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"sync"

	"github.com/eiderdb/eider/index"
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

// checkBit reports why the widths of blocks cannot be had.
func checkBit(dim int, widths []int) error {
	if len(widths) > 1 || len(widths) == 1 && widths[0] != dim {
		return fmt.Errorf("%w: bits mix all components, so they have no prefixes; use int8 or int4, or declare no prefixes", index.ErrOption)
	}
	return nil
}
