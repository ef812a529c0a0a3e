package format

import (
	"encoding/binary"
	"fmt"
)

const (
	chunkVersion = 1
	fileVersion  = 1
)

// File refers to a file that holds an index snapshot: derived bytes that may be
// deleted at will.
type File struct {
	LSN  uint64 // the snapshot reflects the log up to here
	Tag  uint64 // random, part of the file's name: no two files share it
	Size int64  // bytes of the file
	Sum  uint32 // their CRC32C
}

// AppendFile appends f's envelope to dst. Error: ErrLimit.
func AppendFile(dst []byte, f File) ([]byte, error) {
	start := len(dst)
	dst = beginEnvelope(dst, EnvFile, fileVersion)
	dst = binary.LittleEndian.AppendUint64(dst, f.LSN)
	dst = binary.LittleEndian.AppendUint64(dst, f.Tag)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.Size))
	dst = binary.LittleEndian.AppendUint32(dst, f.Sum)
	return endEnvelope(dst, start)
}

// ParseFile decodes an envelope of AppendFile. Errors: ErrCorrupt, ErrVersion.
func ParseFile(b []byte) (File, error) {
	_, body, err := OpenEnvelope(b, EnvFile, fileVersion)
	if err != nil {
		return File{}, err
	}
	c := cursor{b: body}
	f := File{LSN: c.u64(), Tag: c.u64(), Size: int64(c.u64()), Sum: c.u32()}
	if c.bad || len(c.b) > 0 || f.Size < 0 {
		return File{}, corrupt("reference to a snapshot file of %d bytes", len(body))
	}
	return f, nil
}

// Chunk is a piece of an index snapshot, as versions before snapshot files wrote
// them.
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
