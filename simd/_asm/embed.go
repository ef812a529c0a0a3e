package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// ahead is the number of rows by id that are fetched ahead.
const ahead = 8

// byID walks the rows of a table that ids name, with those of a dense matrix in
// their order; f does a register of both. It asks for the lines of the row that
// comes ahead turns later.
func byID(isa ISA, dense string, f func(s *sweep, row, other reg.Register, k tail)) {
	table, other, ids := base("table"), base(dense), base("ids")
	left := Load(Param("ids").Len(), GP64()).(reg.GPVirtual)
	s := newSweep(isa, Load(Param("dim"), GP64()).(reg.GPVirtual))
	row, later, stride := GP64(), GP64(), GP64()
	MOVQ(s.n, stride)
	SHLQ(U8(2), stride)
	address := func(m Mem, to reg.GPVirtual) {
		MOVL(m, to.As32())
		IMULQ(stride, to)
		ADDQ(table, to)
	}
	Label("id")
	address(Mem{Base: ids}, row)
	MOVQ(row, later)
	CMPQ(left, U8(ahead))
	JLE(LabelRef("near"))
	address(Mem{Base: ids, Disp: 4 * ahead}, later)
	Label("near")
	s.each(1, func(_ int, k tail) {
		PREFETCHT0(s.where(later, 0))
		f(s, row, other, k)
	})
	// The last line, if the row starts within one.
	PREFETCHT0(Mem{Base: later, Index: s.n, Scale: 4, Disp: -1})
	ADDQ(stride, other)
	ADDQ(U8(4), ids)
	DECQ(left)
	JNZ(LabelRef("id"))
	end()
}

func gatherCopy(isa ISA) {
	kernel(isa, "gather", "(dst, table []float32, dim int, ids []uint32)")
	byID(isa, "dst", func(s *sweep, row, dst reg.Register, k tail) { s.store(s.load(row, k), dst, k) })
}

// scatterAdd takes one row after the other, so that an id may repeat.
func scatterAdd(isa ISA) {
	kernel(isa, "scatterAdd", "(table, grad []float32, dim int, ids []uint32)")
	byID(isa, "grad", func(s *sweep, row, grad reg.Register, k tail) {
		v := s.load(row, k)
		VADDPS(s.load(grad, k), v, v)
		s.store(v, row, k)
	})
}
