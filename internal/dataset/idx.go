package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
)

// idx is MNIST's layout: two zero bytes, an element code, a number of
// dimensions, the dimensions and the elements, all big-endian. The first
// dimension counts rows; the others are multiplied into one width, so a 28 x 28
// image is a row of 784.
func (d *Reader) idx() error {
	var head [4]byte
	if _, err := io.ReadFull(d.src, head[:]); err != nil {
		return err
	}
	if head[0] != 0 || head[1] != 0 {
		return fmt.Errorf("%w: it starts with % x", ErrFormat, head)
	}
	switch head[2] {
	case 0x08:
		d.elem = elem{kind: 'u', size: 1}
	case 0x09:
		d.elem = elem{kind: 'i', size: 1}
	case 0x0b:
		d.elem = elem{kind: 'i', size: 2, big: true}
	case 0x0c:
		d.elem = elem{kind: 'i', size: 4, big: true}
	case 0x0d:
		d.elem = elem{kind: 'f', size: 4, big: true}
	case 0x0e:
		d.elem = elem{kind: 'f', size: 8, big: true}
	default:
		return fmt.Errorf("%w: element code %#x", ErrFormat, head[2])
	}
	rank := int(head[3])
	if rank < 1 || rank > 8 {
		return fmt.Errorf("%w: %d dimensions", ErrFormat, rank)
	}
	var dims [8]int64
	for i := range rank {
		var b [4]byte
		if _, err := io.ReadFull(d.src, b[:]); err != nil {
			return err
		}
		dims[i] = int64(binary.BigEndian.Uint32(b[:]))
	}
	cols := int64(1)
	for _, n := range dims[1:rank] {
		// n < 2^32 and cols <= MaxCols, so the product cannot overflow.
		if cols *= n; cols > MaxCols {
			break
		}
	}
	if err := shape(dims[0], cols); err != nil {
		return err
	}
	d.rows, d.cols = int(dims[0]), int(cols)
	return nil
}
