package dataset

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// Format names a file format that is read as a stream.
type Format string

// The stream formats. HDF5 is not one: it needs random access, see OpenHDF5.
const (
	Fvecs Format = "fvecs" // float32 rows, each after its width
	Bvecs Format = "bvecs" // uint8 rows, each after its width
	Ivecs Format = "ivecs" // int32 rows, each after its width
	Fbin  Format = "fbin"  // float32 after one header
	U8bin Format = "u8bin" // uint8 after one header
	I8bin Format = "i8bin" // int8 after one header
	Ibin  Format = "ibin"  // int32 after one header
	Npy   Format = "npy"   // numpy array
	IDX   Format = "idx"   // MNIST
)

// Formats lists the stream formats.
func Formats() []Format {
	return []Format{Fvecs, Bvecs, Ivecs, Fbin, U8bin, I8bin, Ibin, Npy, IDX}
}

// FormatOf is the stream format a file name means: its extension, with or
// without ".gz", or MNIST's "-idx3-ubyte" ending.
func FormatOf(name string) (Format, bool) {
	base := strings.TrimSuffix(strings.ToLower(path.Base(name)), ".gz")
	if strings.Contains(base, "-idx") && strings.HasSuffix(base, "byte") {
		return IDX, true
	}
	ext := strings.TrimPrefix(path.Ext(base), ".")
	for _, f := range Formats() {
		if string(f) == ext {
			return f, true
		}
	}
	return "", false
}

// Reader yields the rows of one file in order. It is not safe for concurrent use.
type Reader struct {
	src    io.Reader
	format Format
	elem   elem
	rows   int  // -1 when the file does not say
	cols   int  // > 0
	prefix bool // each row starts with its width
	at     int  // rows read so far
	err    error

	raw []byte
	row []float32
}

// NewReader reads the header of r, which holds a file of format f, gzip-compressed
// or not. Errors: ErrFormat, ErrTruncated, ErrUnsupported, ErrTooLarge, or r's.
// A vecs file without rows is ErrTruncated, since its width is unknown.
func NewReader(f Format, r io.Reader) (*Reader, error) {
	src := bufio.NewReaderSize(r, 1<<16)
	if head, err := src.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w: bad gzip header: %v", f, ErrFormat, err)
		}
		src = bufio.NewReaderSize(z, 1<<16)
	}
	d := &Reader{src: src, format: f, rows: -1}
	var err error
	switch f {
	case Fvecs:
		err = d.vecs(src, elem{kind: 'f', size: 4})
	case Bvecs:
		err = d.vecs(src, elem{kind: 'u', size: 1})
	case Ivecs:
		err = d.vecs(src, elem{kind: 'i', size: 4})
	case Fbin:
		err = d.bin(elem{kind: 'f', size: 4})
	case U8bin:
		err = d.bin(elem{kind: 'u', size: 1})
	case I8bin:
		err = d.bin(elem{kind: 'i', size: 1})
	case Ibin:
		err = d.bin(elem{kind: 'i', size: 4})
	case Npy:
		err = d.npy()
	case IDX:
		err = d.idx()
	default:
		return nil, fmt.Errorf("%w: %q; use one of %v", ErrUnsupported, f, Formats())
	}
	if err == nil {
		err = shape(int64(d.rows), int64(d.cols))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, truncated(err))
	}
	return d, nil
}

// truncated names an early end of input for what it means here.
func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends inside a header or a row", ErrTruncated)
	}
	if errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) {
		return fmt.Errorf("%w: %v", ErrFormat, err)
	}
	return err
}

// Cols is the width of every row, 1..MaxCols.
func (d *Reader) Cols() int { return d.cols }

// Rows is the number of rows the file announces, or -1 when the format has no
// such count (fvecs, bvecs, ivecs).
func (d *Reader) Rows() int { return d.rows }

// next reads the bytes of one row, valid until the next call.
func (d *Reader) next() ([]byte, error) {
	if d.err != nil {
		return nil, d.err
	}
	if d.at == d.rows {
		d.err = io.EOF
		return nil, d.err
	}
	if d.raw == nil {
		d.raw = make([]byte, d.cols*d.elem.size)
	}
	if err := d.fill(); err != nil {
		if err != io.EOF {
			err = fmt.Errorf("%s row %d: %w", d.format, d.at, truncated(err))
		}
		d.err = err
		return nil, err
	}
	d.at++
	return d.raw, nil
}

func (d *Reader) fill() error {
	if d.prefix {
		if d.at >= MaxRows {
			return fmt.Errorf("%w: more than %d rows", ErrTooLarge, MaxRows)
		}
		var head [4]byte
		if _, err := io.ReadFull(d.src, head[:]); err != nil {
			return err // io.EOF here is the end of the file
		}
		if n := binary.LittleEndian.Uint32(head[:]); n != uint32(d.cols) {
			return fmt.Errorf("%w: width %d, earlier rows have %d", ErrFormat, n, d.cols)
		}
	}
	_, err := io.ReadFull(d.src, d.raw)
	if err == io.EOF { // a row was promised, so this is no clean end
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Next is the next row as float32, or io.EOF after the last. Wider elements are
// rounded. The slice is valid until the next call. Errors: ErrTruncated,
// ErrFormat (rows of unequal width), or the source's; they are sticky.
func (d *Reader) Next() ([]float32, error) {
	raw, err := d.next()
	if err != nil {
		return nil, err
	}
	if d.row == nil {
		d.row = make([]float32, d.cols)
	}
	d.elem.floats(d.row, raw)
	return d.row, nil
}

// Matrix reads the rows that are left, at most limit of them (limit <= 0 means
// all). Memory grows as rows arrive, so a header that lies costs nothing.
func (d *Reader) Matrix(limit int) (Matrix, error) {
	m := Matrix{Cols: d.cols, Data: make([]float32, 0, d.guess(limit))}
	for limit <= 0 || m.Rows < limit {
		raw, err := d.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Matrix{}, err
		}
		n := len(m.Data)
		m.Data = grow(m.Data, d.cols)
		d.elem.floats(m.Data[n:], raw)
		m.Rows++
	}
	return m, nil
}

// Ints reads the rows that are left, at most limit of them (limit <= 0 means
// all), as 32-bit integers. ErrUnsupported when the file holds floats,
// ErrTooLarge when a value does not fit.
func (d *Reader) Ints(limit int) (Ints, error) {
	m := Ints{Cols: d.cols, Data: make([]int32, 0, d.guess(limit))}
	for limit <= 0 || m.Rows < limit {
		raw, err := d.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Ints{}, err
		}
		n := len(m.Data)
		m.Data = grow(m.Data, d.cols)
		if err := d.elem.ints(m.Data[n:], raw); err != nil {
			return Ints{}, fmt.Errorf("%s row %d: %w", d.format, d.at-1, err)
		}
		m.Rows++
	}
	return m, nil
}

// guess is a first capacity in elements: what the header announces, but never
// more than 4 MiB on its word alone.
func (d *Reader) guess(limit int) int {
	n := d.rows
	if limit > 0 && (n < 0 || n > limit) {
		n = limit
	}
	return max(0, min(n, (1<<20)/d.cols)) * d.cols
}

func grow[T any](s []T, n int) []T {
	return slices.Grow(s, n)[:len(s)+n]
}
