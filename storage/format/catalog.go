package format

import (
	"encoding/binary"
	"fmt"
)

const (
	metaVersion       = 1
	collectionVersion = 1
)

// Meta is the first record of a store.
type Meta struct {
	Format  uint32   // the store's ratcheting format number
	ID      [16]byte // random, made at creation; backups of one store share it
	Created int64    // nanoseconds since 1970 UTC
	Flags   uint64   // feature flags; an unknown one is refused
}

// AppendMeta appends m's envelope to dst.
func AppendMeta(dst []byte, m Meta) []byte {
	start := len(dst)
	dst = beginEnvelope(dst, EnvMeta, metaVersion)
	dst = binary.LittleEndian.AppendUint32(dst, m.Format)
	dst = append(dst, m.ID[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.Created))
	dst = binary.LittleEndian.AppendUint64(dst, m.Flags)
	dst, _ = endEnvelope(dst, start) // 36 bytes, below MaxBody
	return dst
}

// ParseMeta decodes an envelope of AppendMeta. Errors: ErrCorrupt, ErrVersion.
func ParseMeta(b []byte) (Meta, error) {
	_, body, err := OpenEnvelope(b, EnvMeta, metaVersion)
	if err != nil {
		return Meta{}, err
	}
	c := cursor{b: body}
	m := Meta{Format: c.u32()}
	copy(m.ID[:], c.bytes(16))
	m.Created, m.Flags = int64(c.u64()), c.u64()
	if !c.done() {
		return Meta{}, corrupt("meta record of %d bytes", len(body))
	}
	return m, nil
}

// Collection is a catalog entry.
type Collection struct {
	ID      uint32
	Kind    IDKind
	Created uint64   // LSN
	Version uint64   // LSN of the last schema change
	Flags   uint64   // CollectionStale and nothing else yet
	Dropped []uint16 // vector fields that were dropped, ascending; never used again
	Name    string
	Schema  []byte // opaque here
}

// CollectionStale marks a collection whose postings must be derived again from
// its records before they are used: it was restored from documents.
const CollectionStale = 1

// AppendCollection appends c's envelope to dst. Error: ErrLimit.
func AppendCollection(dst []byte, c Collection) ([]byte, error) {
	if len(c.Schema) > MaxSchema || len(c.Name) > MaxLabel {
		return dst, fmt.Errorf("%w: schema of %d bytes, at most %d", ErrLimit, len(c.Schema), MaxSchema)
	}
	if len(c.Dropped) > MaxDropped {
		return dst, fmt.Errorf("%w: %d dropped vector fields, at most %d; copy the collection", ErrLimit, len(c.Dropped), MaxDropped)
	}
	start := len(dst)
	dst = beginEnvelope(dst, EnvCollection, collectionVersion)
	dst = binary.LittleEndian.AppendUint32(dst, c.ID)
	dst = append(dst, byte(c.Kind))
	dst = binary.LittleEndian.AppendUint64(dst, c.Created)
	dst = binary.LittleEndian.AppendUint64(dst, c.Version)
	dst = binary.LittleEndian.AppendUint64(dst, c.Flags)
	dst = binary.AppendUvarint(dst, uint64(len(c.Dropped)))
	for _, f := range c.Dropped {
		dst = binary.LittleEndian.AppendUint16(dst, f)
	}
	dst = appendBlock(dst, []byte(c.Name))
	dst = append(dst, c.Schema...)
	return endEnvelope(dst, start)
}

// ParseCollection decodes an envelope of AppendCollection; Schema aliases b.
// Errors: ErrCorrupt, ErrVersion.
func ParseCollection(b []byte) (Collection, error) {
	_, body, err := OpenEnvelope(b, EnvCollection, collectionVersion)
	if err != nil {
		return Collection{}, err
	}
	r := cursor{b: body}
	c := Collection{ID: r.u32(), Kind: IDKind(r.u8()), Created: r.u64(), Version: r.u64(), Flags: r.u64()}
	c.Dropped = r.fields(nil, MaxDropped)
	c.Name = string(r.block(MaxLabel))
	if r.bad || c.Kind > IDUint64 || c.Flags&^CollectionStale != 0 || len(r.b) > MaxSchema || CheckLabel(c.Name) != nil {
		return Collection{}, corrupt("catalog entry of %d bytes", len(body))
	}
	c.Schema = r.b
	return c, nil
}

// CheckLabel reports why name cannot name a collection or an alias: ErrValue.
func CheckLabel(name string) error {
	ok := len(name) >= 1 && len(name) <= MaxLabel
	for _, b := range []byte(name) {
		ok = ok && (b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '_' || b == '-')
	}
	if !ok {
		return fmt.Errorf("%w: name %.80q must be 1 to %d of a-z 0-9 _ -", ErrValue, name, MaxLabel)
	}
	return nil
}
