package format

import (
	"encoding/binary"
	"fmt"
	"math"
)

const rotationVersion = 1

// Rotation is what a vector index turns vectors by before it makes codes of them:
// learned from the vectors, and so derived, but dear to learn.
type Rotation struct {
	Learned uint64    // how many vectors there were when it was learned
	Rows    []float32 // dim × dim by rows, finite; 1 <= dim <= MaxRotation
}

// AppendRotation appends r's envelope to dst. Error: ErrLimit.
func AppendRotation(dst []byte, r Rotation) ([]byte, error) {
	dim := int(math.Sqrt(float64(len(r.Rows))))
	if dim < 1 || dim > MaxRotation || dim*dim != len(r.Rows) {
		return dst, fmt.Errorf("%w: rotation of %d numbers, want the square of 1 to %d", ErrLimit, len(r.Rows), MaxRotation)
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvRotation, rotationVersion)
	dst = binary.LittleEndian.AppendUint64(dst, r.Learned)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(dim))
	for _, x := range r.Rows {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
	}
	return endEnvelope(dst, start)
}

// ParseRotation decodes an envelope of AppendRotation. Rows may be no rotation: the
// index checks that. Errors: ErrCorrupt, ErrVersion.
func ParseRotation(b []byte) (Rotation, error) {
	_, body, err := OpenEnvelope(b, EnvRotation, rotationVersion)
	if err != nil {
		return Rotation{}, err
	}
	c := cursor{b: body}
	r := Rotation{Learned: c.u64()}
	dim := uint64(c.u32())
	if c.bad || dim < 1 || dim > MaxRotation || uint64(len(c.b)) != 4*dim*dim {
		return Rotation{}, corrupt("rotation of %d bytes", len(body))
	}
	r.Rows = make([]float32, dim*dim)
	for i := range r.Rows {
		r.Rows[i] = math.Float32frombits(binary.LittleEndian.Uint32(c.b[4*i:]))
		if x := r.Rows[i]; x-x != 0 {
			return Rotation{}, corrupt("number %d of a rotation is %v", i, x)
		}
	}
	return r, nil
}
