package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// float is the dot product or squared distance of a float32 query and float32
// or binary16 rows. Row r, block u accumulates in register 2r+u; register 10+r
// is for row r's passing values.
type float struct {
	isa      ISA
	l2, half bool
}

func (f *float) ISA() ISA { return f.isa }

func (f *float) Name() (verb, kind string) {
	verb = "dot"
	if f.l2 {
		verb = "l2"
	}
	if f.half {
		kind = "Half"
	}
	return verb, kind
}

func (f *float) Types() (q, row, pair, list string, qsize, rowsize int) {
	if f.half {
		return "float32", "uint16", "float32", "float32", 4, 2
	}
	return "float32", "float32", "float32", "float32", 4, 4
}

func (f *float) Blocks() (w, u int) { return int(f.isa) / 4, 2 }

func (f *float) Const(*body) {}

func (f *float) Start(r int) {
	f.isa.zero(2 * r)
	f.isa.zero(2*r + 1)
}

func (f *float) Query(m Mem, u int, k *mask) {
	q := f.isa.Vec(8 + u)
	switch {
	case k == nil:
		VMOVUPS(m, q)
	case k.k != nil:
		VMOVUPS_Z(m, k.k, q)
	default:
		VMOVUPS(m, q)
		VANDPS(k.v, q, q)
	}
}

func (f *float) Row(m Mem, r, u int, k *mask) {
	acc, q, t := f.isa.Vec(2*r+u), f.isa.Vec(8+u), f.isa.Vec(10+r)
	var x Op = m
	switch {
	case f.half && k != nil && k.k != nil:
		y := Y(10 + r)
		VMOVDQU16_Z(m, k.k, y)
		VCVTPH2PS(y, t)
		x = t
	case f.half:
		VCVTPH2PS(m, t)
		x = t
	case k != nil && k.k != nil:
		VMOVUPS_Z(m, k.k, t)
		x = t
	}
	if k != nil && k.v != nil && !f.half {
		VMOVUPS(m, t)
		x = t
	}
	if k != nil && k.v != nil {
		VANDPS(k.v, t, t)
	}
	if f.l2 {
		VSUBPS(x, q, t)
		x, q = t, t
	}
	VFMADD231PS(x, q, acc)
}

func (f *float) Fold(n int, _ bool) {
	for r := range n {
		VADDPS(f.isa.Vec(2*r+1), f.isa.Vec(2*r), f.isa.Vec(2*r))
	}
	foldFloats(f.isa, n, 2)
}

// foldFloats sums the lanes of registers 0, gap, 2·gap …: n sums in X0. The
// order of additions is the same for one as for four.
func foldFloats(isa ISA, n, gap int) {
	for r := range n {
		if isa == AVX512 {
			VEXTRACTF64X4(U8(1), isa.Vec(gap*r), Y(10+r))
			VADDPS(Y(10+r), Y(gap*r), Y(gap*r))
		}
		VEXTRACTF128(U8(1), Y(gap*r), X(10+r))
		VADDPS(X(10+r), X(gap*r), X(gap*r))
	}
	pairs(n, gap, func(a, b, c reg.Register) { VHADDPS(a, b, c) })
}

// pairs adds neighbouring lanes of X0, X(gap), … twice, so that lane r of X0 is
// the sum of register r's.
func pairs(n, gap int, hadd func(hi, lo, dst reg.Register)) {
	if n == 1 {
		hadd(X(0), X(0), X(0))
		hadd(X(0), X(0), X(0))
		return
	}
	hadd(X(gap), X(0), X(0))
	hadd(X(3*gap), X(2*gap), X(2*gap))
	hadd(X(2*gap), X(0), X(0))
}
