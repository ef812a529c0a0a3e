package format

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// IDKind says what the document ids of a collection are. The numbers are on
// disk.
type IDKind uint8

// The kinds of document id.
const (
	IDString IDKind = 0 // 1 to MaxID bytes of UTF-8, ordered by bytes
	IDUint64 IDKind = 1 // canonical decimal, ordered by number
)

// String returns "string" or "uint64".
func (k IDKind) String() string {
	switch k {
	case IDString:
		return "string"
	case IDUint64:
		return "uint64"
	default:
		return "idkind(" + strconv.Itoa(int(k)) + ")"
	}
}

// EncodeID returns the key of an id: the bytes themselves, or eight big-endian
// bytes for a number, so that key order is id order. Error: ErrID.
func EncodeID(kind IDKind, id string) ([]byte, error) {
	switch kind {
	case IDString:
		if id == "" || len(id) > MaxID {
			return nil, fmt.Errorf("%w: %d bytes, 1 to %d are allowed", ErrID, len(id), MaxID)
		}
		if !utf8.ValidString(id) {
			return nil, fmt.Errorf("%w: not UTF-8", ErrID)
		}
		return []byte(id), nil
	case IDUint64:
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != id {
			return nil, fmt.Errorf("%w: %.32q is not a decimal uint64 without sign or leading zeros", ErrID, id)
		}
		return binary.BigEndian.AppendUint64(nil, n), nil
	default:
		return nil, fmt.Errorf("%w: unknown id kind %d", ErrID, kind)
	}
}

// DecodeID undoes EncodeID. Error: ErrCorrupt.
func DecodeID(kind IDKind, key []byte) (string, error) {
	if kind == IDString && len(key) >= 1 && len(key) <= MaxID && utf8.Valid(key) {
		return string(key), nil // spares AppendID's copy
	}
	id, err := AppendID(nil, kind, key)
	return string(id), err
}

// AppendID appends what DecodeID returns to dst. Error: ErrCorrupt.
func AppendID(dst []byte, kind IDKind, key []byte) ([]byte, error) {
	switch {
	case kind == IDString && len(key) >= 1 && len(key) <= MaxID && utf8.Valid(key):
		return append(dst, key...), nil
	case kind == IDUint64 && len(key) == 8:
		return strconv.AppendUint(dst, binary.BigEndian.Uint64(key), 10), nil
	default:
		return dst, corrupt("id key of %d bytes for kind %v", len(key), kind)
	}
}
