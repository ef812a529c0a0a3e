package tabr

import (
	"github.com/eiderdb/eider/internal/nn"
	"github.com/eiderdb/eider/simd"
)

// Masks of dropout are functions of the run's seed, the step, the layer, the row of the
// table and the candidate, not of where in a batch a row stands: a candidate that is
// encoded twice in a step is encoded alike.

// mix is the finaliser of SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

const golden = 0x9e3779b97f4a7c15

// stream is the masks of one layer in one step.
type stream uint64

func newStream(t *nn.Tape, layer uint64) stream {
	return stream(mix(mix(mix(t.Seed+golden)+t.Step*golden) + layer*golden))
}

// row is the key of a row's masks.
func (s stream) row(id uint32) uint64 { return mix(uint64(s) + uint64(id)*golden) }

// key is that of the masks of a row's units.
func (s stream) key(id uint32) uint32 { return uint32(s.row(id) >> 32) }

// pair is the bits of a row and a candidate: the high half decides whether the candidate
// is dropped, the low one is the key of its units.
func pair(row uint64, id uint32) uint64 { return mix(row + uint64(id+1)*golden) }

// drop is dropout of a share p.
type drop struct {
	least uint32  // threshold of simd's masks
	scale float32 // of what stays
}

// dropping is the dropout of p while the tape trains, else none.
func dropping(t *nn.Tape, p float64) drop {
	if !t.Train || p == 0 {
		return drop{0, 1}
	}
	return drop{uint32(p * (1 << 32)), float32(1 / (1 - p))}
}

// rectified is dropout(relu(x)) with one key a row.
type rectified struct {
	drop
	keys []uint32
}

func rectify(t *nn.Tape, x *nn.Var, p float64, s stream, rows []uint32) *nn.Var {
	o := &rectified{dropping(t, p), make([]uint32, x.Rows)}
	v := t.Matrix(x.Rows, x.Cols)
	clear(v.Data)
	for i := range v.Rows {
		o.keys[i] = s.key(rows[i])
		simd.DropReLU(v.Row(i), x.Row(i), o.scale, o.keys[i], o.least)
	}
	return t.Record(o, v, x)
}

func (o *rectified) Backward(t *nn.Tape, out *nn.Var, in []*nn.Var) {
	from, to, row := t.Grad(out), t.Grad(in[0]), t.Matrix(1, out.Cols).Data
	for i := range from.Rows {
		copy(row, in[0].Row(i))
		simd.DropReLUGrad(row, from.Row(i), o.keys[i], o.least)
		simd.Axpy(o.scale, row, to.Row(i))
	}
}
