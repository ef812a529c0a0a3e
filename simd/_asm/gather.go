package main

import (
	pow "math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gather is the kernel of rows by id under construction.
type gather struct {
	*body
	size        int
	base, step  Mem // arguments: rows, and stride in elements
	ids, n, out reg.GPVirtual
}

// gatherRows scores four rows of the list at a time, fetching ahead.
func gatherRows(o op) {
	g := &gather{body: begin(o, "q")}
	_, _, _, _, _, g.size = o.Types()
	base, err := Param("rows").Base().Resolve()
	if err != nil {
		panic(err)
	}
	step, err := Param("stride").Resolve()
	if err != nil {
		panic(err)
	}
	g.base, g.step = base.Addr, step.Addr
	g.ids = Load(Param("ids").Base(), GP64()).(reg.GPVirtual)
	g.n = Load(Param("ids").Len(), GP64()).(reg.GPVirtual)
	g.out = Load(Param("out").Base(), GP64()).(reg.GPVirtual)
	for r := range g.rows {
		g.rows[r] = GP64()
	}
	CMPQ(g.n, U8(1))
	JLE(LabelRef("few"))
	wide := g.head == 0 || o.(*affine).code.Kind() == "I8"
	if wide {
		CMPQ(g.dim, U32(uint32(narrow/g.size)))
		JG(LabelRef("wide"))
	}
	g.whole()
	if wide {
		JMP(LabelRef("few"))
		g.streams()
	}

	Label("few")
	TESTQ(g.n, g.n)
	JZ(LabelRef("end"))
	loop("one")
	g.address(Mem{Base: g.ids}, g.rows[0])
	g.pass(1, false, nil, nil)
	VMOVD(reg.X0, Mem{Base: g.out})
	g.advance(1)
	JNZ(LabelRef("one"))
	Label("end")
	VZEROUPPER()
	RET()
}

// advance moves n results on; the flags are those of the results left.
func (g *gather) advance(n int) {
	ADDQ(U8(4*n), g.out)
	ADDQ(U8(4*n), g.ids)
	SUBQ(U8(n), g.n)
}

// address makes dst that of the row whose id is at m.
func (g *gather) address(m Mem, dst reg.GPVirtual) {
	base := GP64()
	MOVQ(g.base, base)
	MOVL(m, dst.As32())
	IMULQ(g.step, dst)
	LEAQ(Mem{Base: base, Index: dst, Scale: uint8(g.unit())}, dst)
}

// whole is for narrow rows: each pass fetches all lines of four later rows.
func (g *gather) whole() {
	ahead, t := GP64(), GP64()
	MOVQ(U32(many), ahead)
	MOVQ(U32(some), t)
	CMPQ(g.dim, U32(uint32((short-g.head)/g.size)))
	CMOVQGT(t, ahead)
	g.first(ahead)
	Label("fetched")
	CMPQ(g.n, U8(4))
	JL(LabelRef("few"))
	loop("four")
	rest := GP64()
	MOVQ(g.n, rest)
	SUBQ(ahead, rest)
	for j := range 4 {
		CMPQ(rest, U8(j))
		JLE(LabelRef("ready"))
		g.lines(Mem{Base: g.ids, Index: ahead, Scale: 4, Disp: 4 * j})
	}
	Label("ready")
	for r := range 4 {
		g.address(Mem{Base: g.ids, Disp: 4 * r}, g.rows[r])
	}
	g.pass(4, false, nil, nil)
	VMOVDQU(reg.X0, Mem{Base: g.out})
	g.advance(4)
	CMPQ(g.n, U8(4))
	JGE(LabelRef("four"))
}

// first fetches the rows before the turn of the first. Those of up to few bytes take
// no loop for their lines: of a list of rows in a cache, that took as long as scoring
// them. They get one line more than they fill, for they may start within a line.
func (g *gather) first(ahead reg.GPVirtual) {
	j, end, last := GP64(), GP64(), GP64()
	MOVQ(g.n, end)
	CMPQ(end, ahead)
	CMOVQGT(ahead, end)
	XORQ(j, j)
	MOVQ(g.dim, last)
	if g.size > 1 {
		SHLQ(U8(pow.TrailingZeros(uint(g.size))), last)
	}
	ADDQ(U8(g.head), last)
	DECQ(last)
	CMPQ(last, U32(few))
	JGE(LabelRef("first"))
	base, step := GP64(), GP64()
	MOVQ(g.base, base)
	MOVQ(g.step, step)
	near := func(name string, lines int) {
		Label(name) // aligned, the Go assembler does not end
		p := GP64()
		MOVL(Mem{Base: g.ids, Index: j, Scale: 4}, p.As32())
		IMULQ(step, p)
		LEAQ(Mem{Base: base, Index: p, Scale: uint8(g.unit())}, p)
		for l := range lines {
			PREFETCHT1(Mem{Base: p, Disp: 64 * l})
		}
		PREFETCHT1(Mem{Base: p, Index: last, Scale: 1})
		INCQ(j)
		CMPQ(j, end)
		JL(LabelRef(name))
		JMP(LabelRef("fetched"))
	}
	CMPQ(last, U8(64))
	JLE(LabelRef("oneLine"))
	CMPQ(last, U32(128))
	JLE(LabelRef("twoLines"))
	near("threeLines", 3)
	near("twoLines", 2)
	near("oneLine", 1)
	Label("first")
	g.lines(Mem{Base: g.ids, Index: j, Scale: 4})
	INCQ(j)
	CMPQ(j, end)
	JL(LabelRef("first"))
}

// lines fetches all lines of the row whose id is at m, two a turn.
func (g *gather) lines(m Mem) {
	p, end, pairs := GP64(), GP64(), GP64()
	g.address(m, p)
	LEAQ(Mem{Base: p, Index: g.dim, Scale: uint8(g.size), Disp: g.head - 1}, end)
	LEAQ(Mem{Base: end, Disp: -64}, pairs)
	l, last := g.next("line"), g.next("last")
	done := g.next("done")
	byCache(g.next("cache"), done, g.dim, g.size, g.head, func(fetch fetcher, name string) {
		CMPQ(p, pairs)
		JG(LabelRef(last + name))
		loop(l + name)
		fetch(Mem{Base: p})
		fetch(Mem{Base: p, Disp: 64})
		SUBQ(I8(-128), p)
		CMPQ(p, pairs)
		JLE(LabelRef(l + name))
		Label(last + name)
		// One more line, and the last, if the row starts within a line.
		CMPQ(p, end)
		CMOVQGT(end, p)
		fetch(Mem{Base: p})
		fetch(Mem{Base: end})
	})
	Label(done)
}

// streams is for wide rows: each step fetches what the same step of the next
// pass will read. Near the end of the list, that is the last row again and
// again, which is in a cache and costs nothing.
func (g *gather) streams() {
	var later [4]reg.GPVirtual
	loop("wide")
	CMPQ(g.n, U8(4))
	JL(LabelRef("few"))
	for r := range 4 {
		g.address(Mem{Base: g.ids, Disp: 4 * r}, g.rows[r])
	}
	for r := range later {
		later[r] = GP64()
		at, last := GP64(), GP64()
		MOVQ(U32(uint32(4+r)), at)
		LEAQ(Mem{Base: g.n, Disp: -1}, last)
		CMPQ(at, last)
		CMOVQGT(last, at)
		g.address(Mem{Base: g.ids, Index: at, Scale: 4}, later[r])
	}
	w, u := g.Blocks()
	fetch := func() {
		done := g.next("fetched")
		byVendor(g.next("vendor"), done, func(fetch fetcher, _ string) {
			for at := 0; at < w*u*g.size; at += 64 {
				for _, p := range later {
					fetch(Mem{Base: p, Index: g.i, Scale: uint8(g.size), Disp: at})
				}
			}
		})
		Label(done)
	}
	if g.head > 0 {
		// What the header moves beyond the last step.
		for _, p := range later {
			PREFETCHT1(Mem{Base: p, Index: g.dim, Scale: uint8(g.size), Disp: g.head - 1})
		}
	}
	g.pass(4, false, fetch, fetch)
	VMOVDQU(reg.X0, Mem{Base: g.out})
	g.advance(4)
	JMP(LabelRef("wide"))
}
