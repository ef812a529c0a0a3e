package format

import (
	"encoding/binary"
	"slices"
)

const recordVersion = 1

// Record is one stored document version.
type Record struct {
	LSN      uint64   // of the write that made it; also its version number
	ExpireAt int64    // nanoseconds since 1970 UTC, 0 for never
	Fields   []uint16 // vector fields stored beside it, ascending
	Key      []byte   // id key, see EncodeID
	Body     []byte   // the document; opaque here
}

// AppendRecord appends r's envelope to dst. Error: ErrLimit.
func AppendRecord(dst []byte, r Record) ([]byte, error) {
	start := len(dst)
	dst = beginEnvelope(dst, EnvRecord, recordVersion)
	dst = binary.LittleEndian.AppendUint64(dst, r.LSN)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.ExpireAt))
	dst = binary.AppendUvarint(dst, uint64(len(r.Fields)))
	for _, f := range r.Fields {
		dst = binary.LittleEndian.AppendUint16(dst, f)
	}
	dst = appendBlock(dst, r.Key)
	dst = append(dst, r.Body...)
	return endEnvelope(dst, start)
}

// ParseRecord decodes an envelope of AppendRecord; Key and Body alias b.
// Errors: ErrCorrupt, ErrVersion.
func ParseRecord(b []byte) (Record, error) {
	var r Record
	if err := r.Parse(b); err != nil {
		return Record{}, err
	}
	return r, nil
}

// Parse is ParseRecord into r, whose Fields it overwrites. After an error r
// holds nothing of use.
func (r *Record) Parse(b []byte) error {
	_, body, err := OpenEnvelope(b, EnvRecord, recordVersion)
	if err != nil {
		return err
	}
	c := cursor{b: body}
	r.LSN, r.ExpireAt = c.u64(), int64(c.u64())
	r.Fields = c.fields(r.Fields[:0], MaxVectors)
	r.Key = c.block(MaxID)
	if c.bad || r.ExpireAt < 0 || len(r.Key) == 0 {
		return corrupt("record head")
	}
	r.Body = c.b
	return nil
}

// fields reads a count of at most limit and that many ascending numbers onto
// the empty dst.
func (c *cursor) fields(dst []uint16, limit uint64) []uint16 {
	n := c.uvarint(limit)
	p := c.bytes(2 * n)
	if c.bad || n == 0 {
		return dst
	}
	dst = slices.Grow(dst, int(n))
	for i := range n {
		dst = append(dst, binary.LittleEndian.Uint16(p[2*i:]))
		c.bad = c.bad || i > 0 && dst[i] <= dst[i-1]
	}
	return dst
}
