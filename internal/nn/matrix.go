package nn

import "fmt"

// Matrix is a view of float32 numbers in row-major order: element (i, j) is
// Data[i*Stride+j]. Stride >= Cols; copies of a Matrix share its Data.
type Matrix struct {
	Rows, Cols, Stride int
	Data               []float32
}

// Wrap views data as rows x cols without a copy. It panics if the length of
// data is not rows*cols.
func Wrap(rows, cols int, data []float32) Matrix {
	if rows < 0 || cols < 0 || len(data) != rows*cols {
		panic(fmt.Sprintf("nn: Wrap: %d numbers are not a matrix of %dx%d", len(data), rows, cols))
	}
	return Matrix{Rows: rows, Cols: cols, Stride: cols, Data: data}
}

// NewMatrix returns a matrix of zeros.
func NewMatrix(rows, cols int) Matrix { return Wrap(rows, cols, make([]float32, rows*cols)) }

// Row views row i.
func (m Matrix) Row(i int) []float32 {
	at := i * m.Stride
	return m.Data[at : at+m.Cols : at+m.Cols]
}

// At returns element (i, j).
func (m Matrix) At(i, j int) float32 { return m.Data[i*m.Stride+j] }

// Slice views rows lo to hi-1.
func (m Matrix) Slice(lo, hi int) Matrix {
	if lo < 0 || hi < lo || hi > m.Rows {
		panic(fmt.Sprintf("nn: rows %d:%d of a matrix of %s", lo, hi, m))
	}
	end := hi * m.Stride
	if hi > lo {
		end -= m.Stride - m.Cols
	}
	return Matrix{Rows: hi - lo, Cols: m.Cols, Stride: m.Stride, Data: m.Data[lo*m.Stride : max(end, lo*m.Stride)]}
}

// Columns views columns lo to hi-1.
func (m Matrix) Columns(lo, hi int) Matrix {
	if lo < 0 || hi < lo || hi > m.Cols {
		panic(fmt.Sprintf("nn: columns %d:%d of a matrix of %s", lo, hi, m))
	}
	data := m.Data
	if m.Rows > 0 {
		data = data[lo : (m.Rows-1)*m.Stride+hi]
	}
	return Matrix{Rows: m.Rows, Cols: hi - lo, Stride: m.Stride, Data: data}
}

// Packed reports whether the rows follow each other without gaps.
func (m Matrix) Packed() bool { return m.Stride == m.Cols || m.Rows <= 1 }

// String is the shape, "3x4".
func (m Matrix) String() string { return fmt.Sprintf("%dx%d", m.Rows, m.Cols) }

// Set copies from, which must have m's shape, to m.
func (m Matrix) Set(from Matrix) {
	m, from = merge(m, from)
	for i := range m.Rows {
		copy(m.Row(i), from.Row(i))
	}
}

// zero sets every element to 0 and leaves the gaps between rows alone.
func (m Matrix) zero() {
	m, _ = merge(m, m)
	for i := range m.Rows {
		clear(m.Row(i))
	}
}

// merge returns matrices of one shape as one long row each if all are packed,
// so that loops over rows run once.
func merge(a, b Matrix) (Matrix, Matrix) {
	if a.Rows != b.Rows || a.Cols != b.Cols {
		panic(fmt.Sprintf("nn: shapes %s and %s differ", a, b))
	}
	if a.Packed() && b.Packed() {
		a, b = a.line(), b.line()
	}
	return a, b
}

// merge3 is merge for three matrices.
func merge3(a, b, c Matrix) (Matrix, Matrix, Matrix) {
	if a.Rows != b.Rows || a.Cols != b.Cols || a.Rows != c.Rows || a.Cols != c.Cols {
		panic(fmt.Sprintf("nn: shapes %s, %s and %s differ", a, b, c))
	}
	if a.Packed() && b.Packed() && c.Packed() {
		a, b, c = a.line(), b.line(), c.line()
	}
	return a, b, c
}

// line views a packed matrix as a single row.
func (m Matrix) line() Matrix {
	n := m.Rows * m.Cols
	return Matrix{Rows: 1, Cols: n, Stride: n, Data: m.Data[:n]}
}
