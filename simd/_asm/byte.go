package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// bytes is the dot product or squared distance of 8-bit integers.
//
// AVX2 widens to 16 bits and lets VPMADDWD add products in pairs. AVX-512 has
// VPDPBUSD, which adds four products of an unsigned and a signed byte to a
// 32-bit lane, so the other signedness takes a correction:
//
//	s8·s8: Σ (r+128)·q - 128·Σq, where r+128 is r xor 0x80
//	u8·u8: Σ q·(r-128) + 128·Σq, where r-128 is r xor 0x80
//	d²:    Σ d·(d-128) + 128·Σd, where d is |q-r|, unsigned
//
// The first two corrections depend on the query only: accumulators start with
// them. All sums are modulo 2³².
//
// Row r accumulates in register 2r, and Σd in 2r+1; 10+r and 16+r are for
// passing values; 9 is the start of an accumulator, 14 holds 0x80 and 15 ones.
type bytes struct {
	isa        ISA
	l2, signed bool
	max, min   func(...Op)
}

func newBytes(isa ISA, l2, signed bool) *bytes {
	b := &bytes{isa: isa, l2: l2, signed: signed, max: VPMAXUB, min: VPMINUB}
	if signed {
		b.max, b.min = VPMAXSB, VPMINSB
	}
	return b
}

func (o *bytes) ISA() ISA { return o.isa }

func (o *bytes) Name() (verb, kind string) {
	verb, kind = "dot", "U8"
	if o.l2 {
		verb = "l2"
	}
	if o.signed {
		kind = "I8"
	}
	return verb, kind
}

func (o *bytes) Types() (q, row, pair, list string, qsize, rowsize int) {
	if o.signed {
		return "int8", "int8", "int32", "int32", 1, 1
	}
	return "uint8", "uint8", "int32", "int32", 1, 1
}

func (o *bytes) Blocks() (w, u int) {
	if o.isa == AVX512 {
		return 64, 1
	}
	return 16, 1
}

func (o *bytes) Const(b *body) {
	if o.isa == AVX2 {
		return
	}
	o.isa.broadcast(14, 0x80)
	o.isa.broadcast(15, 1)
	if o.l2 {
		return
	}
	q, flip, ones, start := o.isa.Vec(8), o.isa.Vec(14), o.isa.Vec(15), o.isa.Vec(9)
	o.isa.zero(9)
	b.blocks(nil, nil, func(at Mem, u int, k *mask) {
		at.Base, at.Scale = b.q, 1
		o.Query(at, u, k)
		if o.signed {
			VPDPBUSD(q, flip, start)
		} else {
			VPDPBUSD(ones, q, start)
		}
	})
	if o.signed {
		o.isa.zero(10)
		VPSUBD(start, o.isa.Vec(10), start)
	} else {
		VPSLLD(U8(7), start, start)
	}
}

func (o *bytes) Start(r int) {
	switch {
	case o.isa == AVX2:
		o.isa.zero(2 * r)
	case o.l2:
		o.isa.zero(2 * r)
		o.isa.zero(2*r + 1)
	default:
		VMOVDQA32(o.isa.Vec(9), o.isa.Vec(2*r))
	}
}

// widen loads 16 bytes as 16-bit integers.
func (o *bytes) widen(m Mem, dst reg.Register) {
	if o.signed {
		VPMOVSXBW(m, dst)
	} else {
		VPMOVZXBW(m, dst)
	}
}

func (o *bytes) Query(m Mem, _ int, k *mask) {
	q := o.isa.Vec(8)
	switch {
	case o.isa == AVX2:
		o.widen(m, q)
		if k != nil && !o.l2 {
			VPAND(k.v, q, q)
		}
	case k == nil:
		VMOVDQU8(m, q)
	default:
		VMOVDQU8_Z(m, k.k, q)
	}
}

func (o *bytes) Row(m Mem, r, _ int, k *mask) {
	acc, q, t := o.isa.Vec(2*r), o.isa.Vec(8), o.isa.Vec(10+r)
	if o.isa == AVX2 {
		o.widen(m, t)
		if o.l2 {
			VPSUBW(t, q, t)
			if k != nil {
				VPAND(k.v, t, t)
			}
			q = t
		}
		VPMADDWD(t, q, t)
		VPADDD(t, acc, acc)
		return
	}
	flip, ones := o.isa.Vec(14), o.isa.Vec(15)
	var x Op = m
	if k != nil {
		VMOVDQU8_Z(m, k.k, t)
		x = t
	}
	if !o.l2 {
		VPXORD(x, flip, t)
		if o.signed {
			VPDPBUSD(q, t, acc)
		} else {
			VPDPBUSD(t, q, acc)
		}
		return
	}
	e := o.isa.Vec(16 + r)
	o.max(x, q, e)
	o.min(x, q, t)
	VPSUBB(t, e, t)
	VPXORD(t, flip, e)
	VPDPBUSD(e, t, acc)
	VPDPBUSD(ones, t, o.isa.Vec(2*r+1))
}

func (o *bytes) Fold(n int, _ bool) {
	if o.isa == AVX512 && o.l2 {
		for r := range n {
			VPSLLD(U8(7), o.isa.Vec(2*r+1), o.isa.Vec(2*r+1))
			VPADDD(o.isa.Vec(2*r+1), o.isa.Vec(2*r), o.isa.Vec(2*r))
		}
	}
	foldInts(o.isa, n, 2)
}

// foldInts sums the 32-bit lanes of registers 0, gap, 2·gap …: n sums in X0. The
// same holds for 64-bit lanes below 2³².
func foldInts(isa ISA, n, gap int) {
	fold(isa, n, gap, func(a, b, c Op) { VPADDD(a, b, c) })
}

// VPDPBUSD adds to each 32-bit lane of acc four products of an unsigned and a
// signed byte. avo v0.5.0 does not know it; the Go assembler does.
func VPDPBUSD(signed Op, unsigned, acc reg.Register) {
	operands := []Op{signed, unsigned, acc}
	Instruction(&ir.Instruction{Opcode: "VPDPBUSD", Operands: operands, Inputs: operands, Outputs: []Op{acc}})
}
