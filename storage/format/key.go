package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// First byte of an encoded key: values of one kind sort together.
const (
	keyNull    = 0x08
	keyBool    = 0x10
	keyInt64   = 0x20
	keyFloat64 = 0x30
	keyString  = 0x40
	keyTime    = 0x50
	keyGeo     = 0x60
)

// Escape of a zero byte and end of text, chosen so that "a" < "a\x00" < "aa".
const (
	escape     = 0x00
	escaped    = 0xff
	terminator = 0x01
)

const signBit = 1 << 63

// AppendKey appends the order-preserving encoding of a scalar to dst: for two
// values of one kind, byte order of keys is value order, and no key is a prefix
// of another. A point becomes the 64-bit Morton code of latitude and longitude
// at 32 bits each (4 cm), latitude in the odd bits. Errors: ErrValue for lists,
// JSON and what Validate refuses.
func AppendKey(dst []byte, v Value) ([]byte, error) {
	if v.kind != KindString { // text of any length is checked below, once
		if err := v.Validate(); err != nil {
			return dst, err
		}
	}
	switch v.kind {
	case KindNull:
		return append(dst, keyNull), nil
	case KindBool:
		return append(dst, keyBool, byte(v.num)), nil
	case KindInt64:
		return binary.BigEndian.AppendUint64(append(dst, keyInt64), v.num^signBit), nil
	case KindTime:
		return binary.BigEndian.AppendUint64(append(dst, keyTime), v.num^signBit), nil
	case KindFloat64:
		return binary.BigEndian.AppendUint64(append(dst, keyFloat64), orderFloat(v.num)), nil
	case KindString:
		if !utf8.ValidString(v.text) {
			return dst, fmt.Errorf("%w: text is not UTF-8", ErrValue)
		}
		return appendTerminator(AppendPrefix(dst, v.text)), nil
	case KindGeo:
		lat, lon := v.Geo()
		return binary.BigEndian.AppendUint64(append(dst, keyGeo), Morton(lat, lon)), nil
	default:
		return dst, fmt.Errorf("%w: a %v has no order", ErrValue, v.kind)
	}
}

// AppendPrefix appends the bytes that the keys of all texts starting with
// prefix start with, and no other keys do.
func AppendPrefix(dst []byte, prefix string) []byte {
	return appendEscaped(append(dst, keyString), []byte(prefix))
}

func appendEscaped(dst, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, escape)
		if i < 0 {
			return append(dst, p...)
		}
		dst = append(append(dst, p[:i]...), escape, escaped)
		p = p[i+1:]
	}
}

func appendTerminator(dst []byte) []byte { return append(dst, escape, terminator) }

// AppendTerm appends p escaped and terminated, so that byte order is kept and
// something may follow it in a key.
func AppendTerm(dst, p []byte) []byte { return appendTerminator(appendEscaped(dst, p)) }

// ParseTerm undoes AppendTerm and returns the bytes after it. The term shares
// memory with b when it held no zero byte.
func ParseTerm(b []byte) (term, rest []byte, err error) {
	i := bytes.IndexByte(b, escape)
	if i >= 0 && i+1 < len(b) && b[i+1] == terminator {
		return b[:i:i], b[i+2:], nil
	}
	var out []byte
	for i >= 0 && i+1 < len(b) {
		out = append(out, b[:i]...)
		mark := b[i+1]
		b = b[i+2:]
		switch mark {
		case terminator:
			return out, b, nil
		case escaped:
			out = append(out, escape)
		default:
			return nil, nil, corrupt("key escape %#x", mark)
		}
		i = bytes.IndexByte(b, escape)
	}
	return nil, nil, corrupt("unterminated key text")
}

// orderFloat maps float bits to integers of the same order.
func orderFloat(bits uint64) uint64 {
	if bits&signBit != 0 {
		return ^bits
	}
	return bits | signBit
}

func unorderFloat(u uint64) uint64 {
	if u&signBit != 0 {
		return u &^ signBit
	}
	return ^u
}

// ParseKey undoes AppendKey. A point comes back as the middle of its Morton
// cell; every other value exactly. Error: ErrCorrupt.
func ParseKey(b []byte) (Value, error) {
	c := cursor{b: b}
	tag := c.u8()
	var v Value
	switch tag {
	case keyNull:
	case keyBool:
		v = Value{kind: KindBool, num: uint64(c.u8())}
		c.bad = c.bad || v.num > 1
	case keyInt64:
		v = Value{kind: KindInt64, num: c.be64() ^ signBit}
	case keyTime:
		v = Value{kind: KindTime, num: c.be64() ^ signBit}
	case keyFloat64:
		v = Value{kind: KindFloat64, num: unorderFloat(c.be64())}
		c.bad = c.bad || math.IsNaN(v.Float64()) || negativeZero(v)
	case keyGeo:
		lat, lon := Unmorton(c.be64())
		v = Geo(lat, lon)
	case keyString:
		text, rest, err := ParseTerm(c.b)
		if err != nil {
			return Value{}, err
		}
		if !utf8.Valid(text) {
			return Value{}, corrupt("key text is not UTF-8")
		}
		v, c.b = String(string(text)), rest
	default:
		return Value{}, corrupt("key kind %#x", tag)
	}
	if !c.done() {
		return Value{}, corrupt("key of %d bytes", len(b))
	}
	return v, nil
}

func (c *cursor) be64() uint64 {
	if p := c.bytes(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// Morton interleaves a point's latitude and longitude, quantised to 32 bits
// each; nearby codes are nearby points. Arguments in degrees, within the ranges
// of Geo; others are clamped.
func Morton(lat, lon float64) uint64 {
	return spread(quantise(lat, 90))<<1 | spread(quantise(lon, 180))
}

// Unmorton returns the middle of the cell that Morton's code names.
func Unmorton(code uint64) (lat, lon float64) {
	return middle(gather(code>>1), 90), middle(gather(code), 180)
}

func quantise(x, half float64) uint32 {
	q := math.Floor((x + half) / (2 * half) * (1 << 32))
	return uint32(max(0, min(q, math.MaxUint32)))
}

func middle(q uint32, half float64) float64 {
	return (float64(q)+0.5)/(1<<32)*(2*half) - half
}

// spread puts the bits of x at even positions.
func spread(x uint32) uint64 {
	v := uint64(x)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = (v | v<<2) & 0x3333333333333333
	return (v | v<<1) & 0x5555555555555555
}

// gather undoes spread, ignoring odd positions.
func gather(v uint64) uint32 {
	v &= 0x5555555555555555
	v = (v | v>>1) & 0x3333333333333333
	v = (v | v>>2) & 0x0f0f0f0f0f0f0f0f
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	return uint32(v | v>>16)
}
