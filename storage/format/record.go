package format

import "encoding/binary"

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
	_, body, err := OpenEnvelope(b, EnvRecord, recordVersion)
	if err != nil {
		return Record{}, err
	}
	c := cursor{b: body}
	r := Record{LSN: c.u64(), ExpireAt: int64(c.u64())}
	r.Fields = c.fields(MaxVectors)
	r.Key = c.block(MaxID)
	if c.bad || r.ExpireAt < 0 || len(r.Key) == 0 {
		return Record{}, corrupt("record head")
	}
	r.Body = c.b
	return r, nil
}

// fields reads a count of at most limit and that many ascending numbers.
func (c *cursor) fields(limit uint64) []uint16 {
	n := c.uvarint(limit)
	p := c.bytes(2 * n)
	if c.bad || n == 0 {
		return nil
	}
	out := make([]uint16, n)
	for i := range out {
		out[i] = binary.LittleEndian.Uint16(p[2*i:])
		c.bad = c.bad || i > 0 && out[i] <= out[i-1]
	}
	return out
}
