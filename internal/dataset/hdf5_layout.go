package dataset

import (
	"bytes"
	"fmt"
	"io"
)

// dataset prepares the rows of the data set whose header is at addr.
func (h *HDF5) dataset(addr int64) (*Reader, error) {
	list, err := h.header(addr)
	if err != nil {
		return nil, err
	}
	d := &Reader{format: "hdf5"}
	var layout, filters []byte
	seen := 0
	for _, m := range list {
		switch m.kind {
		case msgDataspace, msgDatatype, msgLayout, msgFilters:
			if err := m.shared(); err != nil {
				return nil, err
			}
		}
		switch m.kind {
		case msgDataspace:
			seen |= 1
			err = d.extent(h, m.body)
		case msgDatatype:
			seen |= 2
			var t datatype
			if t, err = h.datatype(m.body); err == nil && t.class != classInt && t.class != classFloat {
				err = fmt.Errorf("%w: elements of class %d; floats and integers are read", ErrUnsupported, t.class)
			}
			d.elem = t.elem
		case msgLayout:
			seen |= 4
			layout = m.body
		case msgFilters:
			filters = m.body
		}
		if err != nil {
			return nil, err
		}
	}
	if seen != 7 {
		return nil, fmt.Errorf("%w: not a data set", ErrFormat)
	}
	if d.src, err = h.layout(d, layout, filters); err != nil {
		return nil, err
	}
	return d, nil
}

// extent sets the rows and width of d from a dataspace.
func (d *Reader) extent(h *HDF5, b []byte) error {
	dims, err := h.dims(b)
	if err != nil {
		return err
	}
	switch len(dims) {
	case 1:
		dims = append(dims, 1)
	case 2:
	default:
		return fmt.Errorf("%w: %d dimensions; two are read", ErrUnsupported, len(dims))
	}
	if err := shape(dims[0], dims[1]); err != nil {
		return err
	}
	d.rows, d.cols = int(dims[0]), int(dims[1])
	return nil
}

// layout opens the bytes of d as one row-major stream.
func (h *HDF5) layout(d *Reader, layout, filters []byte) (io.Reader, error) {
	c := &cursor{b: layout, h: h}
	version, class := c.u8(), c.u8()
	if c.err == nil && version != 3 && version != 4 {
		return nil, fmt.Errorf("%w: data layout version %d; write it with libver=\"earliest\"", ErrUnsupported, version)
	}
	// rows <= 2^31, cols <= 2^16 and size <= 8, so this cannot overflow.
	want := int64(d.rows) * int64(d.cols) * int64(d.elem.size)
	switch class {
	case 0:
		n := c.u16()
		b := c.bytes(n)
		if c.err == nil && int64(n) < want {
			return nil, fmt.Errorf("%w: compact data of %d bytes", ErrTruncated, n)
		}
		return bytes.NewReader(b), c.err
	case 1:
		addr, n := c.addr(), c.length()
		if c.err != nil {
			return nil, c.err
		}
		if want == 0 {
			return bytes.NewReader(nil), nil
		}
		if addr < 0 || n < want || addr > h.size-h.base || n > h.size-h.base-addr {
			return nil, fmt.Errorf("%w: %d bytes of data at %#x", ErrTruncated, n, addr)
		}
		return io.NewSectionReader(h.r, h.base+addr, want), nil
	case 2:
		return h.chunked(d, c, version, filters)
	}
	return nil, fmt.Errorf("%w: data layout class %d", ErrUnsupported, class)
}

// chunked reads the rest of a chunked layout message and finds every chunk.
func (h *HDF5) chunked(d *Reader, c *cursor, version int, filters []byte) (io.Reader, error) {
	k := &chunks{h: h, elem: d.elem.size, rows: d.rows, cols: d.cols, at: map[[2]int]chunk{}}
	if err := k.pipeline(filters); err != nil {
		return nil, err
	}
	flags, wide, tree := 0, 4, int64(undefined)
	if version == 4 {
		flags = c.u8()
	}
	rank := c.u8() - 1 // the last dimension is the element's size
	if version == 4 {
		wide = c.u8()
	} else {
		tree = c.addr()
	}
	if c.err == nil && rank != 1 && rank != 2 {
		return nil, fmt.Errorf("%w: chunks of %d dimensions", ErrUnsupported, rank)
	}
	dims := [2]uint64{1, 1}
	for i := range rank {
		dims[i] = c.uint(wide)
	}
	size := c.uint(wide)
	if c.err != nil {
		return nil, c.err
	}
	if err := k.geometry(dims, size); err != nil {
		return nil, err
	}
	var err error
	if version == 3 {
		err = k.tree(tree, rank)
	} else {
		err = k.index(c, flags)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}
