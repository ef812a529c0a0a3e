package format

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Kinds of envelope, first byte of the artefact.
const (
	EnvMeta       = 'm' // the store's format number and identity
	EnvRecord     = 'r' // a document version
	EnvCollection = 't' // a catalog entry
	EnvChange     = 'c' // a changelog entry
	EnvChunk      = 's' // a chunk of an index snapshot
	EnvFile       = 'f' // a reference to the file of an index snapshot
	EnvRotation   = 'o' // the rotation of a vector field
	EnvSetting    = 'k' // a key-value of the layer above
	EnvBackup     = 'b' // a part of an incremental backup
	EnvModel      = 'g' // the manifest of a model version
	EnvPromotion  = 'p' // a change of a model's alias
	EnvWeights    = 'w' // a chunk of a model version's tensors
	EnvEvent      = 'h' // an interaction of a user with an item
	EnvJob        = 'j' // unfinished work of the layer above
)

// envelopeHead is kind, version, length; envelopeTail is the checksum.
const (
	envelopeHead = 1 + 1 + 4
	envelopeTail = 4
	// EnvelopeBytes is what an envelope adds to its body.
	EnvelopeBytes = envelopeHead + envelopeTail
	// EnvelopeHead is the length of the part before the body.
	EnvelopeHead = envelopeHead
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC32C that envelopes carry.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Extend returns the checksum of what sum was of, 0 for nothing, and b after it.
func Extend(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// beginEnvelope appends a head with no length yet; endEnvelope fills it in and
// appends the checksum. start is len(dst) before beginEnvelope.
func beginEnvelope(dst []byte, kind, version byte) []byte {
	return append(dst, kind, version, 0, 0, 0, 0)
}

func endEnvelope(dst []byte, start int) ([]byte, error) {
	n := len(dst) - start - envelopeHead
	if n > MaxBody {
		return dst[:start], fmt.Errorf("%w: %d bytes, at most %d", ErrLimit, n, MaxBody)
	}
	binary.LittleEndian.PutUint32(dst[start+2:], uint32(n))
	return binary.LittleEndian.AppendUint32(dst, Checksum(dst[start:])), nil
}

// AppendEnvelope appends body wrapped in kind, version, length and a CRC32C
// over all of them. Error: ErrLimit past MaxBody.
func AppendEnvelope(dst []byte, kind, version byte, body []byte) ([]byte, error) {
	start := len(dst)
	return endEnvelope(append(beginEnvelope(dst, kind, version), body...), start)
}

// OpenEnvelope checks an envelope that fills b exactly and returns its version
// and body, which aliases b. Errors: ErrCorrupt; ErrVersion if the envelope is
// whole but newer than newest.
func OpenEnvelope(b []byte, kind, newest byte) (version byte, body []byte, err error) {
	if len(b) < EnvelopeBytes {
		return 0, nil, corrupt("envelope of %d bytes", len(b))
	}
	n := binary.LittleEndian.Uint32(b[2:])
	if uint64(n) != uint64(len(b)-EnvelopeBytes) || n > MaxBody {
		return 0, nil, corrupt("envelope says %d bytes of body, holds %d", n, len(b)-EnvelopeBytes)
	}
	end := len(b) - envelopeTail
	if sum := binary.LittleEndian.Uint32(b[end:]); sum != Checksum(b[:end]) {
		return 0, nil, corrupt("checksum mismatch in %q envelope", kind)
	}
	if b[0] != kind {
		return 0, nil, corrupt("envelope kind %q, want %q", b[0], kind)
	}
	if b[1] > newest {
		return 0, nil, fmt.Errorf("%w: %q version %d, this binary reads up to %d", ErrVersion, kind, b[1], newest)
	}
	if b[1] == 0 {
		return 0, nil, corrupt("envelope version 0")
	}
	return b[1], b[envelopeHead:end:end], nil
}
