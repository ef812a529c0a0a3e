package format

import (
	"encoding/binary"
	"fmt"
)

const chunkVersion = 1

// Chunk is a piece of an index snapshot: derived bytes that may be deleted at
// will.
type Chunk struct {
	LSN  uint64 // the snapshot reflects the log up to here
	Seq  uint32 // position, from 0
	Last bool   // no chunk follows; only then is the snapshot whole
	Data []byte // at most MaxChunk bytes
}

// AppendChunk appends c's envelope to dst. Error: ErrLimit.
func AppendChunk(dst []byte, c Chunk) ([]byte, error) {
	if len(c.Data) > MaxChunk {
		return dst, fmt.Errorf("%w: chunk of %d bytes, at most %d", ErrLimit, len(c.Data), MaxChunk)
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvChunk, chunkVersion)
	dst = binary.LittleEndian.AppendUint64(dst, c.LSN)
	dst = binary.LittleEndian.AppendUint32(dst, c.Seq)
	last := byte(0)
	if c.Last {
		last = 1
	}
	dst = append(dst, last)
	dst = append(dst, c.Data...)
	return endEnvelope(dst, start)
}

// ParseChunk decodes an envelope of AppendChunk; Data aliases b. Errors:
// ErrCorrupt, ErrVersion.
func ParseChunk(b []byte) (Chunk, error) {
	_, body, err := OpenEnvelope(b, EnvChunk, chunkVersion)
	if err != nil {
		return Chunk{}, err
	}
	c := cursor{b: body}
	ch := Chunk{LSN: c.u64(), Seq: c.u32()}
	last := c.u8()
	if c.bad || last > 1 || len(c.b) > MaxChunk {
		return Chunk{}, corrupt("snapshot chunk of %d bytes", len(body))
	}
	ch.Last, ch.Data = last == 1, c.b
	return ch, nil
}
