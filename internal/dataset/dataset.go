// Package dataset reads the vector files of the nearest-neighbour field and
// generates seeded synthetic sets.
//
//	fvecs bvecs ivecs     TEXMEX: each row is its width (int32) and its elements
//	fbin u8bin i8bin ibin big-ann-benchmarks: rows, width (uint32 each), elements
//	npy                   numpy arrays of one or two dimensions, C order
//	idx                   MNIST: big-endian, the first dimension counts rows
//	hdf5                  ann-benchmarks: see HDF5
//
// Every format but HDF5 is a stream and may be gzip-compressed; NewReader sees
// that from the first bytes. Decoders trust nothing: each count is capped and
// checked before memory is taken for it, and memory grows with bytes that were
// really there. They open no files; callers hand in readers.
package dataset

import (
	"errors"
	"fmt"
	"math"
)

// Errors that every reader returns, wrapped with what was wrong and where.
var (
	// ErrFormat reports bytes that are not the format they were read as.
	ErrFormat = errors.New("not a file of this format")
	// ErrTruncated reports a file that ends before the rows it announces.
	ErrTruncated = errors.New("file is cut short")
	// ErrUnsupported reports a legal file that uses a feature this package does
	// not read.
	ErrUnsupported = errors.New("feature of the format is not supported")
	// ErrTooLarge reports a count beyond the caps below.
	ErrTooLarge = errors.New("count is beyond the limit")
)

const (
	// MaxCols is the widest row any reader accepts.
	MaxCols = 1 << 16
	// MaxRows is the most rows any reader accepts.
	MaxRows = math.MaxInt32
)

// Matrix is Rows vectors of Cols float32 components, row after row in Data,
// which holds exactly Rows*Cols of them.
type Matrix struct {
	Rows, Cols int
	Data       []float32
}

// Row is the i-th vector, a view of Data. It panics when i is out of range, as
// indexing does.
func (m Matrix) Row(i int) []float32 {
	return m.Data[i*m.Cols : (i+1)*m.Cols : (i+1)*m.Cols]
}

// Head is the first n rows (all when there are fewer), sharing Data.
func (m Matrix) Head(n int) Matrix {
	n = max(0, min(n, m.Rows))
	return Matrix{Rows: n, Cols: m.Cols, Data: m.Data[:n*m.Cols]}
}

// Ints is Rows lists of Cols int32 values: neighbour ids or labels.
type Ints struct {
	Rows, Cols int
	Data       []int32
}

// Row is the i-th list, a view of Data. It panics when i is out of range.
func (m Ints) Row(i int) []int32 {
	return m.Data[i*m.Cols : (i+1)*m.Cols : (i+1)*m.Cols]
}

// shape checks a row count and a width that a file claims. rows < 0 means that
// the file does not say.
func shape(rows, cols int64) error {
	if cols < 1 || cols > MaxCols {
		return fmt.Errorf("%w: rows of %d elements; between 1 and %d are read", ErrTooLarge, cols, MaxCols)
	}
	if rows > MaxRows {
		return fmt.Errorf("%w: %d rows; at most %d are read", ErrTooLarge, rows, MaxRows)
	}
	return nil
}
