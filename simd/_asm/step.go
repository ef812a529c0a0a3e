package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// coefficient is element i of k in every lane.
func (i ISA) coefficient(k reg.Register, at int) reg.VecVirtual {
	r := i.vec()
	VBROADCASTSS(Mem{Base: k, Disp: 4 * at}, r)
	return r
}

// sgd is w - lr·(g + decay·w).
func sgd(isa ISA) {
	kernel(isa, "sgd", "(w, g []float32, lr, decay float32)")
	w, g, s := base("w"), base("g"), over(isa, "w")
	lr, decay := isa.argument("lr"), isa.argument("decay")
	s.each(1, func(_ int, k tail) {
		x, d := s.load(w, k), s.load(g, k)
		VFMADD231PS(x, decay, d)
		VFNMADD231PS(d, lr, x)
		s.store(x, w, k)
	})
	end()
}

// adam has the coefficients in the order of the Go constants.
func adam(isa ISA) {
	kernel(isa, "adam", "(w, g, m, v, k []float32)")
	w, g, m, v, s := base("w"), base("g"), base("m"), base("v"), over(isa, "w")
	p := base("k")
	var c [8]reg.VecVirtual
	for i := range c {
		c[i] = isa.coefficient(p, i)
	}
	keep, decay, first, second, fresh, root, eps, rate := c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
	s.each(1, func(_ int, k tail) {
		x, d := s.load(w, k), s.load(g, k)
		VFMADD231PS(x, decay, d)
		a, b := s.load(m, k), s.load(v, k)
		t := isa.vec()
		VSUBPS(a, d, t)
		VFMADD231PS(t, first, a)
		s.store(a, m, k)
		VMULPS(d, d, d)
		VMULPS(second, b, b)
		VFMADD231PS(d, fresh, b)
		s.store(b, v, k)
		VSQRTPS(b, b)
		VFMADD213PS(eps, root, b)
		VMULPS(rate, a, a)
		VDIVPS(b, a, a)
		VFMSUB213PS(a, keep, x)
		s.store(x, w, k)
	})
	end()
}

// adagrad is w - lr·g/(√s + eps) of s + g².
func adagrad(isa ISA) {
	kernel(isa, "adagrad", "(w, g, sum []float32, lr, eps float32)")
	w, g, sum, s := base("w"), base("g"), base("sum"), over(isa, "w")
	lr, eps := isa.argument("lr"), isa.argument("eps")
	s.each(1, func(_ int, k tail) {
		x, d, a := s.load(w, k), s.load(g, k), s.load(sum, k)
		VFMADD231PS(d, d, a)
		s.store(a, sum, k)
		VSQRTPS(a, a)
		VADDPS(eps, a, a)
		VMULPS(lr, d, d)
		VDIVPS(a, d, d)
		VSUBPS(d, x, x)
		s.store(x, w, k)
	})
	end()
}
