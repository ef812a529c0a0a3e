package nn

import (
	"fmt"

	"github.com/eiderdb/eider/simd"
)

// Param is a matrix that training moves. It carries its gradient and the state
// of its optimiser, so a checkpoint is a list of parameters. The gradient is
// dense, or, for a table, holds the rows that the step used.
type Param struct {
	Name  string
	Value Matrix
	// Grad adds up over calls of Backward until an optimiser's Step clears it.
	// Of a dense parameter it has Value's shape; of a table, row i belongs to
	// row Touched()[i] of Value.
	Grad Matrix
	// State is the optimiser's: what it keeps per element, nil before the first
	// step. Steps counts the steps this parameter took part in.
	State [2][]float32
	Steps int
	// Frozen parameters get no gradient and do not move. NoDecay ones are left
	// out of weight decay.
	Frozen, NoDecay bool

	slot    []int32 // tables: row of Value -> row of Grad plus 1, 0 for none
	touched []uint32
	into    []uint32 // scratch of scatter
}

// NewParam returns a dense parameter of zeros.
func NewParam(name string, rows, cols int) *Param {
	return &Param{Name: name, Value: NewMatrix(rows, cols), Grad: NewMatrix(rows, cols)}
}

// NewTable returns an embedding table of zeros: rows vectors of cols numbers.
// Its gradients and optimiser steps touch only rows that were looked up.
func NewTable(name string, rows, cols int) *Param {
	return &Param{
		Name: name, Value: NewMatrix(rows, cols), Grad: Matrix{Cols: cols, Stride: cols},
		slot: make([]int32, rows),
	}
}

// Touched lists the rows of a table that have a gradient, in the order of their
// first use; nil for a dense parameter. Valid until the next Backward or Step.
func (p *Param) Touched() []uint32 { return p.touched }

// Clear sets the gradient to zero; of a table in time O(rows touched).
func (p *Param) Clear() {
	if p.slot == nil {
		p.Grad.zero()
		return
	}
	for _, id := range p.touched {
		p.slot[id] = 0
	}
	p.touched = p.touched[:0]
	p.Grad.Rows, p.Grad.Data = 0, p.Grad.Data[:0]
}

// L2 adds lambda·w to the gradient, of a table to that of every row, which makes
// the step as long as the table.
func (p *Param) L2(lambda float32) {
	if p.slot == nil {
		axpy(lambda, p.Value, p.Grad)
		return
	}
	for id := range p.Value.Rows {
		row := p.rowGrad(uint32(id))
		simd.Axpy(lambda, p.Value.Row(id), p.Grad.Row(int(row)))
	}
}

// Replica returns a parameter that shares the value and has a gradient of its
// own, for a second tape that works on another part of the batch at the same
// time. Merge brings its gradient home; only the original takes steps.
func (p *Param) Replica() *Param {
	r := &Param{Name: p.Name, Value: p.Value, Frozen: p.Frozen}
	if p.slot == nil {
		r.Grad = NewMatrix(p.Value.Rows, p.Value.Cols)
	} else {
		r.Grad = Matrix{Cols: p.Value.Cols, Stride: p.Value.Cols}
		r.slot = make([]int32, p.Value.Rows)
	}
	return r
}

// Merge adds the gradient of a replica to that of p and clears the replica's.
// Merging replicas in one order gives one result.
func (p *Param) Merge(replica *Param) {
	if p.slot == nil {
		axpy(1, replica.Grad, p.Grad)
	} else {
		p.scatter(replica.Grad.Data, replica.touched)
	}
	replica.Clear()
}

// scatter adds the rows of g, one after the other, to the gradients of rows ids of
// a table.
func (p *Param) scatter(g []float32, ids []uint32) {
	p.into = p.into[:0]
	for _, id := range ids {
		p.into = append(p.into, p.rowGrad(id))
	}
	simd.ScatterAdd(p.Grad.Data, g, p.Grad.Cols, p.into)
}

// rowGrad is the row of Grad that belongs to row id of a table, zeros if it is new.
func (p *Param) rowGrad(id uint32) uint32 {
	if s := p.slot[id]; s != 0 {
		return uint32(s - 1)
	}
	p.touched = append(p.touched, id)
	p.slot[id] = int32(len(p.touched))
	n := len(p.Grad.Data)
	if need := n + p.Grad.Cols; need <= cap(p.Grad.Data) {
		p.Grad.Data = p.Grad.Data[:need]
	} else {
		grown := make([]float32, need, max(2*cap(p.Grad.Data), 64*p.Grad.Cols))
		copy(grown, p.Grad.Data)
		p.Grad.Data = grown
	}
	clear(p.Grad.Data[n:])
	p.Grad.Rows++
	return uint32(p.Grad.Rows - 1)
}

// spans and span divide the numbers that have a gradient into runs that lie
// together in Value: the whole of a dense parameter, each touched row of a
// table. at is where the run starts in Value.Data, and so in State.
func (p *Param) spans() int {
	if p.slot == nil {
		return 1
	}
	return len(p.touched)
}

func (p *Param) span(i int) (w, g []float32, at int) {
	if p.slot == nil {
		return p.Value.Data, p.Grad.Data, 0
	}
	at = int(p.touched[i]) * p.Value.Cols
	return p.Value.Data[at : at+p.Value.Cols], p.Grad.Row(i), at
}

// within panics unless ids are rows of p.
func (p *Param) within(op string, ids []uint32) {
	for _, id := range ids {
		if int(id) >= p.Value.Rows {
			panic(fmt.Sprintf("nn: %s: id %d of table %s with %d rows", op, id, p.Name, p.Value.Rows))
		}
	}
}
