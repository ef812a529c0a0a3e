package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// moments is two passes: the mean, then the differences from it, whose own mean
// corrects what the first rounded.
func moments(isa ISA) {
	kernel(isa, "moments", "(x []float32) (mean, variance float32)")
	x, s := base("x"), over(isa, "x")
	n, sum := isa.number(s.n), isa.sums(4)
	s.each(4, func(j int, k tail) { VADDPS(s.load(x, k), sum[j], sum[j]) })
	mean := isa.total(sum)
	VDIVPS(n, mean, mean)
	miss, square := isa.sums(2), isa.sums(2)
	s.each(2, func(j int, k tail) {
		d := s.load(x, k)
		VSUBPS(mean, d, d)
		s.clear(d, nil, k)
		VADDPS(d, miss[j], miss[j])
		VFMADD231PS(d, d, square[j])
	})
	corrected(n, mean, isa.total(miss), isa.total(square))
	result("mean", mean)
	result("variance", square[0])
	end()
}

// corrected makes of sums of differences from mean, and of their squares, the
// variance, in square, and the mean. Rounding must not take the variance below
// zero; NaN stays.
func corrected(n, mean, miss, square reg.VecVirtual) {
	VDIVPS(n, miss, miss)
	VDIVPS(n, square, square)
	VFNMADD231PS(miss, miss, square)
	VADDPS(miss, mean, mean)
	VXORPS(miss, miss, miss)
	VMAXPS(square, miss, square)
}

// columnMoments is moments of each column, a register of columns at a time.
func columnMoments(isa ISA) {
	kernel(isa, "columnMoments", "(x []float32, rows int, mean, variance []float32)")
	x, means, variances, s := base("x"), base("mean"), base("variance"), over(isa, "mean")
	rows := Load(Param("rows"), GP64()).(reg.GPVirtual)
	n, stride := isa.number(rows), GP64()
	MOVQ(s.n, stride)
	SHLQ(U8(2), stride)
	p, left := GP64(), GP64()
	s.each(1, func(_ int, k tail) {
		down := func(f func(v reg.VecVirtual)) {
			name := s.next("row")
			MOVQ(x, p)
			MOVQ(rows, left)
			Label(name)
			f(s.load(p, k))
			ADDQ(stride, p)
			DECQ(left)
			JNZ(LabelRef(name))
		}
		sum := isa.sums(3)
		mean, miss, square := sum[0], sum[1], sum[2]
		down(func(v reg.VecVirtual) { VADDPS(v, mean, mean) })
		VDIVPS(n, mean, mean)
		down(func(v reg.VecVirtual) {
			VSUBPS(mean, v, v)
			VADDPS(v, miss, miss)
			VFMADD231PS(v, v, square)
		})
		corrected(n, mean, miss, square)
		s.store(mean, means, k)
		s.store(square, variances, k)
	})
	end()
}

// normalise is (x-mean)·rstd·gamma + beta.
func normalise(isa ISA) {
	kernel(isa, "normalise", "(dst, src []float32, mean, rstd float32, gamma, beta []float32)")
	dst, src, gamma, beta, s := base("dst"), base("src"), base("gamma"), base("beta"), over(isa, "src")
	mean, rstd := isa.argument("mean"), isa.argument("rstd")
	s.each(1, func(_ int, k tail) {
		x, b := s.load(src, k), s.load(beta, k)
		VSUBPS(mean, x, x)
		VMULPS(rstd, x, x)
		VFMADD231PS(s.load(gamma, k), x, b)
		s.store(b, dst, k)
	})
	end()
}

// normaliseGrad adds to dgamma and dbeta in the first pass, which finds the means
// of g = dy·gamma and of g·h, h the normalised x, that the second needs.
func normaliseGrad(isa ISA) {
	kernel(isa, "normaliseGrad", "(dx, dy, x []float32, mean, rstd float32, gamma, dgamma, dbeta []float32)")
	dx, dy, x, s := base("dx"), base("dy"), base("x"), over(isa, "x")
	gamma, dgamma, dbeta := base("gamma"), base("dgamma"), base("dbeta")
	mean, rstd := isa.argument("mean"), isa.argument("rstd")
	n, g, gh := isa.number(s.n), isa.sums(1), isa.sums(1)
	hat := func(k tail) reg.VecVirtual {
		h := s.load(x, k)
		VSUBPS(mean, h, h)
		VMULPS(rstd, h, h)
		s.clear(h, nil, k) // may be Inf where there is no x
		return h
	}
	s.each(1, func(_ int, k tail) {
		h, d := hat(k), s.load(dy, k)
		scale, shift := s.load(dgamma, k), s.load(dbeta, k)
		VFMADD231PS(d, h, scale)
		VADDPS(d, shift, shift)
		s.store(scale, dgamma, k)
		s.store(shift, dbeta, k)
		// Lanes that do not count have no dy.
		VMULPS(s.load(gamma, k), d, d)
		VADDPS(d, g[0], g[0])
		VFMADD231PS(d, h, gh[0])
	})
	for _, sum := range []reg.VecVirtual{isa.total(g), isa.total(gh)} {
		VDIVPS(n, sum, sum)
	}
	s.each(1, func(_ int, k tail) {
		h, d := hat(k), s.load(dy, k)
		VFMSUB132PS(s.load(gamma, k), g[0], d)
		VFNMADD231PS(h, gh[0], d)
		VMULPS(rstd, d, d)
		s.store(d, dx, k)
	})
	end()
}

func mulAdd(isa ISA) {
	kernel(isa, "mulAdd", "(dst, a, b, c []float32)")
	dst, a, b, c, s := base("dst"), base("a"), base("b"), base("c"), over(isa, "dst")
	s.each(1, func(_ int, k tail) {
		v := s.load(c, k)
		VFMADD231PS(s.load(a, k), s.load(b, k), v)
		s.store(v, dst, k)
	})
	end()
}
