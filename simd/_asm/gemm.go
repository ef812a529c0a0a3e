package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Fields of tile in gemm.go, in bytes from its start.
const (
	tileA     = 0
	tileB     = 24
	tileC     = 48
	tileBias  = 72
	tileARow  = 96
	tileAStep = 104
	tileBStep = 112
	tileCRow  = 120
	tileDepth = 128
	tileCols  = 144
	tileAlpha = 152
	tileBeta  = 156
	tileAct   = 160
	tileAhead = 168
)

// gemms writes the micro-kernels of matrix products, and what packs for them.
func gemms() {
	masks()
	for _, isa := range []ISA{AVX2, AVX512} {
		tall := 6
		if isa == AVX512 {
			tall = 14
		}
		for rows := 1; rows <= tall; rows++ {
			for wide := 1; wide <= widest(isa, rows); wide++ {
				gemmTile(isa, rows, wide)
			}
		}
	}
	packRows()
	packColumns()
	packColumns16()
}

// widest is the number of registers a row of a tile may take: more than two only
// where a tile of two would leave most accumulators idle.
func widest(isa ISA, rows int) int {
	if isa == AVX512 && rows <= 6 || rows <= 2 {
		return 4
	}
	return 2
}

// tileCode is a micro-kernel under construction: the product of some rows of a and
// the columns that fill wide registers, the last of which is masked. Accumulators
// of row i are registers i*wide on; after them come a row of b and, at the end of
// the file, the element of a.
type tileCode struct {
	isa        ISA
	rows, wide int
	t          reg.Register
	k          reg.Register // the mask
}

func gemmTile(isa ISA, rows, wide int) {
	name := fmt.Sprintf("gemm%dx%d%s", rows, wide*int(isa)/4, isa.Suffix())
	TEXT(name, 4, "func(t *uint8)")
	Pragma("noescape")
	g := &tileCode{isa: isa, rows: rows, wide: wide, t: Load(Param("t"), GP64()), k: reg.K1}
	if isa == AVX2 {
		g.k = reg.Y15
	}
	g.mask()
	for i := range rows * wide {
		isa.zero(i)
	}
	g.multiply()
	g.finish()
	VZEROUPPER()
	RET()
}

func (g *tileCode) acc(i, j int) reg.VecPhysical { return g.isa.Vec(i*g.wide + j) }
func (g *tileCode) row(j int) reg.VecPhysical    { return g.isa.Vec(g.rows*g.wide + j) }

// scalar is a register for one element in every lane; AVX-512 has two, to take in
// turn.
func (g *tileCode) scalar(i int) reg.VecPhysical {
	if g.isa == AVX512 {
		return g.isa.Vec(31 - i%2)
	}
	return g.isa.Vec(14)
}

func (g *tileCode) field(off int) Mem { return Mem{Base: g.t, Disp: off} }

// arg loads a field; stride loads one that counts elements, in bytes.
func (g *tileCode) arg(off int) reg.GPVirtual {
	r := GP64()
	MOVQ(g.field(off), r)
	return r
}

func (g *tileCode) stride(off int) reg.GPVirtual {
	r := g.arg(off)
	SHLQ(U8(2), r)
	return r
}

// mask is that of the lanes of the last register that columns fill: (cols-1) mod
// lanes, and one.
func (g *tileCode) mask() {
	n := g.arg(tileCols)
	DECQ(n)
	if g.isa == AVX512 {
		ANDQ(U8(15), n)
		INCQ(n)
		ones := GP64()
		MOVQ(I32(-1), ones)
		BZHIQ(n, ones, ones)
		KMOVW(ones.As32(), g.k)
		return
	}
	table := GP64()
	ANDQ(U8(7), n)
	NEGQ(n)
	LEAQ(maskTable, table)
	VMOVDQU(Mem{Base: table, Index: n, Scale: 4, Disp: 60}, g.k)
}

// load and store move register j of a row.
func (g *tileCode) load(j int, m Mem, v reg.Register) {
	switch {
	case j < g.wide-1:
		VMOVUPS(m, v)
	case g.isa == AVX512:
		VMOVUPS_Z(m, g.k, v)
	default:
		VMASKMOVPS(m, g.k, v)
	}
}

func (g *tileCode) store(j int, v reg.Register, m Mem) {
	switch {
	case j < g.wide-1:
		VMOVUPS(v, m)
	case g.isa == AVX512:
		VMOVUPS(v, g.k, m)
	default:
		VMASKMOVPS(v, g.k, m)
	}
}

// multiply adds up depth products. Rows of a are one stride apart, so that those
// by powers of two are addressed from it, and others from its odd multiples.
func (g *tileCode) multiply() {
	c, down := g.arg(tileC), g.stride(tileCRow)
	for i := range g.rows {
		for j := 0; j < g.wide*int(g.isa); j += 64 {
			PREFETCHT0(Mem{Base: c, Disp: j})
		}
		if i < g.rows-1 {
			ADDQ(down, c)
		}
	}
	a, b := g.arg(tileA), g.arg(tileB)
	aStep, bStep, depth, ahead := g.stride(tileAStep), g.stride(tileBStep), g.arg(tileDepth), g.stride(tileAhead)
	odd := map[int]reg.GPVirtual{1: g.stride(tileARow)}
	for i := 3; i < g.rows; i += 2 {
		odd[i] = GP64()
		if i == 3 {
			LEAQ(Mem{Base: odd[1], Index: odd[1], Scale: 2}, odd[3])
		} else {
			LEAQ(Mem{Base: odd[i-2], Index: odd[1], Scale: 2}, odd[i])
		}
	}
	Label("depth")
	for j := range g.wide {
		g.load(j, Mem{Base: b, Disp: j * int(g.isa)}, g.row(j))
	}
	PREFETCHT0(Mem{Base: b, Index: ahead, Scale: 1})
	if g.wide*int(g.isa) > 64 {
		PREFETCHT0(Mem{Base: b, Index: ahead, Scale: 1, Disp: 64})
	}
	for i := range g.rows {
		m := Mem{Base: a}
		if i > 0 {
			s := i & -i
			m.Index, m.Scale = odd[i/s], uint8(s)
		}
		x := g.scalar(i)
		VBROADCASTSS(m, x)
		for j := range g.wide {
			VFMADD231PS(x, g.row(j), g.acc(i, j))
		}
	}
	ADDQ(aStep, a)
	ADDQ(bStep, b)
	DECQ(depth)
	JNZ(LabelRef("depth"))
}

// finish makes of the sums what is stored: times alpha, plus beta times what is
// there, plus the bias, through the activation. What changes nothing is left out,
// and c is not read if beta is zero.
func (g *tileCode) finish() {
	each := func(f func(i, j int)) {
		for i := range g.rows {
			for j := range g.wide {
				f(i, j)
			}
		}
	}
	walk := func(f func(i, j int, m Mem)) {
		c, down := g.arg(tileC), g.stride(tileCRow)
		each(func(i, j int) {
			if i > 0 && j == 0 {
				ADDQ(down, c)
			}
			f(i, j, Mem{Base: c, Disp: j * int(g.isa)})
		})
	}
	x := g.scalar(0)

	CMPL(g.field(tileAlpha), U32(0x3f800000))
	JEQ(LabelRef("beta"))
	VBROADCASTSS(g.field(tileAlpha), x)
	each(func(i, j int) { VMULPS(x, g.acc(i, j), g.acc(i, j)) })

	Label("beta")
	zero := GP32()
	MOVL(g.field(tileBeta), zero)
	ADDL(zero, zero)
	JZ(LabelRef("bias"))
	VBROADCASTSS(g.field(tileBeta), x)
	walk(func(i, j int, m Mem) {
		g.load(j, m, g.row(j))
		VFMADD231PS(x, g.row(j), g.acc(i, j))
	})

	Label("bias")
	bias := g.arg(tileBias)
	TESTQ(bias, bias)
	JZ(LabelRef("act"))
	for j := range g.wide {
		g.load(j, Mem{Base: bias, Disp: j * int(g.isa)}, g.row(j))
	}
	each(func(i, j int) { VADDPS(g.row(j), g.acc(i, j), g.acc(i, j)) })

	Label("act")
	CMPL(g.field(tileAct), U8(0))
	JEQ(LabelRef("store"))
	if g.isa == AVX512 {
		VPXORD(x, x, x)
	} else {
		VPXOR(x, x, x)
	}
	// Of two values one of which is NaN, this keeps the accumulator; so it does of
	// two zeros.
	each(func(i, j int) { VMAXPS(g.acc(i, j), x, g.acc(i, j)) })

	Label("store")
	walk(func(i, j int, m Mem) { g.store(j, g.acc(i, j), m) })
}

// packRows copies rows of a few elements to where they lie closer together.
func packRows() {
	TEXT("packRowsAVX2", 4, "func(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)")
	Doc("packRowsAVX2 copies rows of cols elements; rows and cols must not be 0.")
	Pragma("noescape")
	arg := func(c gotypes.Component) reg.GPVirtual { return Load(c, GP64()).(reg.GPVirtual) }
	dst, src := arg(Param("dst").Base()), arg(Param("src").Base())
	dstRow, srcRow := arg(Param("dstRow")), arg(Param("srcRow"))
	rows, cols := arg(Param("rows")), arg(Param("cols"))
	SHLQ(U8(2), dstRow)
	SHLQ(U8(2), srcRow)
	last, n, table := GP64(), GP64(), GP64()
	LEAQ(Mem{Base: cols, Disp: -1}, n)
	MOVQ(n, last)
	ANDQ(I32(-8), last)
	ANDQ(U8(7), n)
	NEGQ(n)
	LEAQ(maskTable, table)
	VMOVDQU(Mem{Base: table, Index: n, Scale: 4, Disp: 60}, reg.Y15)
	i := GP64()
	Label("row")
	XORQ(i, i)
	CMPQ(i, last)
	JGE(LabelRef("tail"))
	Label("block")
	VMOVUPS(Mem{Base: src, Index: i, Scale: 4}, reg.Y0)
	VMOVUPS(reg.Y0, Mem{Base: dst, Index: i, Scale: 4})
	ADDQ(U8(8), i)
	CMPQ(i, last)
	JL(LabelRef("block"))
	Label("tail")
	VMASKMOVPS(Mem{Base: src, Index: i, Scale: 4}, reg.Y15, reg.Y0)
	VMASKMOVPS(reg.Y0, reg.Y15, Mem{Base: dst, Index: i, Scale: 4})
	ADDQ(dstRow, dst)
	ADDQ(srcRow, src)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// packColumns transposes up to eight rows. The last block of eight columns ends
// with the rows and overlaps the one before.
func packColumns() {
	TEXT("packColumnsAVX2", 4, "func(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)")
	Doc("packColumnsAVX2 writes element j of row i, of 1 to 8 rows and of 8 or more columns, to",
		"dst[j*dstRow+i]. It writes eight elements for each j in ascending order, so that what is",
		"in the way of the next is overwritten, and up to seven elements after the last.")
	Pragma("noescape")
	arg := func(c gotypes.Component) reg.GPVirtual { return Load(c, GP64()).(reg.GPVirtual) }
	dst, dstRow := arg(Param("dst").Base()), arg(Param("dstRow"))
	src, srcRow := arg(Param("src").Base()), arg(Param("srcRow"))
	rows := arg(Param("rows"))
	SHLQ(U8(2), dstRow)
	SHLQ(U8(2), srcRow)
	// A row that is not there is the last once more.
	p := [8]reg.GPVirtual{src}
	for i := 1; i < 8; i++ {
		p[i] = GP64()
		MOVQ(p[i-1], p[i])
		skip := fmt.Sprintf("only%d", i)
		CMPQ(rows, U8(i))
		JLE(LabelRef(skip))
		ADDQ(srcRow, p[i])
		Label(skip)
	}
	j := GP64()
	XORQ(j, j)
	Label("block")
	at := func(i, off int) Mem { return Mem{Base: p[i], Index: j, Scale: 4, Disp: 16 * off} }
	for half := range 2 {
		for i := range 4 {
			v := ys[4*half+i]
			VMOVUPS(at(i, half), v.AsX())
			VINSERTF128(U8(1), at(i+4, half), v, v)
		}
	}
	to := GP64()
	MOVQ(dst, to)
	for half := range 2 {
		v := ys[4*half : 4*half+4]
		t := ys[8:12]
		VUNPCKLPS(v[1], v[0], t[0])
		VUNPCKHPS(v[1], v[0], t[1])
		VUNPCKLPS(v[3], v[2], t[2])
		VUNPCKHPS(v[3], v[2], t[3])
		for i, x := range []func(){
			func() { VUNPCKLPD(t[2], t[0], v[0]) },
			func() { VUNPCKHPD(t[2], t[0], v[1]) },
			func() { VUNPCKLPD(t[3], t[1], v[2]) },
			func() { VUNPCKHPD(t[3], t[1], v[3]) },
		} {
			x()
			VMOVUPS(v[i], Mem{Base: to})
			ADDQ(dstRow, to)
		}
	}
	cols := GP64()
	Load(Param("cols"), cols)
	ADDQ(U8(8), j)
	MOVQ(to, dst)
	SUBQ(j, cols)
	JZ(LabelRef("end"))
	CMPQ(cols, U8(8))
	JGE(LabelRef("block"))
	// cols are left: go back by what eight are more.
	SUBQ(U8(8), cols)
	ADDQ(cols, j)
	IMULQ(dstRow, cols)
	ADDQ(cols, dst)
	JMP(LabelRef("block"))
	Label("end")
	VZEROUPPER()
	RET()
}

// packColumns16 transposes 16 rows, 16 columns at a time. A register takes four
// columns of rows q, 4+q, 8+q and 12+q, in this order, so that within its quarters
// four of them are transposed by what would transpose 4 x 4. The last block of
// columns ends with the rows and overlaps the one before.
func packColumns16() {
	TEXT("packColumns16AVX512", 4, "func(dst []float32, dstRow int, src []float32, srcRow, cols int)")
	Doc("packColumns16AVX512 writes element j of row i, of 16 rows and of 16 or more columns, to",
		"dst[j*dstRow+i], and nothing else.")
	Pragma("noescape")
	arg := func(c gotypes.Component) reg.GPVirtual { return Load(c, GP64()).(reg.GPVirtual) }
	dst, dstRow := arg(Param("dst").Base()), arg(Param("dstRow"))
	src, srcRow, cols := arg(Param("src").Base()), arg(Param("srcRow")), arg(Param("cols"))
	SHLQ(U8(2), dstRow)
	SHLQ(U8(2), srcRow)
	three := GP64()
	LEAQ(Mem{Base: srcRow, Index: srcRow, Scale: 2}, three)
	p := [4]reg.GPVirtual{src}
	for i := 1; i < 4; i++ {
		p[i] = GP64()
		LEAQ(Mem{Base: p[i-1], Index: srcRow, Scale: 4}, p[i])
	}
	at := func(i, j int) Mem { // four columns of row i
		m := Mem{Base: p[i/4], Disp: 16 * j}
		switch i % 4 {
		case 1, 2:
			m.Index, m.Scale = srcRow, uint8(i%4)
		case 3:
			m.Index, m.Scale = three, 1
		}
		return m
	}
	quarter := [4]reg.Register{nil, reg.K1, reg.K2, reg.K3}
	for i := 1; i < 4; i++ {
		bits := GP32()
		MOVL(U32(0xf<<(4*i)), bits)
		KMOVW(bits, quarter[i])
	}
	Label("block")
	for j := range 4 {
		v, t := [4]reg.VecVirtual{}, [4]reg.VecVirtual{}
		for q := range v {
			v[q], t[q] = ZMM(), ZMM()
			VMOVUPS(at(q, j), v[q].AsX())
			for i := 1; i < 4; i++ {
				VBROADCASTF32X4(at(4*i+q, j), quarter[i], v[q])
			}
		}
		VUNPCKLPS(v[1], v[0], t[0])
		VUNPCKHPS(v[1], v[0], t[1])
		VUNPCKLPS(v[3], v[2], t[2])
		VUNPCKHPS(v[3], v[2], t[3])
		VUNPCKLPD(t[2], t[0], v[0])
		VUNPCKHPD(t[2], t[0], v[1])
		VUNPCKLPD(t[3], t[1], v[2])
		VUNPCKHPD(t[3], t[1], v[3])
		for _, w := range v {
			VMOVUPS(w, Mem{Base: dst})
			ADDQ(dstRow, dst)
		}
	}
	SUBQ(U8(16), cols)
	JZ(LabelRef("end"))
	// How far to go: 16 columns on, or back from there by what 16 are more than
	// are left.
	on, back := GP64(), GP64()
	MOVQ(I32(16), on)
	CMPQ(cols, on)
	CMOVQLT(cols, on)
	LEAQ(Mem{Base: on, Disp: -16}, back)
	SUBQ(back, cols)
	IMULQ(dstRow, back)
	ADDQ(back, dst)
	for i := range p {
		LEAQ(Mem{Base: p[i], Index: on, Scale: 4}, p[i])
	}
	JMP(LabelRef("block"))
	Label("end")
	VZEROUPPER()
	RET()
}
