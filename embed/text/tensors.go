package text

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// tensor is one entry of a safetensors file.
type tensor struct {
	dtype string
	shape []int
	data  []byte
}

// readTensors reads a safetensors file: a length, a JSON header, the data.
func readTensors(b []byte) (map[string]tensor, error) {
	if len(b) < 8 {
		return nil, modelError("model.safetensors: %d bytes are too few", len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)-8) {
		return nil, modelError("model.safetensors: the header ends beyond the file")
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		return nil, modelError("model.safetensors: header: %v", err)
	}
	body := b[8+n:]
	out := make(map[string]tensor, len(header))
	for name, raw := range header {
		if name == "__metadata__" {
			continue
		}
		var h struct {
			Dtype   string    `json:"dtype"`
			Shape   []int     `json:"shape"`
			Offsets [2]uint64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &h); err != nil {
			return nil, modelError("model.safetensors: tensor %.40q: %v", name, err)
		}
		if h.Offsets[0] > h.Offsets[1] || h.Offsets[1] > uint64(len(body)) {
			return nil, modelError("model.safetensors: tensor %.40q lies beyond the file", name)
		}
		t := tensor{h.Dtype, h.Shape, body[h.Offsets[0]:h.Offsets[1]]}
		if width := widths[t.dtype]; width == 0 || !t.fits(width) {
			return nil, modelError("model.safetensors: tensor %.40q has dtype %q and shape %v in %d bytes", name, t.dtype, t.shape, len(t.data))
		}
		out[name] = t
	}
	return out, nil
}

// widths are the bytes of one element by dtype.
var widths = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1}

// fits reports whether the shape fills the data exactly.
func (t tensor) fits(width int) bool {
	n := len(t.data) / width
	count := 1
	for _, d := range t.shape {
		if d < 0 || (d > 0 && count > n/d+1) {
			return false
		}
		count *= d
	}
	return count*width == len(t.data)
}

// floats returns the elements as float64; each must be finite and no larger
// than maxMagnitude, or for integers exactly representable.
func (t tensor) floats(name string) ([]float64, error) {
	width := widths[t.dtype]
	out := make([]float64, len(t.data)/width)
	for i := range out {
		b := t.data[i*width:]
		switch t.dtype {
		case "F64":
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b))
		case "F32":
			out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		case "F16":
			out[i] = float64(half(binary.LittleEndian.Uint16(b)))
		case "BF16":
			out[i] = float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
		case "I64":
			out[i] = float64(int64(binary.LittleEndian.Uint64(b)))
		case "I32":
			out[i] = float64(int32(binary.LittleEndian.Uint32(b)))
		case "I16":
			out[i] = float64(int16(binary.LittleEndian.Uint16(b)))
		case "I8":
			out[i] = float64(int8(b[0]))
		case "U8":
			out[i] = float64(b[0])
		}
		if v := math.Abs(out[i]); !(v <= maxMagnitude) {
			return nil, modelError("model.safetensors: %s[%d] = %v is not a usable weight", name, i, out[i])
		}
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
