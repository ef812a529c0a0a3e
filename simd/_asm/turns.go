package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// turns writes the sines and cosines of src·x turns. What is left after the nearest
// quarter turn is within π/4, where two polynomials serve; the quarter says which of
// them is the sine, and the signs. turns.go of the package has the meaning.
func turns(isa ISA) {
	kernel(isa, "turns", "(sin, cos, src []float32, x float32)")
	sin, cos, src, s := base("sin"), base("cos"), base("src"), over(isa, "src")
	x := isa.argument("x")
	c := func(v float32) Op { return isa.constant(v) }
	four, round, quarter, tau, one := isa.fixed(4), isa.fixed(1.5*(1<<23)), c(0.25), c(2*math.Pi), c(1)
	first, sign := c(math.Float32frombits(1)), c(math.Float32frombits(1<<31))
	var sins, coss []Op
	for _, v := range []float32{-1.6666655e-1, 8.3321609e-3, -1.9515296e-4} {
		sins = append(sins, c(v))
	}
	for _, v := range []float32{-0.5, 4.1666646e-2, -1.3887316e-3, 2.4433157e-5} {
		coss = append(coss, c(v))
	}
	and, xor := func(a Op, b, d reg.VecVirtual) { VPAND(a, b, d) }, func(a Op, b, d reg.VecVirtual) { VPXOR(a, b, d) }
	if isa == AVX512 {
		and, xor = func(a Op, b, d reg.VecVirtual) { VPANDD(a, b, d) }, func(a Op, b, d reg.VecVirtual) { VPXORD(a, b, d) }
	}
	s.each(1, func(_ int, k tail) {
		r := s.load(src, k)
		VMULPS(x, r, r)
		q, z := isa.copied(round), isa.vec()
		VFMADD231PS(four, r, q)
		VSUBPS(round, q, z)
		VFNMADD231PS(quarter, z, r)
		VMULPS(tau, r, r)
		VMULPS(r, r, z)
		a, b := horner(isa, z, sins), horner(isa, z, coss)
		VMULPS(z, a, a)
		VFMADD213PS(r, r, a)   // r + r·z·P
		VFMADD213PS(one, z, b) // 1 + z·Q
		up, down := isa.vec(), isa.vec()
		if isa == AVX512 {
			odd := K()
			VPTESTMD(first, q, odd)
			VBLENDMPS(b, a, odd, up)
			VBLENDMPS(a, b, odd, down)
		} else {
			odd := isa.vec()
			VPSLLD(U8(31), q, odd)
			VBLENDVPS(odd, b, a, up)
			VBLENDVPS(odd, a, b, down)
		}
		t := isa.vec()
		VPSLLD(U8(30), q, t)
		and(sign, t, t)
		xor(t, up, up)
		VPADDD(first, q, q)
		VPSLLD(U8(30), q, q)
		and(sign, q, q)
		xor(q, down, down)
		s.store(up, sin, k)
		s.store(down, cos, k)
	})
	end()
}
