package din

import (
	"math"
	"slices"

	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// rows is a table that is only read: float32, or bytes that stand for
// offset + scale·byte by row.
type rows struct {
	dim    int
	floats []float32
	codes  []uint8
	affine [][2]float32 // by row: scale, offset
}

func newRows(m nn.Matrix, int8 bool) rows {
	t := rows{dim: m.Cols}
	if !int8 {
		t.floats = slices.Clone(m.Data)
		return t
	}
	t.codes, t.affine = make([]uint8, m.Rows*m.Cols), make([][2]float32, m.Rows)
	for i := range m.Rows {
		row := m.Row(i)
		lo, hi := slices.Min(row), slices.Max(row)
		scale := (hi - lo) / 255
		t.affine[i] = [2]float32{scale, lo}
		if scale == 0 {
			continue
		}
		for j, x := range row {
			t.codes[i*m.Cols+j] = uint8(math.Round(float64((x - lo) / scale)))
		}
	}
	return t
}

// read writes row id to out.
func (t *rows) read(out []float32, id uint32) {
	at := int(id) * t.dim
	if t.codes == nil {
		copy(out, t.floats[at:at+t.dim])
		return
	}
	a := t.affine[id]
	for j, c := range t.codes[at : at+t.dim] {
		out[j] = a[1] + a[0]*float32(c)
	}
}

// mean writes the mean of rows to out, zeros of none.
func (t *rows) mean(out []float32, ids []uint32) {
	clear(out)
	for _, id := range ids {
		at := int(id) * t.dim
		if t.codes == nil {
			simd.Add(out, t.floats[at:at+t.dim])
			continue
		}
		a := t.affine[id]
		for j, c := range t.codes[at : at+t.dim] {
			out[j] += a[1] + a[0]*float32(c)
		}
	}
	if len(ids) > 1 {
		simd.Scale(out, 1/float32(len(ids)))
	}
}
