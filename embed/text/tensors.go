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
			v = float64(format.Half(binary.LittleEndian.Uint16(b)))
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
