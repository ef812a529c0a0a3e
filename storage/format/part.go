package format

import "encoding/binary"

const partVersion = 1

// PartKind says what a Part of an incremental backup is. The numbers are on
// disk.
type PartKind uint8

// The kinds of part.
const (
	PartKey      PartKind = 1 // a key of the catalog or the settings and its value
	PartEntry    PartKind = 2 // a changelog entry
	PartTouched  PartKind = 3 // an id that was written or deleted; Key is the id key
	PartDocument PartKind = 4 // a document; Value is its record, Vectors its vectors
	PartEnd      PartKind = 5 // nothing follows
	PartUser     PartKind = 6 // a user whose events are given whole or are gone; Key is the user's number
)

// Part is one frame of an incremental backup.
type Part struct {
	Kind       PartKind
	Collection uint32 // PartTouched, PartDocument
	Ord        uint32 // PartDocument
	Key        []byte // PartKey: the key; PartTouched: the id key; PartUser: eight bytes, big-endian
	Value      []byte
	Vectors    []PartVector
}

// PartVector is one vector of a document.
type PartVector struct {
	Field uint16
	Data  []byte
}

// MaxPart is the size of the largest part's body.
const MaxPart = MaxBody

// AppendPart appends p's envelope to dst. Error: ErrLimit.
func AppendPart(dst []byte, p Part) ([]byte, error) {
	start := len(dst)
	dst = beginEnvelope(dst, EnvBackup, partVersion)
	dst = append(dst, byte(p.Kind))
	dst = binary.LittleEndian.AppendUint32(dst, p.Collection)
	dst = binary.LittleEndian.AppendUint32(dst, p.Ord)
	dst = binary.AppendUvarint(dst, uint64(len(p.Vectors)))
	for _, v := range p.Vectors {
		dst = binary.LittleEndian.AppendUint16(dst, v.Field)
		dst = appendBlock(dst, v.Data)
	}
	dst = appendBlock(dst, p.Key)
	dst = append(dst, p.Value...)
	return endEnvelope(dst, start)
}

// ParsePart decodes an envelope of AppendPart; slices alias b. Errors:
// ErrCorrupt, ErrVersion.
func ParsePart(b []byte) (Part, error) {
	_, body, err := OpenEnvelope(b, EnvBackup, partVersion)
	if err != nil {
		return Part{}, err
	}
	c := cursor{b: body}
	p := Part{Kind: PartKind(c.u8()), Collection: c.u32(), Ord: c.u32()}
	n := c.uvarint(MaxVectors)
	for range n {
		if c.bad {
			break
		}
		p.Vectors = append(p.Vectors, PartVector{c.u16(), c.block(MaxVector)})
	}
	p.Key = c.block(MaxBody)
	if c.bad || p.Kind < PartKey || p.Kind > PartUser {
		return Part{}, corrupt("backup part of %d bytes", len(body))
	}
	p.Value = c.b
	return p, nil
}

// PartSize returns the size of the envelope that starts with head, which holds
// at least EnvelopeHead bytes. Error: ErrCorrupt.
func PartSize(head []byte) (int, error) {
	if len(head) < EnvelopeHead || head[0] != EnvBackup {
		return 0, corrupt("backup part head")
	}
	n := binary.LittleEndian.Uint32(head[2:])
	if n > MaxPart {
		return 0, corrupt("backup part of %d bytes", n)
	}
	return int(n) + EnvelopeBytes, nil
}
