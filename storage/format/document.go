package format

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Field is one named value of a document.
type Field struct {
	Name  string
	Value Value
}

// EncodeDocument appends the encoding of fields to dst: names sorted and
// unique, so equal documents have equal bytes. It sorts a copy and leaves
// fields as they are. Errors: ErrLimit, ErrValue (an empty, repeated or
// non-UTF-8 name; a value Validate refuses). O(f log f + bytes).
func EncodeDocument(dst []byte, fields []Field) ([]byte, error) {
	if len(fields) > MaxFields {
		return dst, fmt.Errorf("%w: %d fields, at most %d", ErrLimit, len(fields), MaxFields)
	}
	byName := func(a, b Field) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(fields, byName) {
		fields = slices.Clone(fields)
		slices.SortStableFunc(fields, byName)
	}
	dst = binary.AppendUvarint(dst, uint64(len(fields)))
	for i, f := range fields {
		if err := checkName(f.Name); err != nil {
			return dst, err
		}
		if i > 0 && fields[i-1].Name == f.Name {
			return dst, fmt.Errorf("%w: field %q is given twice", ErrValue, f.Name)
		}
		if err := f.Value.Validate(); err != nil {
			return dst, fmt.Errorf("field %q: %w", f.Name, err)
		}
		n := payloadLen(f.Value)
		if n > MaxValue {
			return dst, fmt.Errorf("field %q: %w: %d bytes, at most %d", f.Name, ErrLimit, n, MaxValue)
		}
		dst = binary.AppendUvarint(dst, uint64(len(f.Name)))
		dst = append(dst, f.Name...)
		dst = append(dst, byte(f.Value.kind))
		dst = binary.AppendUvarint(dst, uint64(n))
		dst = appendPayload(dst, f.Value)
	}
	return dst, nil
}

func checkName(name string) error {
	if name == "" || len(name) > MaxName {
		return fmt.Errorf("%w: field name of %d bytes, 1 to %d are allowed", ErrLimit, len(name), MaxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%w: field name %q is not UTF-8", ErrValue, name)
	}
	return nil
}

// DecodeDocument returns the fields of an encoded document in name order. The
// result shares no memory with b. Error: ErrCorrupt.
func DecodeDocument(b []byte) ([]Field, error) {
	c := cursor{b: b}
	n := c.uvarint(MaxFields)
	if c.bad || n > uint64(len(c.b))/4 { // length, name, kind, length
		return nil, corrupt("document of %d fields in %d bytes", n, len(b))
	}
	fields := make([]Field, 0, n)
	for range n {
		name, kind, p, ok := c.field()
		if !ok {
			return nil, corrupt("field %d", len(fields))
		}
		if len(fields) > 0 && fields[len(fields)-1].Name >= string(name) {
			return nil, corrupt("field names out of order at %q", name)
		}
		v, err := decodePayload(kind, p)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
		fields = append(fields, Field{string(name), v})
	}
	if !c.done() {
		return nil, corrupt("bytes after a document")
	}
	return fields, nil
}

func (c *cursor) field() (name []byte, kind Kind, payload []byte, ok bool) {
	name = c.block(MaxName)
	kind = Kind(c.u8())
	payload = c.block(MaxValue)
	return name, kind, payload, !c.bad && len(name) > 0 && utf8.Valid(name)
}

// Lookup returns one field of an encoded document without decoding the
// others, and false if the document has no such field or is damaged up to it.
// O(fields), no allocation but the value's own.
func Lookup(b []byte, name string) (Value, bool) {
	c := cursor{b: b}
	for n := c.uvarint(MaxFields); n > 0; n-- {
		f, kind, p, ok := c.field()
		if !ok || string(f) > name {
			return Value{}, false
		}
		if string(f) == name {
			v, err := decodePayload(kind, p)
			return v, err == nil
		}
	}
	return Value{}, false
}
