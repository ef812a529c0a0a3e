package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// hops writes what a walk of a graph needs beside distances. All of it runs on
// every amd64 CPU.
func hops() {
	fetch()
	fetchRows()
}

// fetch asks for the lines of a slice.
func fetch() {
	TEXT("fetchAMD64", 4, "func(s []uint32)")
	Pragma("noescape")
	p := Load(Param("s").Base(), GP64()).(reg.GPVirtual)
	n := Load(Param("s").Len(), GP64()).(reg.GPVirtual)
	end := GP64()
	LEAQ(Mem{Base: p, Index: n, Scale: 4}, end)
	CMPQ(p, end)
	JAE(LabelRef("end"))
	loop("line")
	PREFETCHT0(Mem{Base: p})
	ADDQ(U8(64), p)
	CMPQ(p, end)
	JB(LabelRef("line"))
	// The last line, if the slice starts within one.
	PREFETCHT0(Mem{Base: end, Disp: -1})
	Label("end")
	RET()
}

// fetchRows asks for the lines of the first width bytes of rows by id, save those
// whose byte of seen is epoch, into the second cache; see the note on PREFETCHT1
// in shape.go. Which those are is hard to foretell, so spare lists them without
// a branch.
func fetchRows() {
	TEXT("fetchRowsAMD64", 4, "func(ids []uint32, seen []uint8, epoch uint8, rows *uint8, stride, width int, spare []uint32)")
	Pragma("noescape")
	arg := func(c gotypes.Component) reg.GPVirtual { return Load(c, GP64()).(reg.GPVirtual) }
	ids, n := arg(Param("ids").Base()), arg(Param("ids").Len())
	seen, limit := arg(Param("seen").Base()), arg(Param("seen").Len())
	epoch := Load(Param("epoch"), GP8())
	spare := arg(Param("spare").Base())
	end, m, id, fresh := GP64(), GP64(), GP64(), GP64()
	LEAQ(Mem{Base: ids, Index: n, Scale: 4}, end)
	XORQ(m, m)
	XORQ(fresh, fresh)
	JMP(LabelRef("next"))
	loop("id")
	MOVL(Mem{Base: ids}, id.As32())
	ADDQ(U8(4), ids)
	CMPQ(id, limit)
	JAE(LabelRef("next"))
	MOVL(id.As32(), Mem{Base: spare, Index: m, Scale: 4})
	CMPB(epoch, Mem{Base: seen, Index: id, Scale: 1})
	SETNE(fresh.As8())
	ADDQ(fresh, m)
	Label("next")
	CMPQ(ids, end)
	JB(LabelRef("id"))

	rows, stride, width := arg(Param("rows")), arg(Param("stride")), arg(Param("width"))
	p, last := GP64(), GP64()
	JMP(LabelRef("more"))
	loop("row")
	MOVL(Mem{Base: spare, Index: m, Scale: 4}, p.As32())
	IMULQ(stride, p)
	ADDQ(rows, p)
	LEAQ(Mem{Base: p, Index: width, Scale: 1}, last)
	ANDQ(I8(-64), p)
	Label("line")
	PREFETCHT1(Mem{Base: p})
	ADDQ(U8(64), p)
	CMPQ(p, last)
	JB(LabelRef("line"))
	Label("more")
	SUBQ(U8(1), m)
	JAE(LabelRef("row"))
	RET()
}
