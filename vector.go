package eider

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/simd"
)

// Vectors are stored as given, little-endian: float32, or IEEE half precision
// when the vector's storage is float16.

// encodeVector checks v against its declaration and gives its stored bytes.
func encodeVector(spec Vector, v []float32) ([]byte, error) {
	if err := index.CheckVector(spec.Metric, spec.Dim, v); err != nil {
		return nil, err
	}
	if spec.Storage == index.Float16 {
		half := make([]uint16, len(v))
		simd.ToHalf(half, v)
		out := make([]byte, 0, 2*len(v))
		zero := true
		for i, h := range half {
			if h&0x7fff == 0x7c00 {
				return nil, fmt.Errorf("%w: component %d is %g, beyond float16; scale the vector or use storage float32", index.ErrNotFinite, i, v[i])
			}
			zero = zero && h&0x7fff == 0
			out = binary.LittleEndian.AppendUint16(out, h)
		}
		if zero && spec.Metric == index.Cosine {
			return nil, fmt.Errorf("%w: every component rounds to zero in float16; scale the vector up or use storage float32", index.ErrZeroVector)
		}
		return out, nil
	}
	out := make([]byte, 0, 4*len(v))
	for _, x := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
	}
	return out, nil
}

// decodeVector appends the components of stored bytes to dst.
func decodeVector(spec Vector, raw []byte, dst []float32) ([]float32, error) {
	size := 4
	if spec.Storage == index.Float16 {
		size = 2
	}
	if len(raw) != size*spec.Dim {
		return nil, fmt.Errorf("%w: a vector of %d bytes, want %d", ErrCorrupt, len(raw), size*spec.Dim)
	}
	if size == 2 {
		half := make([]uint16, spec.Dim)
		for i := range half {
			half[i] = binary.LittleEndian.Uint16(raw[2*i:])
		}
		n := len(dst)
		dst = append(dst, make([]float32, spec.Dim)...)
		simd.FromHalf(dst[n:], half)
		return dst, nil
	}
	if f, ok := simd.Floats(raw); ok {
		return append(dst, f...), nil
	}
	for i := 0; i < len(raw); i += 4 {
		dst = append(dst, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
	}
	return dst, nil
}
