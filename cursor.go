package eider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"hash/fnv"
)

// A cursor is opaque to callers: kind, what it belongs to, where to go on, and
// a checksum, in URL-safe base64.

const (
	cursorSearch = 1 // page.Offset hits were returned, as of page.LSN
	cursorScroll = 2 // page.After is the key of the last document returned
)

// page is where a cursor continues.
type page struct {
	LSN    uint64
	Offset int
	After  []byte
}

// seal makes the cursor text. owner is a fingerprint of the request it may
// continue.
func (p page) seal(kind byte, owner uint64) string {
	b := []byte{kind}
	b = binary.LittleEndian.AppendUint64(b, owner)
	b = binary.AppendUvarint(b, p.LSN)
	b = binary.AppendUvarint(b, uint64(p.Offset))
	b = append(b, p.After...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

// openCursor reads a cursor made by seal. Errors wrap ErrInvalid.
func openCursor(text string, kind byte, owner uint64) (page, error) {
	bad := func(why string) (page, error) {
		return page{}, fmt.Errorf("%w: cursor %s; pass the cursor of the last page unchanged, with the same request", ErrInvalid, why)
	}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) < 1+8+2+4 || len(b) > 4096 {
		return bad("is not one of ours")
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.ChecksumIEEE(body) != sum || body[0] != kind {
		return bad("is damaged or of another kind")
	}
	if binary.LittleEndian.Uint64(body[1:]) != owner {
		return bad("belongs to another request")
	}
	rest := body[9:]
	lsn, n := binary.Uvarint(rest)
	if n <= 0 {
		return bad("is damaged")
	}
	offset, m := binary.Uvarint(rest[n:])
	if m <= 0 || offset > MaxOffset {
		return bad("is damaged")
	}
	return page{LSN: lsn, Offset: int(offset), After: rest[n+m:]}, nil
}

// fingerprint identifies which hits a search asks for in which order; its page
// size and what else it wants to know may differ from page to page.
func (q *Query) fingerprint(collection string) uint64 {
	k := *q
	k.Cursor, k.Limit, k.Paged, k.Explain, k.Total = "", 0, false, false, false
	k.Fields, k.Vectors, k.Facets = nil, nil, nil
	h := fnv.New64a()
	h.Write([]byte(collection))
	if err := json.NewEncoder(h).Encode(k); err != nil {
		return 0 // a query that does not encode has no second page
	}
	return h.Sum64()
}
