package dataset

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Write writes m as Fvecs, Fbin or Npy (float32, C order); ErrUnsupported for any
// other format.
func Write(w io.Writer, f Format, m Matrix) error {
	out := bufio.NewWriterSize(w, 1<<16)
	prefix, err := header(out, f, Fvecs, Fbin, "<f4", m.Rows, m.Cols)
	if err != nil {
		return err
	}
	var b []byte
	for i := range m.Rows {
		b = append(b[:0], prefix...)
		for _, x := range m.Row(i) {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		out.Write(b) // a bufio.Writer keeps its first error for Flush
	}
	return out.Flush()
}

// WriteInts writes m as Ivecs, Ibin or Npy (int32, C order); ErrUnsupported for
// any other format.
func WriteInts(w io.Writer, f Format, m Ints) error {
	out := bufio.NewWriterSize(w, 1<<16)
	prefix, err := header(out, f, Ivecs, Ibin, "<i4", m.Rows, m.Cols)
	if err != nil {
		return err
	}
	var b []byte
	for i := range m.Rows {
		b = append(b[:0], prefix...)
		for _, x := range m.Row(i) {
			b = binary.LittleEndian.AppendUint32(b, uint32(x))
		}
		out.Write(b)
	}
	return out.Flush()
}

// header writes what comes before the rows and returns what comes before each.
func header(out *bufio.Writer, f, vecs, bin Format, descr string, rows, cols int) ([]byte, error) {
	if err := shape(int64(rows), int64(cols)); err != nil {
		return nil, err
	}
	switch f {
	case vecs:
		return binary.LittleEndian.AppendUint32(nil, uint32(cols)), nil
	case bin:
		b := binary.LittleEndian.AppendUint32(nil, uint32(rows))
		_, err := out.Write(binary.LittleEndian.AppendUint32(b, uint32(cols)))
		return nil, err
	case Npy:
		dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%d, %d), }", descr, rows, cols)
		pad := 64 - (10+len(dict)+1)%64 // the data starts on a 64-byte boundary
		b := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
		binary.LittleEndian.PutUint16(b[8:], uint16(len(dict)+pad+1))
		b = append(b, dict...)
		for range pad {
			b = append(b, ' ')
		}
		_, err := out.Write(append(b, '\n'))
		return nil, err
	}
	return nil, fmt.Errorf("%w: cannot write %q; use %s, %s or %s", ErrUnsupported, f, vecs, bin, Npy)
}
