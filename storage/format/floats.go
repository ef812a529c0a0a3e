package format

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Floats is a tensor of float32 that holds a copy of x, as many numbers as shape says.
func Floats(shape []int, x []float32) Tensor {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return Tensor{DType: "F32", Shape: shape, Data: b}
}

// ReadFloats converts the elements of t, floats of any width, to dst. The error says
// what is not as it should be: the shape, the type, or a number that is not finite.
func (t Tensor) ReadFloats(dst []float32, shape []int) error {
	if !slices.Equal(t.Shape, shape) {
		return fmt.Errorf("has shape %v, the model's has %v", t.Shape, shape)
	}
	size := ElementBytes(t.DType)
	if size*len(dst) != len(t.Data) {
		return fmt.Errorf("has %d bytes of %.16q for %d numbers", len(t.Data), t.DType, len(dst))
	}
	for i := range dst {
		b := t.Data[i*size:]
		switch t.DType {
		case "F32":
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b))
		case "F64":
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		case "BF16":
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16)
		case "F16":
			dst[i] = Half(binary.LittleEndian.Uint16(b))
		default:
			return fmt.Errorf("is of %.16s, not of floats", t.DType)
		}
		if x := float64(dst[i]); math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Errorf("has %v at %d", x, i)
		}
	}
	return nil
}

// Half widens an IEEE half-precision number.
func Half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&0x3ff
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp == 0:
		v := float32(frac) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(v))
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
