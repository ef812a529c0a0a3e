package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// plain is a float op used for its query half only: kernels over one or two
// float32 vectors that are not distances.
func plain(isa ISA, param string) *body { return begin(&float{isa: isa}, param) }

// at places a block of elements of the given size at base.
func at(m Mem, base reg.Register, size int) Mem {
	return Mem{Base: base, Index: m.Index, Scale: uint8(size), Disp: m.Disp * size}
}

// cosine keeps Σab in registers 0-1, Σaa in 2-3 and Σbb in 4-5.
func cosine(isa ISA) {
	TEXT("cosine"+isa.Suffix(), 4, "func(a, b []float32) (dot, aa, bb float32)")
	Pragma("noescape")
	b := plain(isa, "a")
	other := Load(Param("b").Base(), GP64())
	for r := range 6 {
		isa.zero(r)
	}
	load := func(m Mem, v reg.Register, k *mask) {
		if k != nil && k.k != nil {
			VMOVUPS_Z(m, k.k, v)
			return
		}
		VMOVUPS(m, v)
		if k != nil {
			VANDPS(k.v, v, v)
		}
	}
	b.blocks(nil, nil, func(m Mem, u int, k *mask) {
		x, y := isa.Vec(8+u), isa.Vec(10+u)
		load(at(m, b.q, 4), x, k)
		load(at(m, other, 4), y, k)
		VFMADD231PS(y, x, isa.Vec(u))
		VFMADD231PS(x, x, isa.Vec(2+u))
		VFMADD231PS(y, y, isa.Vec(4+u))
	})
	for r := range 3 {
		VADDPS(isa.Vec(2*r+1), isa.Vec(2*r), isa.Vec(2*r))
	}
	isa.zero(6)
	foldFloats(isa, 4, 2)
	Store(reg.X0, Return("dot"))
	VPSRLDQ(U8(4), X(0), X(1))
	Store(reg.X1, Return("aa"))
	VPSRLDQ(U8(8), X(0), X(1))
	Store(reg.X1, Return("bb"))
	VZEROUPPER()
	RET()
}

func axpy(isa ISA) {
	TEXT("axpy"+isa.Suffix(), 4, "func(alpha float32, x, y []float32)")
	Pragma("noescape")
	b := plain(isa, "x")
	y := Load(Param("y").Base(), GP64())
	alpha := isa.Vec(13)
	mem, err := Param("alpha").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(mem.Addr, alpha)
	if isa == AVX2 {
		// The last elements would be added to twice if the last block
		// overlapped: it is a masked load and store of the first lanes.
		rem, table := GP64(), GP64()
		MOVQ(b.dim, rem)
		NEGQ(rem)
		ANDQ(U32(7), rem)
		LEAQ(maskTable, table)
		VMOVDQU(Mem{Base: table, Index: rem, Scale: 4, Disp: 32}, reg.Y14)
	}
	step := func(m Mem, u int, k reg.Register) {
		v, w := isa.Vec(8+u), isa.Vec(10+u)
		px, py := at(m, b.q, 4), at(m, y, 4)
		switch {
		case k == nil:
			VMOVUPS(px, v)
			VMOVUPS(py, w)
			VFMADD231PS(alpha, v, w)
			VMOVUPS(w, py)
		case isa == AVX512:
			VMOVUPS_Z(px, k, v)
			VMOVUPS_Z(py, k, w)
			VFMADD231PS(alpha, v, w)
			VMOVUPS(w, k, py)
		default:
			VMASKMOVPS(px, k, v)
			VMASKMOVPS(py, k, w)
			VFMADD231PS(alpha, v, w)
			VMASKMOVPS(w, k, py)
		}
	}
	if isa == AVX512 {
		b.blocks(nil, nil, func(m Mem, u int, k *mask) {
			if k == nil {
				step(m, u, nil)
			} else {
				step(m, u, k.k)
			}
		})
	} else {
		last := GP64()
		XORQ(b.i, b.i)
		MOVQ(b.dim, last)
		ANDQ(I32(-8), last)
		CMPQ(b.i, last)
		JGE(LabelRef("tail"))
		Label("loop")
		step(Mem{Index: b.i}, 0, nil)
		ADDQ(U8(8), b.i)
		CMPQ(b.i, last)
		JL(LabelRef("loop"))
		Label("tail")
		CMPQ(b.i, b.dim)
		JGE(LabelRef("end"))
		step(Mem{Index: b.i}, 0, reg.Y14)
		Label("end")
	}
	VZEROUPPER()
	RET()
}

func toHalf(isa ISA) {
	TEXT("toHalf"+isa.Suffix(), 4, "func(dst []uint16, src []float32)")
	Pragma("noescape")
	b := plain(isa, "src")
	dst := Load(Param("dst").Base(), GP64())
	b.blocks(nil, nil, func(m Mem, _ int, k *mask) {
		v, h := isa.Vec(8), X(9)
		if isa == AVX512 {
			h = Y(9)
		}
		to := at(m, dst, 2)
		if k != nil && k.k != nil {
			VMOVUPS_Z(at(m, b.q, 4), k.k, v)
			VCVTPS2PH(U8(0), v, h)
			VMOVDQU16(h, k.k, to)
			return
		}
		// A last block that overlaps writes the same values again.
		VMOVUPS(at(m, b.q, 4), v)
		VCVTPS2PH(U8(0), v, to)
	})
	VZEROUPPER()
	RET()
}

func fromHalf(isa ISA) {
	TEXT("fromHalf"+isa.Suffix(), 4, "func(dst []float32, src []uint16)")
	Pragma("noescape")
	b := plain(isa, "src")
	dst := Load(Param("dst").Base(), GP64())
	b.blocks(nil, nil, func(m Mem, _ int, k *mask) {
		v := isa.Vec(8)
		from, to := at(m, b.q, 2), at(m, dst, 4)
		if k != nil && k.k != nil {
			VMOVDQU16_Z(from, k.k, Y(8))
			VCVTPH2PS(Y(8), v)
			VMOVUPS(v, k.k, to)
			return
		}
		VCVTPH2PS(from, v)
		VMOVUPS(v, to)
	})
	VZEROUPPER()
	RET()
}

// largest keeps maxima in registers 0 and 1. Elements counted twice do no harm.
func largest(isa ISA) {
	TEXT("largest"+isa.Suffix(), 4, "func(ids []uint32) uint32")
	Pragma("noescape")
	b := plain(isa, "ids")
	isa.zero(0)
	isa.zero(1)
	b.blocks(nil, nil, func(m Mem, u int, k *mask) {
		var x Op = at(m, b.q, 4)
		if k != nil && k.k != nil {
			VMOVDQU32_Z(x, k.k, isa.Vec(8))
			x = isa.Vec(8)
		}
		VPMAXUD(x, isa.Vec(u), isa.Vec(u))
	})
	VPMAXUD(isa.Vec(1), isa.Vec(0), isa.Vec(0))
	fold(isa, 1, 1, func(a, b, c Op) { VPMAXUD(a, b, c) })
	t := GP32()
	VMOVD(reg.X0, t)
	Store(t, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// probe reads whole runs of eight registers; the Go side takes the rest.
func probe(isa ISA) {
	TEXT("probe"+isa.Suffix(), 4, "func(x []float32) float32")
	Doc("probe" + isa.Suffix() + " reads len(x) rounded down to a multiple of 128 elements.")
	Pragma("noescape")
	p := Load(Param("x").Base(), GP64())
	n := Load(Param("x").Len(), GP64())
	xor := func(a, b Op, c reg.Register) {
		if isa == AVX512 {
			VPXORD(a, b, c)
		} else {
			VPXOR(a, b, c)
		}
	}
	for r := range 8 {
		isa.zero(r)
	}
	SHRQ(U8(7), n)
	JZ(LabelRef("end"))
	Label("loop")
	for j := 0; j < 512; j += int(isa) {
		r := isa.Vec(j / int(isa) % 8)
		xor(Mem{Base: p, Disp: j}, r, r)
		if j%64 == 0 {
			PREFETCHT0(Mem{Base: p, Disp: j + 2048})
		}
	}
	ADDQ(U32(512), p)
	DECQ(n)
	JNZ(LabelRef("loop"))
	Label("end")
	for r := 1; r < 8; r++ {
		xor(isa.Vec(r), isa.Vec(0), isa.Vec(0))
	}
	if isa == AVX512 {
		VEXTRACTI64X4(U8(1), isa.Vec(0), Y(1))
		VPXOR(Y(1), Y(0), Y(0))
	}
	VEXTRACTI128(U8(1), Y(0), X(1))
	VPXOR(X(1), X(0), X(0))
	for _, n := range []uint64{8, 4} {
		VPSRLDQ(U8(n), X(0), X(1))
		VPXOR(X(1), X(0), X(0))
	}
	Store(reg.X0, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
