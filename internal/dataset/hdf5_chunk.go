package dataset

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
)

// chunk is where one chunk lies and which filters it skipped.
type chunk struct {
	addr, n int64
	mask    uint32
}

// chunks is the row-major stream of a chunked data set, assembled one row of
// chunks (a band) at a time.
type chunks struct {
	h          *HDF5
	elem       int
	rows, cols int
	high, wide int // rows and columns of a chunk
	filters    []int
	at         map[[2]int]chunk // by chunk row and chunk column; an absent chunk is zeros

	zip  io.ReadCloser // inflates every chunk in turn; nil before the first
	band []byte        // one band's bytes, cols wide
	rest []byte        // what is left of it
	next int           // first row of the next band
}

// size is the bytes of one unfiltered chunk.
func (k *chunks) size() int64 { return int64(k.high) * int64(k.wide) * int64(k.elem) }

// geometry checks and sets the extent of a chunk.
func (k *chunks) geometry(dims [2]uint64, elem uint64) error {
	if elem != uint64(k.elem) {
		return fmt.Errorf("%w: chunks of %d-byte elements in a set of %d", ErrFormat, elem, k.elem)
	}
	if dims[0] < 1 || dims[1] < 1 || dims[0] > maxChunk || dims[1] > maxChunk ||
		dims[0]*dims[1]*elem > maxChunk {
		return fmt.Errorf("%w: chunks of %d x %d elements", ErrTooLarge, dims[0], dims[1])
	}
	k.high, k.wide = int(dims[0]), int(dims[1])
	// Chunks may be absent and deflate reaches 1032:1; a set beyond that is not
	// in this file, and reading it would only make zeros.
	if total := int64(k.rows) * int64(k.cols) * int64(k.elem); total/1100 > k.h.size {
		return fmt.Errorf("%w: %d bytes of data in a file of %d", ErrTooLarge, total, k.h.size)
	}
	if n := int64(min(k.high, k.rows)) * int64(k.cols) * int64(k.elem); n > maxBand {
		return fmt.Errorf("%w: a row of chunks holds %d bytes", ErrTooLarge, n)
	}
	return nil
}

// pipeline reads the filter message; an absent one means no filters.
func (k *chunks) pipeline(b []byte) error {
	if b == nil {
		return nil
	}
	c := &cursor{b: b, h: k.h}
	version, n := c.u8(), c.u8()
	if version == 1 {
		c.skip(6)
	} else if c.err == nil && version != 2 {
		return fmt.Errorf("%w: filter pipeline version %d", ErrUnsupported, version)
	}
	for range min(n, 32) {
		id, name := c.u16(), 0
		if version == 1 || id >= 256 {
			name = c.u16()
		}
		c.skip(2)
		values := c.u16()
		if version == 1 {
			name = (name + 7) &^ 7
			values += values & 1
		}
		c.skip(name)
		c.skip(4 * values)
		switch id {
		case filterDeflate, filterShuffle, filterFletcher:
		default:
			return fmt.Errorf("%w: filter %d; use gzip, shuffle or none", ErrUnsupported, id)
		}
		k.filters = append(k.filters, id)
	}
	return c.err
}

// The filters that are read.
const (
	filterDeflate  = 1
	filterShuffle  = 2
	filterFletcher = 3
)

// tree fills at from a version 1 B-tree, whose keys hold a chunk's stored size,
// its filter mask and the element offsets of its corner.
func (k *chunks) tree(addr int64, rank int) error {
	if addr == undefined {
		return nil // nothing was written
	}
	return k.h.walk(addr, 1, 8+8*(rank+1), func(key []byte, child int64) error {
		c := &cursor{b: key, h: k.h}
		n, mask := c.u32(), c.u32()
		var corner [2]uint64
		for i := range rank {
			corner[i] = c.uint(8)
		}
		if c.err != nil {
			return c.err
		}
		return k.put(corner[0]/uint64(k.high), corner[1]/uint64(k.wide), chunk{child, int64(n), uint32(mask)})
	})
}

// put records a chunk. Chunks outside the set's extent are legal leftovers of a
// set that shrank.
func (k *chunks) put(row, col uint64, c chunk) error {
	if c.addr == undefined || row >= uint64(k.down()) || col >= uint64(k.across()) {
		return nil
	}
	if c.n < 0 || c.n > maxChunk || c.addr > k.h.size-k.h.base || c.n > k.h.size-k.h.base-c.addr {
		return fmt.Errorf("%w: chunk of %d bytes at %#x", ErrTruncated, c.n, c.addr)
	}
	k.at[[2]int{int(row), int(col)}] = c
	return nil
}

func (k *chunks) down() int   { return (k.rows + k.high - 1) / k.high }
func (k *chunks) across() int { return (k.cols + k.wide - 1) / k.wide }

// index fills at from the chunk index of a version 4 layout.
func (k *chunks) index(c *cursor, flags int) error {
	switch kind := c.u8(); kind {
	case 1: // a single chunk
		one := chunk{n: k.size()}
		if flags&2 != 0 {
			one.n, one.mask = c.length(), uint32(c.u32())
		}
		one.addr = c.addr()
		if c.err != nil {
			return c.err
		}
		return k.put(0, 0, one)
	case 2: // implicit: all chunks in order, unfiltered
		addr := c.addr()
		if c.err != nil || addr == undefined {
			return c.err
		}
		for i := range k.down() * k.across() {
			err := k.nth(i, chunk{addr: addr + int64(i)*k.size(), n: k.size()})
			if err != nil {
				return err
			}
		}
		return nil
	case 3: // fixed array
		c.skip(1)
		addr := c.addr()
		if c.err != nil || addr == undefined {
			return c.err
		}
		return k.fixedArray(addr)
	default:
		return fmt.Errorf("%w: chunk index %d of a resizable set; write it with libver=\"earliest\"", ErrUnsupported, kind)
	}
}

// nth records the i-th chunk in row-major order.
func (k *chunks) nth(i int, c chunk) error {
	return k.put(uint64(i/k.across()), uint64(i%k.across()), c)
}

// fixedArray reads a fixed array's header and data block (specification,
// VII.B and VII.C).
func (k *chunks) fixedArray(addr int64) error {
	h := k.h
	c, err := h.signed(addr, int64(12+h.osize+h.lsize), "FAHD")
	if err != nil {
		return err
	}
	c.skip(1)
	client, entry, bits := c.u8(), c.u8(), c.u8()
	n, data := c.length(), c.addr()
	if c.err != nil {
		return c.err
	}
	least := h.osize
	if client == 1 {
		least += 5 // size and mask of a filtered chunk
	}
	if client > 1 || entry < least || entry > least+7 || client == 0 && entry != least || bits > 30 {
		return fmt.Errorf("%w: fixed array with entries of %d bytes", ErrFormat, entry)
	}
	if n > h.size/int64(entry) || n != int64(k.down())*int64(k.across()) {
		return fmt.Errorf("%w: fixed array of %d chunks", ErrFormat, n)
	}
	head := int64(6 + h.osize)
	if _, err := h.signed(data, head, "FADB"); err != nil {
		return err
	}
	at, page := data+head, n
	if per := int64(1) << bits; n > per {
		page = per
		pages := (n + per - 1) / per
		at += (pages+7)/8 + 4 // bitmap and checksum of the header part
	}
	for i := int64(0); i < n; i += page {
		m := min(page, n-i)
		b, err := h.block(at, m*int64(entry))
		if err != nil {
			return err
		}
		if err := k.entries(int(i), int(m), client, entry, b); err != nil {
			return err
		}
		at += m*int64(entry) + 4
	}
	return nil
}

// entries records m chunks of a fixed array page, the first being the i-th.
func (k *chunks) entries(i, m, client, entry int, b []byte) error {
	c := &cursor{b: b, h: k.h}
	for j := range m {
		one := chunk{addr: c.addr(), n: k.size()}
		if client == 1 {
			one.n = int64(min(c.uint(entry-k.h.osize-4), 1<<62))
			one.mask = uint32(c.u32())
		}
		if c.err != nil {
			return c.err
		}
		if err := k.nth(i+j, one); err != nil {
			return err
		}
	}
	return nil
}

// Read continues the row-major stream.
func (k *chunks) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		if k.next >= k.rows {
			return 0, io.EOF
		}
		if err := k.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, k.rest)
	k.rest = k.rest[n:]
	return n, nil
}

// fill assembles the next band.
func (k *chunks) fill() error {
	high := min(k.high, k.rows-k.next)
	line := k.cols * k.elem
	if k.band == nil {
		k.band = make([]byte, high*line)
	}
	band := k.band[:high*line]
	clear(band)
	part := k.wide * k.elem // bytes of one chunk's row
	for col := range k.across() {
		c, ok := k.at[[2]int{k.next / k.high, col}]
		if !ok {
			continue
		}
		b, err := k.decode(c)
		if err != nil {
			return err
		}
		left := col * part
		n := min(part, line-left)
		for r := range high {
			copy(band[r*line+left:], b[r*part:r*part+n])
		}
	}
	k.rest = band
	k.next += high
	return nil
}

// decode reads a chunk and undoes its filters, last first.
func (k *chunks) decode(c chunk) ([]byte, error) {
	b, err := k.h.block(c.addr, c.n)
	if err != nil {
		return nil, err
	}
	for i := len(k.filters) - 1; i >= 0; i-- {
		if c.mask>>i&1 != 0 {
			continue
		}
		switch k.filters[i] {
		case filterDeflate:
			b, err = k.inflate(b)
		case filterShuffle:
			b = unshuffle(b, k.elem)
		case filterFletcher:
			if len(b) < 4 {
				err = fmt.Errorf("%w: chunk without its checksum", ErrTruncated)
			} else {
				b = b[:len(b)-4]
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if int64(len(b)) != k.size() {
		return nil, fmt.Errorf("%w: chunk of %d bytes, %d expected", ErrFormat, len(b), k.size())
	}
	return b, nil
}

// inflate expands b, which can hold no more than a chunk and a checksum.
func (k *chunks) inflate(b []byte) ([]byte, error) {
	var err error
	if k.zip == nil {
		k.zip, err = zlib.NewReader(bytes.NewReader(b))
	} else {
		err = k.zip.(zlib.Resetter).Reset(bytes.NewReader(b), nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: gzip chunk: %v", ErrFormat, err)
	}
	var out bytes.Buffer
	if _, err := io.Copy(&out, io.LimitReader(k.zip, k.size()+5)); err != nil {
		return nil, fmt.Errorf("%w: gzip chunk: %v", ErrFormat, err)
	}
	return out.Bytes(), nil
}

// unshuffle undoes the byte transposition: all first bytes, all second bytes, ...
func unshuffle(b []byte, size int) []byte {
	n := len(b) / size
	if size == 1 || n == 0 {
		return b
	}
	out := make([]byte, len(b))
	for j := range size {
		plane := b[j*n : (j+1)*n]
		for i, x := range plane {
			out[i*size+j] = x
		}
	}
	copy(out[n*size:], b[n*size:])
	return out
}
