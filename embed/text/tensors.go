package text

import (
	"encoding/binary"
	"math"

	"github.com/eiderdb/eider/storage/format"
)

// widths are the bytes of one element by dtype, for the types that weights and
// mappings come in.
var widths = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}

// values returns the elements of a tensor; none may be NaN or beyond maxMagnitude.
func values[T float32 | float64](t format.Tensor, name string) ([]T, error) {
	width := widths[t.DType]
	if width == 0 {
		return nil, modelError("model.safetensors: %s is of type %s, which is not read", name, t.DType)
	}
	out := make([]T, len(t.Data)/width)
	for i := range out {
		v := 0.0
		b := t.Data[i*width:]
		switch t.DType {
		case "F64":
			v = math.Float64frombits(binary.LittleEndian.Uint64(b))
		case "F32":
			v = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		case "F16":
			v = float64(half(binary.LittleEndian.Uint16(b)))
		case "BF16":
			v = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
		case "I64":
			v = float64(int64(binary.LittleEndian.Uint64(b)))
		case "I32":
			v = float64(int32(binary.LittleEndian.Uint32(b)))
		case "I16":
			v = float64(int16(binary.LittleEndian.Uint16(b)))
		case "I8":
			v = float64(int8(b[0]))
		case "U8":
			v = float64(b[0])
		}
		if !(math.Abs(v) <= maxMagnitude) {
			return nil, modelError("model.safetensors: %s[%d] = %v is not a usable weight", name, i, v)
		}
		out[i] = T(v)
	}
	return out, nil
}

// half widens an IEEE half-precision number.
func half(h uint16) float32 {
	sign, exp, frac := uint32(h>>15)<<31, uint32(h>>10)&31, uint32(h)&0x3ff
	switch {
	case exp == 31:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	case exp == 0:
		v := float32(frac) / (1 << 24)
		if sign != 0 {
			v = -v
		}
		return v
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
