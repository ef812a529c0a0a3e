package dataset

import (
	"bufio"
	"encoding/binary"
	"io"
)

// vecs is TEXMEX's layout: every row is a little-endian int32 width followed by
// its elements. The first width is peeked, so Next sees the row whole.
func (d *Reader) vecs(src *bufio.Reader, e elem) error {
	head, err := src.Peek(4)
	if err != nil {
		return err
	}
	d.elem, d.prefix = e, true
	d.cols = int(int32(binary.LittleEndian.Uint32(head)))
	return nil
}

// bin is big-ann-benchmarks' layout: rows and width as little-endian uint32, then
// the elements.
func (d *Reader) bin(e elem) error {
	var head [8]byte
	if _, err := io.ReadFull(d.src, head[:]); err != nil {
		return err
	}
	rows, cols := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	if err := shape(int64(rows), int64(cols)); err != nil {
		return err
	}
	d.elem, d.rows, d.cols = e, int(rows), int(cols)
	return nil
}
