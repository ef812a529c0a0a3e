package dataset

import (
	"bytes"
	"fmt"
	"strconv"
)

// message is one entry of an object header: a kind and its body.
type message struct {
	kind, flags int
	body        []byte
}

// The message kinds that matter here (specification, IV.A.2).
const (
	msgDataspace    = 0x01
	msgLinkInfo     = 0x02
	msgDatatype     = 0x03
	msgLink         = 0x06
	msgLayout       = 0x08
	msgFilters      = 0x0b
	msgAttribute    = 0x0c
	msgContinuation = 0x10
	msgSymbolTable  = 0x11
)

// header reads all messages of the object at addr, continuation blocks included.
func (h *HDF5) header(addr int64) ([]message, error) {
	probe, err := h.block(addr, 16)
	if err != nil {
		return nil, err
	}
	p := &parse{h: h}
	if string(probe[:4]) == "OHDR" {
		err = p.v2(addr, probe)
	} else {
		err = p.v1(addr, probe)
	}
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(p.more); i++ {
		if i >= maxBlocks {
			return nil, fmt.Errorf("%w: object header of more than %d blocks", ErrTooLarge, maxBlocks)
		}
		c, err := p.continuation(p.more[i])
		if err != nil {
			return nil, err
		}
		if err := p.messages(c); err != nil {
			return nil, err
		}
	}
	return p.list, nil
}

type span struct{ addr, n int64 }

// parse gathers the messages of one object header.
type parse struct {
	h       *HDF5
	version int
	flags   int // of a version 2 header
	list    []message
	more    []span // continuation blocks
}

func (p *parse) v1(addr int64, probe []byte) error {
	c := &cursor{b: probe, h: p.h}
	if p.version = c.u8(); p.version != 1 {
		return fmt.Errorf("%w: no object header at %#x", ErrFormat, addr)
	}
	c.skip(1 + 2 + 4)
	n := int64(c.u32())
	if n > maxBlock {
		return fmt.Errorf("%w: object header of %d bytes", ErrTooLarge, n)
	}
	b, err := p.h.block(addr+16, n)
	if err != nil {
		return err
	}
	return p.messages(&cursor{b: b, h: p.h})
}

func (p *parse) v2(addr int64, probe []byte) error {
	c := &cursor{b: probe[4:], h: p.h}
	if p.version = c.u8(); p.version != 2 {
		return fmt.Errorf("%w: object header version %d", ErrUnsupported, p.version)
	}
	p.flags = c.u8()
	at := int64(6)
	if p.flags&0x20 != 0 {
		at += 16 // four times
	}
	if p.flags&0x10 != 0 {
		at += 4 // attribute phase change
	}
	wide := 1 << (p.flags & 3)
	b, err := p.h.block(addr+at, int64(wide))
	if err != nil {
		return err
	}
	n := (&cursor{b: b, h: p.h}).uint(wide)
	if n > maxBlock {
		return fmt.Errorf("%w: object header of %d bytes", ErrTooLarge, n)
	}
	if b, err = p.h.block(addr+at+int64(wide), int64(n)); err != nil {
		return err
	}
	return p.messages(&cursor{b: b, h: p.h})
}

func (p *parse) continuation(s span) (*cursor, error) {
	if s.n > maxBlock {
		return nil, fmt.Errorf("%w: object header block of %d bytes", ErrTooLarge, s.n)
	}
	if p.version == 1 {
		b, err := p.h.block(s.addr, s.n)
		return &cursor{b: b, h: p.h}, err
	}
	if s.n < 8 {
		return nil, fmt.Errorf("%w: object header block of %d bytes", ErrFormat, s.n)
	}
	c, err := p.h.signed(s.addr, s.n, "OCHK")
	if err != nil {
		return nil, err
	}
	c.b = c.b[:len(c.b)-4] // checksum
	return c, nil
}

func (p *parse) messages(c *cursor) error {
	head := 8
	if p.version == 2 {
		head = 4
		if p.flags&4 != 0 {
			head = 6 // creation order
		}
	}
	for len(c.b) >= head { // what is shorter is a gap
		if len(p.list) >= maxMessages {
			return fmt.Errorf("%w: more than %d header messages", ErrTooLarge, maxMessages)
		}
		var m message
		var n int
		if p.version == 1 {
			m.kind, n, m.flags = c.u16(), c.u16(), c.u8()
			c.skip(3)
		} else {
			m.kind, n, m.flags = c.u8(), c.u16(), c.u8()
			c.skip(head - 4)
		}
		m.body = c.bytes(n)
		if c.err != nil {
			return c.err
		}
		if m.kind == msgContinuation {
			k := &cursor{b: m.body, h: p.h}
			p.more = append(p.more, span{k.addr(), k.length()})
			if k.err != nil {
				return k.err
			}
			continue
		}
		p.list = append(p.list, m)
	}
	return nil
}

// shared reports a message whose body lies in another object, which h5py only
// writes for committed types.
func (m message) shared() error {
	if m.flags&2 != 0 {
		return fmt.Errorf("%w: a type shared between objects; store it with the data set", ErrUnsupported)
	}
	return nil
}

// dims reads a dataspace: the extent of each dimension, none for a scalar.
func (h *HDF5) dims(b []byte) ([]int64, error) {
	c := &cursor{b: b, h: h}
	version, rank := c.u8(), c.u8()
	switch version {
	case 1:
		c.skip(6)
	case 2:
		c.skip(2)
	default:
		return nil, fmt.Errorf("%w: dataspace version %d", ErrUnsupported, version)
	}
	if rank > 32 {
		return nil, fmt.Errorf("%w: %d dimensions", ErrFormat, rank)
	}
	out := make([]int64, rank)
	for i := range out {
		out[i] = c.length()
	}
	return out, c.err
}

// Classes of a datatype.
const (
	classInt    = 0
	classFloat  = 1
	classString = 3
	classVlen   = 9
)

// datatype is the part of a type this package reads.
type datatype struct {
	class int
	size  int // bytes of one element
	elem  elem
	text  bool // a variable-length string
}

func (h *HDF5) datatype(b []byte) (datatype, error) {
	c := &cursor{b: b, h: h}
	head, bits := c.u8(), c.uint(3)
	t := datatype{class: head & 15, size: c.u32()}
	if c.err != nil {
		return t, c.err
	}
	switch t.class {
	case classInt, classFloat:
		if bits&1 != 0 {
			return t, fmt.Errorf("%w: big-endian elements", ErrUnsupported)
		}
		t.elem = elem{kind: 'u', size: t.size}
		if t.class == classFloat {
			t.elem.kind = 'f'
		} else if bits&8 != 0 {
			t.elem.kind = 'i'
		}
		offset, precision := c.u16(), c.u16()
		if c.err == nil && (!t.elem.valid() || offset != 0 || precision != 8*t.size) {
			return t, fmt.Errorf("%w: elements of %d bytes and %d bits", ErrUnsupported, t.size, precision)
		}
		if t.class == classFloat {
			exponent := map[int]int{2: 5, 4: 8, 8: 11}[t.size]
			if c.skip(1); c.u8() != exponent && c.err == nil {
				return t, fmt.Errorf("%w: a float that is not IEEE", ErrUnsupported)
			}
		}
	case classString:
		t.text = false
	case classVlen:
		t.text = bits&15 == 1
	}
	return t, c.err
}

// attribute reads one attribute message into h.attrs. Types that have no text
// form are passed over.
func (h *HDF5) attribute(m message) error {
	c := &cursor{b: m.body, h: h}
	version := c.u8()
	flags := c.u8()
	nname, ntype, nspace := c.u16(), c.u16(), c.u16()
	pad := func(n int) int { return n }
	switch version {
	case 1:
		pad = func(n int) int { return (n + 7) &^ 7 }
	case 2:
	case 3:
		c.skip(1) // character set
	default:
		return fmt.Errorf("%w: attribute version %d", ErrUnsupported, version)
	}
	name := c.bytes(pad(nname))
	rawType := c.bytes(pad(ntype))
	rawSpace := c.bytes(pad(nspace))
	if c.err != nil {
		return c.err
	}
	if version > 1 && flags&3 != 0 {
		return nil // its type or space is shared: not one of ann-benchmarks'
	}
	dims, err := h.dims(rawSpace)
	if err != nil {
		return err
	}
	for _, n := range dims {
		if n != 1 {
			return nil
		}
	}
	t, err := h.datatype(rawType)
	if err != nil {
		return nil // a type without text form
	}
	if value, ok := h.text(t, c.b); ok {
		name, _, _ = bytes.Cut(name, []byte{0})
		h.attrs[string(name)] = value
	}
	return nil
}

// text is one element of an attribute as text.
func (h *HDF5) text(t datatype, b []byte) (string, bool) {
	if t.size > len(b) {
		return "", false
	}
	switch {
	case t.class == classString:
		s, _, _ := bytes.Cut(b[:t.size], []byte{0})
		return string(s), true
	case t.text:
		s, err := h.heapObject(b)
		return string(s), err == nil
	case t.class == classInt:
		v, ok := t.elem.integer(b, 0)
		return strconv.FormatInt(v, 10), ok
	case t.class == classFloat:
		var f [1]float32
		t.elem.floats(f[:], b)
		return strconv.FormatFloat(float64(f[0]), 'g', -1, 32), true
	}
	return "", false
}

// heapObject follows a variable-length value into its global heap collection.
func (h *HDF5) heapObject(b []byte) ([]byte, error) {
	ref := &cursor{b: b, h: h}
	n, addr, index := ref.u32(), ref.addr(), ref.u32()
	if ref.err != nil {
		return nil, ref.err
	}
	head, err := h.signed(addr, int64(8+h.lsize), "GCOL")
	if err != nil {
		return nil, err
	}
	head.skip(4)
	size := head.length()
	if size > maxBlock {
		return nil, fmt.Errorf("%w: heap of %d bytes", ErrTooLarge, size)
	}
	all, err := h.block(addr, size)
	if err != nil {
		return nil, err
	}
	c := &cursor{b: all, h: h}
	c.skip(8 + h.lsize)
	for len(c.b) >= 8+h.lsize {
		id := c.u16()
		c.skip(6)
		size := c.length()
		if id == 0 || size > int64(len(c.b)) {
			break
		}
		body := c.bytes(int(size))
		if id == index {
			return body[:min(n, len(body))], nil
		}
		c.skip(min(int(-size&7), len(c.b)))
	}
	return nil, fmt.Errorf("%w: heap object %d is missing", ErrFormat, index)
}
