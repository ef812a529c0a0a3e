package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bits is the Hamming distance of words. AVX-512 counts by VPOPCNTQ, AVX2 by
// looking up nibbles. Row r accumulates 64-bit lanes in register 2r; 10 and 11
// are for passing values; with AVX2, 12 is the table, 13 the nibble mask and 15
// zero.
type bits struct{ isa ISA }

func (o *bits) ISA() ISA                  { return o.isa }
func (o *bits) Name() (verb, kind string) { return "hamming", "" }
func (o *bits) Blocks() (w, u int)        { return int(o.isa) / 8, 1 }

func (o *bits) Types() (q, row, pair, list string, qsize, rowsize int) {
	return "uint64", "uint64", "int", "int32", 8, 8
}

func (o *bits) Const(*body) {
	if o.isa == AVX2 {
		nibbles()
	}
}

// nibbles prepares registers 12, 13 and 15 for count.
func nibbles() {
	t := GP64()
	MOVQ(U64(0x0302020102010100), t) // ones in 0..7
	VMOVQ(t, X(12))
	MOVQ(U64(0x0403030203020201), t) // ones in 8..15
	VPINSRQ(U8(1), t, X(12), X(12))
	VINSERTI128(U8(1), X(12), Y(12), Y(12))
	AVX2.broadcast(13, 0x0f)
	AVX2.zero(15)
}

// count adds the number of ones in each 64-bit lane of register 10 to acc.
func count(isa ISA, acc reg.Register) {
	t := isa.Vec(10)
	if isa == AVX512 {
		VPOPCNTQ(t, t)
	} else {
		ones()
	}
	VPADDQ(t, acc, acc)
}

// ones counts the ones in each 64-bit lane of register 10, with AVX2.
func ones() {
	t, u := Y(10), Y(11)
	VPSRLW(U8(4), t, u)
	VPAND(Y(13), t, t)
	VPAND(Y(13), u, u)
	VPSHUFB(t, Y(12), t)
	VPSHUFB(u, Y(12), u)
	VPADDB(u, t, t)
	VPSADBW(Y(15), t, t)
}

// Count is that of a counter.
func (o *bits) Count(_ *body, m Mem, words int) {
	spread(m, words, 10)
	VPXOR(Y(8), Y(10), Y(10))
	ones()
}

func (o *bits) Start(r int) { o.isa.zero(2 * r) }

func (o *bits) Query(m Mem, _ int, k *mask) {
	q := o.isa.Vec(8)
	switch {
	case k == nil && o.isa == AVX512:
		VMOVDQU64(m, q)
	case k == nil:
		VMOVDQU(m, q)
	case o.isa == AVX512:
		VMOVDQU64_Z(m, k.k, q)
	default:
		k.word(m, 8)
	}
}

func (o *bits) Row(m Mem, r, _ int, k *mask) {
	q, t := o.isa.Vec(8), o.isa.Vec(10)
	switch {
	case o.isa == AVX2 && k == nil:
		VPXOR(m, q, t)
	case o.isa == AVX2:
		k.word(m, 10)
		VPXOR(t, q, t)
	case k != nil:
		VMOVDQU64_Z(m, k.k, t)
		VPXORQ(t, q, t)
	default:
		VPXORQ(m, q, t)
	}
	count(o.isa, o.isa.Vec(2*r))
}

func (o *bits) Fold(n int, wide bool) {
	if wide {
		foldWords(o.isa)
	} else {
		foldInts(o.isa, n, 2)
	}
}

// foldWords sums the 64-bit lanes of register 0 in X0.
func foldWords(isa ISA) {
	if isa == AVX512 {
		VEXTRACTI64X4(U8(1), isa.Vec(0), Y(10))
		VPADDQ(Y(10), Y(0), Y(0))
	}
	VEXTRACTI128(U8(1), Y(0), X(10))
	VPADDQ(X(10), X(0), X(0))
	VPSRLDQ(U8(8), X(0), X(10))
	VPADDQ(X(10), X(0), X(0))
}

func popcount(isa ISA) {
	TEXT("popcount"+isa.Suffix(), 4, "func(a []uint64) int")
	Pragma("noescape")
	o := &bits{isa: isa}
	b := begin(o, "a")
	o.Start(0)
	b.blocks(nil, nil, func(at Mem, u int, k *mask) {
		at.Base, at.Scale, at.Disp = b.q, 8, at.Disp*8
		o.Query(at, u, k)
		if isa == AVX512 {
			VMOVDQA64(isa.Vec(8), isa.Vec(10))
		} else {
			VMOVDQA(Y(8), Y(10))
		}
		count(isa, isa.Vec(0))
	})
	foldWords(isa)
	t := GP64()
	VMOVQ(reg.X0, t)
	Store(t, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
