package format

import "encoding/binary"

// cursor reads a byte slice front to back. The first short or non-canonical
// read marks it bad; later reads return zeros, so a decoder checks once at the
// end (promises D1 and D2). Byte slices it returns alias its input.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad = true
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) u8() byte {
	if p := c.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if p := c.bytes(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if p := c.bytes(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if p := c.bytes(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// uvarint refuses values above limit and encodings longer than needed (D4).
func (c *cursor) uvarint(limit uint64) uint64 {
	if c.bad {
		return 0
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > limit || n > 1 && c.b[n-1] == 0 {
		c.bad = true
		return 0
	}
	c.b = c.b[n:]
	return v
}

// block reads a uvarint length of at most limit and that many bytes.
func (c *cursor) block(limit uint64) []byte { return c.bytes(c.uvarint(limit)) }

func (c *cursor) done() bool { return !c.bad && len(c.b) == 0 }

func appendBlock(dst, p []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p)))
	return append(dst, p...)
}
