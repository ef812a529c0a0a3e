package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/gotypes"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// hops writes what a walk of a graph needs beside distances: fetching ahead, which
// every amd64 CPU has, and the codes of vectors.
func hops() {
	fetch()
	fetchRows()
	place()
	admit()
	for _, isa := range []ISA{AVX2, AVX512} {
		spans(isa)
		quantises(isa)
	}
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
// whose byte of seen is epoch; see byCache. Which those are is hard to foretell, so spare lists them without
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
	byCache("first", "more", width, 1, 0, func(fetch fetcher, name string) {
		Label("line" + name)
		fetch(Mem{Base: p})
		ADDQ(U8(64), p)
		CMPQ(p, last)
		JB(LabelRef("line" + name))
	})
	Label("more")
	SUBQ(U8(1), m)
	JAE(LabelRef("row"))
	RET()
}

// place counts the pairs of a float32 and four other bytes whose float32 is no more
// than d, eight at a time: of a few hundred, that takes less time than the wrong
// guesses of a binary search.
func place() {
	TEXT("placeAVX512", 4, "func(e *uint8, n int, d float32) int")
	Pragma("noescape")
	const atLeast = 13 // VCMPPS: not less, ordered
	p := Load(Param("e"), GP64()).(reg.GPVirtual)
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
	d, err := Param("d").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(d.Addr, reg.Z0)
	even, m, at := GP32(), GP32(), GP64()
	MOVL(U32(0x5555), even)
	XORQ(at, at)
	SUBQ(U8(8), n)
	JL(LabelRef("tail"))
	loop("loop")
	VCMPPS(U8(atLeast), Mem{Base: p}, reg.Z0, reg.K1)
	KMOVW(reg.K1, m)
	ANDL(even, m)
	POPCNTL(m, m)
	ADDQ(m.As64(), at)
	ADDQ(U8(64), p)
	SUBQ(U8(8), n)
	JGE(LabelRef("loop"))
	Label("tail")
	ADDQ(U8(8), n)
	ADDQ(n, n)
	BZHIL(n.As32(), even, even)
	KMOVW(even, reg.K2)
	VMOVUPS_Z(Mem{Base: p}, reg.K2, reg.Z1)
	VCMPPS(U8(atLeast), reg.Z1, reg.Z0, reg.K2, reg.K1)
	KMOVW(reg.K1, m)
	POPCNTL(m, m)
	ADDQ(m.As64(), at)
	Store(at, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// Registers of spans and quantises: 0-4 accumulate, 8-12 hold constants, 13-15
// pass values.

// reduce folds the lanes of register n to the first.
func reduce(isa ISA, n int, op func(a, b, c Op)) {
	if isa == AVX512 {
		VEXTRACTF64X4(U8(1), isa.Vec(n), Y(15))
		op(Y(15), Y(n), Y(n))
	}
	VEXTRACTF128(U8(1), Y(n), X(15))
	op(X(15), X(n), X(n))
	for _, bytes := range []uint64{8, 4} {
		VPSRLDQ(U8(bytes), X(n), X(15))
		op(X(15), X(n), X(n))
	}
}

func floatMin(a, b, c Op) { VMINPS(a, b, c) }
func floatMax(a, b, c Op) { VMAXPS(a, b, c) }
func floatAdd(a, b, c Op) { VADDPS(a, b, c) }
func intAdd(a, b, c Op)   { VPADDD(a, b, c) }
func either(a, b, c Op)   { VPOR(a, b, c) }

// either13 adds the bits of register 13 to those of register n.
func either13(isa ISA, n int) {
	if isa == AVX512 {
		VPORD(isa.Vec(13), isa.Vec(n), isa.Vec(n))
	} else {
		VPOR(isa.Vec(13), isa.Vec(n), isa.Vec(n))
	}
}

// spans is the least and the largest element, and the bits of what rounding
// towards zero takes from each.
func spans(isa ISA) {
	TEXT("span"+isa.Suffix(), 4, "func(v []float32) (lo, hi float32, parts uint32)")
	Doc("span" + isa.Suffix() + " reads len(v) rounded down to a multiple of 16 elements, which must not be 0.")
	Pragma("noescape")
	p := Load(Param("v").Base(), GP64()).(reg.GPVirtual)
	n := Load(Param("v").Len(), GP64()).(reg.GPVirtual)
	ANDQ(I8(-16), n)
	end := GP64()
	LEAQ(Mem{Base: p, Index: n, Scale: 4}, end)
	lo, hi, x, t := isa.Vec(0), isa.Vec(1), isa.Vec(14), isa.Vec(13)
	VBROADCASTSS(Mem{Base: p}, lo)
	VBROADCASTSS(Mem{Base: p}, hi)
	isa.zero(4)
	loop("loop")
	VMOVUPS(Mem{Base: p}, x)
	VMINPS(x, lo, lo)
	VMAXPS(x, hi, hi)
	VCVTTPS2DQ(x, t)
	VCVTDQ2PS(t, t)
	VSUBPS(t, x, t)
	either13(isa, 4)
	ADDQ(U8(isa), p)
	CMPQ(p, end)
	JB(LabelRef("loop"))
	reduce(isa, 0, floatMin)
	reduce(isa, 1, floatMax)
	reduce(isa, 4, either)
	Store(X(0), Return("lo"))
	Store(X(1), Return("hi"))
	parts := GP32()
	VMOVD(X(4), parts)
	Store(parts, Return("parts"))
	VZEROUPPER()
	RET()
}

// quantises is the codes of a vector and what they miss.
func quantises(isa ISA) {
	TEXT("quantise"+isa.Suffix(), 4, "func(codes []uint8, v []float32, k *[5]float32) (sum, square int32, err float32, bits uint32)")
	Doc("quantise" + isa.Suffix() + " takes len(v) rounded down to a multiple of 16 elements, which must not be 0.")
	Pragma("noescape")
	dst := Load(Param("codes").Base(), GP64()).(reg.GPVirtual)
	p := Load(Param("v").Base(), GP64()).(reg.GPVirtual)
	n := Load(Param("v").Len(), GP64()).(reg.GPVirtual)
	k := Load(Param("k"), GP64())
	ANDQ(I8(-16), n)
	end := GP64()
	LEAQ(Mem{Base: p, Index: n, Scale: 4}, end)
	offset, scale, inv, lo, hi := isa.Vec(8), isa.Vec(9), isa.Vec(10), isa.Vec(11), isa.Vec(12)
	for i := range 5 {
		VBROADCASTSS(Mem{Base: k, Disp: 4 * i}, isa.Vec(8+i))
	}
	sum, square, err := isa.Vec(0), isa.Vec(1), isa.Vec(2)
	for i := range 4 {
		isa.zero(i)
	}
	x, c, y := isa.Vec(14), isa.Vec(15), isa.Vec(13)
	if isa == AVX2 {
		// The low byte of each lane, in the first four.
		low := GP32()
		MOVL(U32(0x0c080400), low)
		VMOVD(low, X(5))
		VPBROADCASTD(X(5), Y(5))
	}
	loop("loop")
	VMOVUPS(Mem{Base: p}, x)
	VSUBPS(offset, x, y)
	VMULPS(inv, y, y)
	VMAXPS(lo, y, y)
	VMINPS(hi, y, y)
	VCVTPS2DQ(y, c)
	VCVTDQ2PS(c, y)
	VMULPS(scale, y, y)
	VADDPS(y, offset, y)
	VSUBPS(y, x, y)
	VFMADD231PS(y, y, err)
	either13(isa, 3)
	VPADDD(c, sum, sum)
	VPMULLD(c, c, x)
	VPADDD(x, square, square)
	if isa == AVX512 {
		VPMOVDB(c, X(14))
		VMOVDQU(X(14), Mem{Base: dst})
	} else {
		VPSHUFB(Y(5), c, c)
		VEXTRACTI128(U8(1), Y(15), X(14))
		VPUNPCKLDQ(X(14), X(15), X(15))
		VMOVQ(X(15), Mem{Base: dst})
	}
	ADDQ(U8(isa), p)
	ADDQ(U8(isa/4), dst)
	CMPQ(p, end)
	JB(LabelRef("loop"))
	reduce(isa, 0, intAdd)
	reduce(isa, 1, intAdd)
	reduce(isa, 2, floatAdd)
	reduce(isa, 3, either)
	for i, name := range []string{"sum", "square"} {
		t := GP32()
		VMOVD(X(i), t)
		Store(t, Return(name))
	}
	Store(X(2), Return("err"))
	bits := GP32()
	VMOVD(X(3), bits)
	Store(bits, Return("bits"))
	VZEROUPPER()
	RET()
}
