package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// HDF5 is an open HDF5 file in the shape of ann-benchmarks: numeric data sets of
// two dimensions (train, test, neighbors, distances) and attributes in the root
// group.
//
// What is read (HDF5 File Format Specification 3.0): superblock versions 0 to 3;
// object headers 1 and 2; links in a symbol table or in the header; compact,
// contiguous and chunked layouts, chunks found by a version 1 B-tree, a single
// chunk, implicitly, or by a fixed array; the filters deflate, shuffle and
// fletcher32 (stripped, not verified); little-endian floats and integers.
// Anything else is ErrUnsupported by name. Metadata checksums are not verified:
// every address and count is, against the file's size.
//
// Methods may be called from many goroutines if the underlying ReaderAt allows
// it; each Reader belongs to one.
type HDF5 struct {
	r     io.ReaderAt
	size  int64
	base  int64 // added to every address in the file
	osize int   // bytes in an address
	lsize int   // bytes in a length
	links map[string]int64
	attrs map[string]string
}

// Caps on what one object may claim. h5py's files stay far below them.
const (
	maxBlock    = 1 << 20  // bytes of one header block, heap or tree node
	maxBlocks   = 256      // header blocks of one object
	maxMessages = 4096     // messages of one object
	maxBand     = 1 << 28  // bytes of one row of chunks, the reader's buffer
	maxChunk    = 64 << 20 // bytes of one chunk before and after its filters
	undefined   = -1       // HDF5's undefined address
)

// OpenHDF5 reads the root group of the size bytes of r. Errors: ErrFormat,
// ErrTruncated, ErrUnsupported, ErrTooLarge, or r's.
func OpenHDF5(r io.ReaderAt, size int64) (*HDF5, error) {
	h := &HDF5{r: r, size: size, links: map[string]int64{}, attrs: map[string]string{}}
	root, err := h.superblock()
	if err == nil {
		err = h.group(root)
	}
	if err != nil {
		return nil, fmt.Errorf("hdf5: %w", err)
	}
	return h, nil
}

// Names lists the links of the root group, sorted.
func (h *HDF5) Names() []string { return slices.Sorted(maps.Keys(h.links)) }

// Attr is an attribute of the root group: strings as they are, single numbers in
// decimal. ok is false for an absent one and for other types.
func (h *HDF5) Attr(name string) (value string, ok bool) {
	value, ok = h.attrs[name]
	return value, ok
}

// Reader streams the rows of a data set of one or two dimensions (one: rows of
// one element). Chunked sets are read one row of chunks at a time.
func (h *HDF5) Reader(name string) (*Reader, error) {
	addr, ok := h.links[name]
	if !ok {
		return nil, fmt.Errorf("hdf5: %w: no data set %q; the file has %v", ErrFormat, name, h.Names())
	}
	d, err := h.dataset(addr)
	if err != nil {
		return nil, fmt.Errorf("hdf5: data set %s: %w", name, err)
	}
	return d, nil
}

// block is n bytes at a file address. It refuses, before allocating, what does
// not lie inside the file.
func (h *HDF5) block(addr, n int64) ([]byte, error) {
	if n < 0 || n > maxChunk {
		return nil, fmt.Errorf("%w: block of %d bytes", ErrTooLarge, n)
	}
	if addr < 0 || addr > h.size-h.base || n > h.size-h.base-addr {
		return nil, fmt.Errorf("%w: %d bytes at %#x lie outside the file", ErrTruncated, n, addr)
	}
	b := make([]byte, n)
	if _, err := h.r.ReadAt(b, h.base+addr); err != nil && !(errors.Is(err, io.EOF) && n == 0) {
		return nil, truncated(err)
	}
	return b, nil
}

// signed is block with a check of the four-byte signature it starts with; the
// cursor stands after it.
func (h *HDF5) signed(addr, n int64, sign string) (*cursor, error) {
	b, err := h.block(addr, n)
	if err != nil {
		return nil, err
	}
	if string(b[:4]) != sign {
		return nil, fmt.Errorf("%w: %q expected at %#x, found % x", ErrFormat, sign, addr, b[:4])
	}
	return &cursor{b: b[4:], h: h}, nil
}

// superblock finds the file's signature (at 0, 512, 1024 ...), sets sizes and base
// and returns the address of the root group's object header.
func (h *HDF5) superblock() (root int64, err error) {
	const sign = "\x89HDF\r\n\x1a\n"
	at := int64(0)
	for {
		b, err := h.block(at, 12)
		if err != nil {
			return 0, fmt.Errorf("%w: no HDF5 signature", ErrFormat)
		}
		if string(b[:8]) == sign {
			break
		}
		at = max(512, at*2)
	}
	n := min(128, h.size-at)
	b, err := h.block(at, n)
	if err != nil {
		return 0, err
	}
	c := &cursor{b: b[8:], h: h}
	version := c.u8()
	switch version {
	case 0, 1:
		c.skip(4) // versions of free space, root group, reserved, shared headers
		h.osize, h.lsize = c.u8(), c.u8()
		c.skip(1 + 2 + 2 + 4)
		if version == 1 {
			c.skip(4)
		}
	case 2, 3:
		h.osize, h.lsize = c.u8(), c.u8()
		c.skip(1)
	default:
		return 0, fmt.Errorf("%w: superblock version %d", ErrUnsupported, version)
	}
	if !width(h.osize) || !width(h.lsize) {
		return 0, fmt.Errorf("%w: addresses of %d and lengths of %d bytes", ErrUnsupported, h.osize, h.lsize)
	}
	base := c.addr()
	c.addr() // free space, or superblock extension
	c.addr() // end of file
	if version < 2 {
		c.addr()   // driver information
		c.length() // name of the root link: an offset of osize bytes
	}
	root = c.addr()
	if c.err != nil {
		return 0, c.err
	}
	if base < 0 || base > h.size {
		return 0, fmt.Errorf("%w: base address %#x", ErrFormat, base)
	}
	h.base = base
	return root, nil
}

func width(n int) bool { return n == 2 || n == 4 || n == 8 }

// cursor decodes little-endian fields; the first read past the end sets err, after
// which everything reads as zero.
type cursor struct {
	b   []byte
	h   *HDF5
	err error
}

func (c *cursor) bytes(n int) []byte {
	if c.err == nil && (n < 0 || n > len(c.b)) {
		c.err = fmt.Errorf("%w: a header block ends early", ErrTruncated)
	}
	if c.err != nil {
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) skip(n int) { c.bytes(n) }

// uint reads an unsigned integer of 1 to 8 bytes.
func (c *cursor) uint(n int) uint64 {
	if n < 1 || n > 8 {
		if c.err == nil {
			c.err = fmt.Errorf("%w: integer of %d bytes", ErrFormat, n)
		}
		return 0
	}
	var b [8]byte
	copy(b[:], c.bytes(n))
	return binary.LittleEndian.Uint64(b[:])
}

func (c *cursor) u8() int  { return int(c.uint(1)) }
func (c *cursor) u16() int { return int(c.uint(2)) }
func (c *cursor) u32() int { return int(c.uint(4)) }

// addr reads a file address; all ones is undefined.
func (c *cursor) addr() int64 {
	v := c.uint(c.h.osize)
	if v == 1<<(8*c.h.osize)-1 || v > 1<<62 {
		return undefined
	}
	return int64(v)
}

// length reads a size. Sizes that could not be in any file become one that no
// check admits.
func (c *cursor) length() int64 { return int64(min(c.uint(c.h.lsize), 1<<62)) }
