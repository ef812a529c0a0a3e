package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// ln2 as a sum of two float32: the nearest and what is left, so that with a fused
// x - n·ln2Near every difference of Cody and Waite's reduction is exact (W. J.
// Cody and W. Waite, Software Manual for the Elementary Functions, 1980); and a
// shorter one, for log, whose rest is above zero.
const (
	log2e    = math.Log2E
	ln2Near  = 0x1.62e430p-1
	ln2Rest  = -0x1.05c610p-29
	ln2Short = 0x1.62e400p-1
	ln2Long  = 0x1.7f7d1cp-20
)

// expPoly is P in expm1(r) = r + r²·P(r) for |r| <= ln2/2, lowest power first: the
// minimax of the relative error of the whole, 2⁻³¹·⁹, by Remez's exchange in
// 120-bit arithmetic, then rounded.
var expPoly = []float32{0.5, 0.16666666, 0.041666362, 0.00833339, 0.0013940628, 0.00019845879}

// logPoly is P in log(1+f) = f - f²/2 + f³·P(f) for -1/4 <= f < 1/2, found in the
// same way: 2⁻³⁰.
var logPoly = []float32{0.3333334, -0.25000164, 0.19999605, -0.16655296, 0.1427624, -0.12727778, 0.11700659, -0.091161884, 0.037672915}

// exp is e^x for x that is no more than hi. Below lo, half of the least float32 has
// no bits left; at hi, the scale overflows as it should.
type exp struct {
	isa                    ISA
	lo, hi                 reg.VecVirtual
	log2e, near, rest, one Op
	poly                   []Op
	first                  reg.VecVirtual // of poly, the highest power
	bias                   reg.VecVirtual // 127 in every lane (AVX2)
}

func newExp(isa ISA) *exp { return &exp{isa: isa} }

// reduction loads the constants of reduce.
func (e *exp) reduction() {
	e.log2e, e.near, e.rest = e.isa.constant(log2e), e.isa.constant(ln2Near), e.isa.constant(ln2Rest)
	e.one = e.isa.constant(1)
	e.poly = nil
	for _, c := range expPoly {
		e.poly = append(e.poly, e.isa.constant(c))
	}
	if e.isa == AVX2 {
		e.bias = YMM()
		t := GP32()
		MOVL(U32(127), t)
		VMOVD(t, e.bias.AsX())
		VPBROADCASTD(e.bias.AsX(), e.bias)
	}
}

// reduce makes of x the integer n nearest to x/ln2 and expm1 of the rest.
func (e *exp) reduce(x reg.VecVirtual) (n, q reg.VecVirtual) {
	n = e.isa.vec()
	VMULPS(e.log2e, x, n)
	if e.isa == AVX512 {
		VRNDSCALEPS(U8(8), n, n)
	} else {
		VROUNDPS(U8(8), n, n)
	}
	r := e.isa.copied(x)
	VFNMADD231PS(e.near, n, r)
	VFNMADD231PS(e.rest, n, r)
	q = horner(e.isa, r, e.poly)
	VMULPS(r, q, q)
	VFMADD213PS(r, r, q)
	return n, q
}

// horner is the polynomial at x.
func horner(isa ISA, x reg.VecVirtual, poly []Op) reg.VecVirtual {
	at := len(poly) - 1
	q := isa.copied(poly[at])
	for at--; at >= 0; at-- {
		VFMADD213PS(poly[at], x, q)
	}
	return q
}

// power is 2ⁿ of integers in vector n, within the normal numbers (AVX2).
func (e *exp) power(n reg.VecVirtual) {
	VPADDD(e.bias, n, n)
	VPSLLD(U8(23), n, n)
}

// of is e^x. NaN stays NaN: of a comparison with NaN, VMAXPS gives its first operand.
func (e *exp) of(x reg.VecVirtual) reg.VecVirtual {
	y := e.isa.vec()
	VMAXPS(x, e.lo, y)
	if e.hi != nil {
		VMINPS(y, e.hi, y)
	}
	n, p := e.reduce(y)
	VADDPS(e.one, p, p)
	if e.isa == AVX512 {
		VSCALEFPS(n, p, p)
		return p
	}
	// Two factors, for the exponent of one does not reach.
	half := YMM()
	VCVTPS2DQ(n, n)
	VPSRAD(U8(1), n, half)
	VPSUBD(half, n, n)
	e.power(half)
	e.power(n)
	VMULPS(half, p, p)
	VMULPS(n, p, p)
	return p
}

func (e *exp) apply() func(x reg.VecVirtual) reg.VecVirtual {
	e.reduction()
	e.lo, e.hi = e.isa.fixed(-104), e.isa.fixed(89)
	return e.of
}

// falling is of for x <= 0.
func (e *exp) falling() func(x reg.VecVirtual) reg.VecVirtual {
	e.reduction()
	e.lo = e.isa.fixed(-104)
	return e.of
}

// sigmoid is 1/(1+t), or t/(1+t) for x < 0, of t = e^-|x|: neither overflows, and
// the second is exact to where it underflows.
type sigmoid struct{ exp }

func newSigmoid(isa ISA) *sigmoid { return &sigmoid{exp{isa: isa}} }

func (s *sigmoid) apply() func(x reg.VecVirtual) reg.VecVirtual {
	exp := s.falling()
	sign := s.isa.constant(float32(math.Copysign(0, -1)))
	one := s.isa.fixed(1)
	return func(x reg.VecVirtual) reg.VecVirtual {
		t, num := s.isa.vec(), s.isa.vec()
		VORPS(sign, x, t)
		t = exp(t)
		if s.isa == AVX512 {
			k := K()
			VPMOVD2M(x, k)
			VBLENDMPS(t, one, k, num)
		} else {
			VBLENDVPS(x, t, one, num)
		}
		VADDPS(one, t, t)
		VDIVPS(t, num, num)
		return num
	}
}

// tanh is m/(m+2) of m = expm1(2|x|) = 2ⁿ·expm1(r) + (2ⁿ-1), with the sign of x.
// From 9.02 on it rounds to 1.
type tanh struct{ exp }

func newTanh(isa ISA) *tanh { return &tanh{exp{isa: isa}} }

func (t *tanh) apply() func(x reg.VecVirtual) reg.VecVirtual {
	t.reduction()
	sign := t.isa.fixed(float32(math.Copysign(0, -1)))
	ten, one, two := t.isa.fixed(10), t.isa.fixed(1), t.isa.constant(2)
	return func(x reg.VecVirtual) reg.VecVirtual {
		a, s := t.isa.vec(), t.isa.vec()
		VANDPS(sign, x, s)
		VANDNPS(x, sign, a)
		VMINPS(a, ten, a)
		VADDPS(a, a, a)
		n, m := t.reduce(a)
		scale := t.isa.vec()
		if t.isa == AVX512 {
			VSCALEFPS(n, one, scale)
		} else {
			VCVTPS2DQ(n, scale)
			t.power(scale)
		}
		less := t.isa.vec()
		VSUBPS(one, scale, less)
		VFMADD213PS(less, scale, m)
		VADDPS(two, m, less)
		VDIVPS(less, m, m)
		VORPS(s, m, m)
		return m
	}
}

// geluP and geluQ are P and Q in erf(x/√2) = x·P(x²)/Q(x²) for |x| <= geluEnd,
// lowest power first: the minimax of the relative error, 4.9e-8, by weighted least
// squares whose weights follow the error, in float64, then rounded. Beyond, erf is
// 1 within half a step.
var (
	geluP = []float32{0.7978845, 0.07006646, 0.008899707, 0.00032103597, 6.213498e-06, -4.3381068e-08, 2.2261183e-10}
	geluQ = []float32{1.0, 0.25448117, 0.028569771, 0.0017759373, 5.8783746e-05}
)

const geluEnd = 5.515433

// newGelu is x/2·(1+erf(x/√2)), with x kept from -geluEnd on, for what is below is
// nothing.
func newGelu(isa ISA) func() func(x reg.VecVirtual) reg.VecVirtual {
	return func() func(x reg.VecVirtual) reg.VecVirtual {
		lo, hi, half := isa.fixed(-geluEnd), isa.fixed(geluEnd), isa.constant(0.5)
		var p, q []Op
		for _, c := range geluP {
			p = append(p, isa.constant(c))
		}
		for _, c := range geluQ {
			q = append(q, isa.constant(c))
		}
		return func(x reg.VecVirtual) reg.VecVirtual {
			y, u, square := isa.vec(), isa.vec(), isa.vec()
			VMAXPS(x, lo, y)
			VMINPS(y, hi, u)
			VMULPS(u, u, square)
			num, den := horner(isa, square, p), horner(isa, square, q)
			VMULPS(u, num, num)
			VDIVPS(den, num, num)
			VMULPS(half, y, y)
			VFMADD213PS(y, y, num)
			return num
		}
	}
}

// logarithm splits x into 2ᵉ·(1+f), with 1+f from 3/4 to 3/2, where e is not zero
// only if the result is at least 0.28 from zero: no sum cancels.
type logarithm struct{ isa ISA }

func newLog(isa ISA) *logarithm { return &logarithm{isa} }

func (l *logarithm) apply() func(x reg.VecVirtual) reg.VecVirtual {
	isa := l.isa
	one, half := isa.constant(1), isa.constant(0.5)
	short, long := isa.constant(ln2Short), isa.constant(ln2Long)
	var poly []Op
	for _, c := range logPoly {
		poly = append(poly, isa.constant(c))
	}
	return func(x reg.VecVirtual) reg.VecVirtual {
		e, f := l.split(x)
		VSUBPS(one, f, f)
		// y is f³·P - f²/2 + e·long.
		y, square := horner(isa, f, poly), isa.vec()
		VMULPS(f, f, square)
		VFMSUB213PS(half, f, y)
		VMULPS(square, y, y)
		VFMADD231PS(long, e, y)
		VADDPS(f, y, y)
		VFMADD231PS(short, e, y)
		if isa == AVX2 {
			l.special(x, y)
		}
		return y
	}
}

// split is the exponent e and the rest 1+f. With AVX-512, zero and Inf have an
// infinite exponent and 1 as rest, which add up to what their logarithms are, and
// less than zero has no rest.
func (l *logarithm) split(x reg.VecVirtual) (e, m reg.VecVirtual) {
	e, m = l.isa.vec(), l.isa.vec()
	if l.isa == AVX512 {
		const upper, noSign = 3, 3 << 2 // 3/4 to 3/2; NaN for less than zero
		t := ZMM()
		VGETEXPPS(x, e)
		VGETMANTPS(U8(upper|noSign), x, m)
		VGETEXPPS(m, t)
		VSUBPS(t, e, e)
		return e, m
	}
	// Of a subnormal number, that of 2²³ times as much less 23.
	less, t := YMM(), YMM()
	VCMPPS(U8(below), memory(0x1p-126), x, less)
	VMULPS(memory(0x1p23), x, m)
	VBLENDVPS(less, m, x, m)
	VPSUBD(memory(0.75), m, e)
	VPSRAD(U8(23), e, e)
	VPSLLD(U8(23), e, t)
	VPSUBD(t, m, m)
	VCVTDQ2PS(e, e)
	VANDPS(memory(23), less, less)
	VSUBPS(less, e, e)
	return e, m
}

// Predicates of VCMPPS that raise no exception.
const (
	equal      = 0
	notAtLeast = 25 // or not a number
	below      = 17
)

// special corrects y, the logarithm of x, where x is zero, Inf, NaN or less than
// zero.
func (l *logarithm) special(x, y reg.VecVirtual) {
	inf := float32(math.Inf(1))
	at, zero := YMM(), YMM()
	VCMPPS(U8(equal), memory(inf), x, at)
	VBLENDVPS(at, x, y, y)
	VXORPS(zero, zero, zero)
	VCMPPS(U8(equal), zero, x, at)
	VBLENDVPS(at, memory(-inf), y, y)
	VCMPPS(U8(notAtLeast), zero, x, at)
	VORPS(at, y, y)
}
