package format

import (
	"encoding/binary"
	"fmt"
)

const weightsVersion = 1

// Weights is a piece of the tensors of a model version: bytes Seq·MaxChunk and on
// of the payload of its safetensors file. Every piece but the last is full.
type Weights struct {
	ID   uint64 // Model.Weights
	Seq  uint32
	Data []byte // 1..MaxChunk bytes
}

// AppendWeights appends w's envelope to dst. Error: ErrLimit.
func AppendWeights(dst []byte, w Weights) ([]byte, error) {
	if len(w.Data) == 0 || len(w.Data) > MaxChunk {
		return dst, fmt.Errorf("%w: weights of %d bytes, want 1 to %d", ErrLimit, len(w.Data), MaxChunk)
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvWeights, weightsVersion)
	dst = binary.LittleEndian.AppendUint64(dst, w.ID)
	dst = binary.LittleEndian.AppendUint32(dst, w.Seq)
	return endEnvelope(append(dst, w.Data...), start)
}

// ParseWeights decodes an envelope of AppendWeights; Data aliases b. Errors:
// ErrCorrupt, ErrVersion.
func ParseWeights(b []byte) (Weights, error) {
	_, body, err := OpenEnvelope(b, EnvWeights, weightsVersion)
	if err != nil {
		return Weights{}, err
	}
	c := cursor{b: body}
	w := Weights{ID: c.u64(), Seq: c.u32()}
	if c.bad || len(c.b) == 0 || len(c.b) > MaxChunk {
		return Weights{}, corrupt("weights of %d bytes", len(body))
	}
	w.Data = c.b
	return w, nil
}
