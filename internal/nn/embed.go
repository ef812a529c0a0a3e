package nn

import (
	"fmt"

	"github.com/eiderdb/eider/simd"
)

// Embed looks up rows of a table: row i of the result is row ids[i] of p. An id
// may occur many times; its gradients add up. It panics on an id beyond p.
func (t *Tape) Embed(p *Param, ids []uint32) *Var {
	p.within("Embed", ids)
	v := t.lookup(p, len(ids), embedBack)
	v.ids = ids
	simd.Gather(v.Data, p.Value.Data, p.Value.Cols, ids)
	return v
}

func (t *Tape) lookup(p *Param, rows int, back func(*Tape, *Var)) *Var {
	if p.slot == nil {
		panic(fmt.Sprintf("nn: %s is not a table", p.Name))
	}
	v := t.leaf(t.Matrix(rows, p.Value.Cols), !t.NoGrad && !p.Frozen)
	if v.needs {
		v.back = back
	}
	v.param = p
	return v
}

func embedBack(t *Tape, v *Var) { v.param.scatter(t.packed(v.grad, nil), v.ids) }

// EmbedBag adds up, or averages, the rows of p that each segment of ids names:
// segments x cols, without the looked-up rows in memory. An empty segment gives
// zeros.
func (t *Tape) EmbedBag(p *Param, ids []uint32, s Segments, mean bool) *Var {
	p.within("EmbedBag", ids)
	s.check("EmbedBag", len(ids), nil)
	v := t.lookup(p, s.Len(), embedBagBack)
	v.ids, v.seg, v.a = ids, s, mean
	for i := range s.Len() {
		y := v.Row(i)
		clear(y)
		lo, hi := s.at(i)
		for _, id := range ids[lo:hi] {
			simd.Add(y, p.Value.Row(int(id)))
		}
		if mean {
			simd.Scale(y, s.share(i, nil))
		}
	}
	return v
}

func embedBagBack(_ *Tape, v *Var) {
	for i := range v.seg.Len() {
		share := float32(1)
		if v.a {
			share = v.seg.share(i, nil)
		}
		lo, hi := v.seg.at(i)
		for _, id := range v.ids[lo:hi] {
			row := v.param.rowGrad(id)
			simd.Axpy(share, v.grad.Row(i), v.param.Grad.Row(int(row)))
		}
	}
}
