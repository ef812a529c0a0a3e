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

// foldFloats sums the lanes of registers 0, gap, 2·gap …: n sums in X0.
func foldFloats(isa ISA, n, gap int) {
	fold(isa, n, gap, func(a, b, c Op) { VADDPS(a, b, c) })
}

// fold sums the 32-bit lanes of registers 0, gap, 2·gap …: n sums in X0. It adds
// lanes two apart, then those next to each other, then the halves of what is
// left, in this order for four registers as for one. Of four, the lanes of two
// stand side by side, so that a sum of both takes one addition. 10 and 11 are
// for passing values.
func fold(isa ISA, n, gap int, add func(a, b, c Op)) {
	v, t, u := func(r int) reg.VecPhysical { return isa.Vec(gap * r) }, isa.Vec(10), isa.Vec(11)
	if n == 1 {
		VPSHUFD(U8(0x4e), v(0), t)
		add(t, v(0), v(0))
		VPSHUFD(U8(0xb1), v(0), t)
		add(t, v(0), v(0))
	} else {
		VUNPCKLPS(v(1), v(0), t)
		VUNPCKHPS(v(1), v(0), u)
		add(u, t, t)
		VUNPCKLPS(v(3), v(2), u)
		VUNPCKHPS(v(3), v(2), v(1))
		add(v(1), u, u)
		VUNPCKLPD(u, t, v(0))
		VUNPCKHPD(u, t, v(1))
		add(v(1), v(0), v(0))
	}
	if isa == AVX512 {
		VEXTRACTI64X4(U8(1), v(0), Y(10))
		add(Y(10), Y(0), Y(0))
	}
	VEXTRACTI128(U8(1), Y(0), X(10))
	add(X(10), X(0), X(0))
}
