package format

import (
	"encoding/binary"
	"math/bits"
)

// A posting operand is what the bitmap merge operator stores for one chunk of
// 65,536 ordinals: a set of ordinals to add and a set to remove, disjoint.
// Applying newer N after older O gives
//
//	adds = N.adds | (O.adds &^ N.removes)
//	removes = N.removes | (O.removes &^ N.adds)
//
// which is associative, so partial merges keep removes until the oldest operand
// is reached and they have nothing left to remove.
//
//	┌──────────┬─────────────┬────────────────┐
//	│ kinds u8 │ set of adds │ set of removes │   kinds = adds | removes<<4
//	└──────────┴─────────────┴────────────────┘
//	kind 0: empty, no bytes
//	kind 1: uvarint n (1..4096), then n ascending uint16
//	kind 2: 1024 uint64 words, more than 4096 bits set
//
// There is no checksum of its own: the enclosing table block has one, and Check
// derives every posting again from the records.
const (
	setEmpty  = 0
	setArray  = 1
	setBitmap = 2

	setArrayMax    = 4096 // members from which a set is stored as a bitmap
	setBitmapBytes = SetWords * 8
	// SetWords is the number of words of a Set.
	SetWords = 1024
)

// Set is a set of uint16 as a bitmap.
type Set [SetWords]uint64

// Add puts x into the set.
func (s *Set) Add(x uint16) { s[x>>6] |= 1 << (x & 63) }

// Remove takes x out of the set.
func (s *Set) Remove(x uint16) { s[x>>6] &^= 1 << (x & 63) }

// Has reports whether x is in the set.
func (s *Set) Has(x uint16) bool { return s[x>>6]&(1<<(x&63)) != 0 }

// Len returns the number of members.
func (s *Set) Len() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// AppendSets appends the operand of two disjoint sets to dst.
func AppendSets(dst []byte, adds, removes *Set) []byte {
	at := len(dst)
	dst = append(dst, 0)
	dst, a := appendSet(dst, adds)
	dst, r := appendSet(dst, removes)
	dst[at] = a | r<<4
	return dst
}

func appendSet(dst []byte, s *Set) ([]byte, byte) {
	n := s.Len()
	if n == 0 {
		return dst, setEmpty
	}
	if n > setArrayMax {
		for _, w := range s {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
		return dst, setBitmap
	}
	dst = binary.AppendUvarint(dst, uint64(n))
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(i<<6|bits.TrailingZeros64(w)))
		}
	}
	return dst, setArray
}

// AppendOperand appends the operand of two ascending, disjoint lists of at most
// 4096 members each to dst. Longer lists go through AppendSets.
func AppendOperand(dst []byte, adds, removes []uint16) []byte {
	at := len(dst)
	dst = append(dst, 0)
	for i, list := range [2][]uint16{adds, removes} {
		if len(list) == 0 {
			continue
		}
		dst[at] |= setArray << (4 * i)
		dst = binary.AppendUvarint(dst, uint64(len(list)))
		for _, x := range list {
			dst = binary.LittleEndian.AppendUint16(dst, x)
		}
	}
	return dst
}

// Operand is a checked, undecoded posting operand.
type Operand struct {
	adds, removes rawSet
}

type rawSet struct {
	kind byte
	b    []byte // members or words, without the count
}

// ParseOperand checks an operand; the result aliases b. Error: ErrCorrupt.
func ParseOperand(b []byte) (Operand, error) {
	c := cursor{b: b}
	kinds := c.u8()
	o := Operand{c.set(kinds & 15), c.set(kinds >> 4)}
	if !c.done() {
		return Operand{}, corrupt("posting operand of %d bytes", len(b))
	}
	if o.removes.kind != setEmpty && o.adds.kind != setEmpty && o.overlap() {
		return Operand{}, corrupt("posting operand adds and removes one ordinal")
	}
	return o, nil
}

func (c *cursor) set(kind byte) rawSet {
	switch kind {
	case setEmpty:
		return rawSet{}
	case setArray:
		n := c.uvarint(setArrayMax)
		p := c.bytes(2 * n)
		c.bad = c.bad || n == 0
		for i := 2; i < len(p); i += 2 {
			c.bad = c.bad || binary.LittleEndian.Uint16(p[i:]) <= binary.LittleEndian.Uint16(p[i-2:])
		}
		return rawSet{setArray, p}
	case setBitmap:
		p := c.bytes(setBitmapBytes)
		n := 0
		for i := 0; i < len(p); i += 8 {
			n += bits.OnesCount64(binary.LittleEndian.Uint64(p[i:]))
		}
		c.bad = c.bad || n <= setArrayMax
		return rawSet{setBitmap, p}
	default:
		c.bad = true
		return rawSet{}
	}
}

func (o Operand) overlap() bool {
	var s Set
	o.adds.each(s.Add)
	hit := false
	o.removes.each(func(x uint16) { hit = hit || s.Has(x) })
	return hit
}

func (r rawSet) each(fn func(uint16)) {
	switch r.kind {
	case setArray:
		for i := 0; i+1 < len(r.b); i += 2 {
			fn(binary.LittleEndian.Uint16(r.b[i:]))
		}
	case setBitmap:
		for i := 0; i+7 < len(r.b); i += 8 {
			for w := binary.LittleEndian.Uint64(r.b[i:]); w != 0; w &= w - 1 {
				fn(uint16(i<<3 | bits.TrailingZeros64(w)))
			}
		}
	}
}

// word returns 64 members of a bitmap, from 64*i.
func (r rawSet) word(i int) uint64 { return binary.LittleEndian.Uint64(r.b[8*i:]) }

// Removes reports whether the operand removes anything.
func (o Operand) Removes() bool { return o.removes.kind != setEmpty }

// Or adds the operand's adds to s, ignoring its removes: the reading of an
// operand that nothing older lies under.
func (o Operand) Or(s *Set) {
	if o.adds.kind == setBitmap {
		for i := range s {
			s[i] |= o.adds.word(i)
		}
		return
	}
	o.adds.each(s.Add)
}

// Each calls fn with every member the operand adds, ascending.
func (o Operand) Each(fn func(uint16)) { o.adds.each(fn) }

// Len returns the number of members the operand adds.
func (o Operand) Len() int {
	if o.adds.kind == setArray {
		return len(o.adds.b) / 2
	}
	n := 0
	for i := 0; i+7 < len(o.adds.b); i += 8 {
		n += bits.OnesCount64(binary.LittleEndian.Uint64(o.adds.b[i:]))
	}
	return n
}

// Newer applies o after what adds and removes hold.
func (o Operand) Newer(adds, removes *Set) {
	o.adds.each(func(x uint16) { adds.Add(x); removes.Remove(x) })
	o.removes.each(func(x uint16) { removes.Add(x); adds.Remove(x) })
}

// Older applies o before what adds and removes hold.
func (o Operand) Older(adds, removes *Set) {
	o.adds.each(func(x uint16) {
		if !removes.Has(x) {
			adds.Add(x)
		}
	})
	o.removes.each(func(x uint16) {
		if !adds.Has(x) {
			removes.Add(x)
		}
	})
}
