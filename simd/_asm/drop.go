package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The constants of the hash of positions; drop.go of the package has its meaning.
const (
	dropStep   = 0x9e3779b9
	dropFirst  = 0x7feb352d
	dropSecond = 0x846ca68b
)

// hasher makes the masks of dropout, a register of elements after the other.
type hasher struct {
	isa                                  ISA
	at, step, first, second, least, zero reg.VecVirtual
}

func newHasher(isa ISA) *hasher {
	bits := func(v uint32) reg.VecVirtual { return isa.fixed(math.Float32frombits(v)) }
	h := &hasher{isa: isa, at: isa.vec(), zero: isa.vec(), step: bits(uint32(uint64(isa) / 4 * dropStep)),
		first: bits(dropFirst), second: bits(dropSecond), least: isa.argument("threshold")}
	key := isa.argument("key")
	table := GP64()
	LEAQ(dropLanes, table)
	VMOVUPS(Mem{Base: table}, h.at)
	VPADDD(key, h.at, h.at)
	VXORPS(h.zero, h.zero, h.zero)
	return h
}

// next is the hashes of the elements that follow those of the last call.
func (h *hasher) next() reg.VecVirtual {
	x, t := h.isa.vec(), h.isa.vec()
	xor := func(a, b, c reg.VecVirtual) { VPXOR(a, b, c) }
	if h.isa == AVX512 {
		xor = func(a, b, c reg.VecVirtual) { VPXORD(a, b, c) }
	}
	VPSRLD(U8(16), h.at, t)
	xor(t, h.at, x)
	VPADDD(h.step, h.at, h.at)
	VPMULLD(h.first, x, x)
	VPSRLD(U8(15), x, t)
	xor(t, x, x)
	VPMULLD(h.second, x, x)
	return x
}

// keep tells the elements that stay: an opmask with AVX-512, else a vector.
func (h *hasher) keep() tail {
	x := h.next()
	if h.isa == AVX512 {
		k := K()
		VPCMPUD(U8(5), h.least, x, k) // x not less
		return k
	}
	m := YMM()
	VPMAXUD(h.least, x, m)
	VPCMPEQD(m, x, m)
	return m
}

// dropLanes are the multiples of dropStep by lane.
var dropLanes Mem

func drops() {
	dropLanes = GLOBL("droplanes", 8|16)
	for i := range 16 {
		DATA(4*i, U32(uint32(uint64(i)*dropStep)))
	}
	placeLanes = GLOBL("placelanes", 8|16)
	for i := range 16 {
		DATA(4*i, U32(uint32(i)))
	}
	for _, isa := range []ISA{AVX2, AVX512} {
		dropReLU(isa)
		dropReLUGrad(isa)
		atMost(isa)
		turns(isa)
	}
}

// dropReLU is y + alpha·keep·max(x, 0).
func dropReLU(isa ISA) {
	kernel(isa, "dropReLU", "(y, x []float32, alpha float32, key, threshold uint32)")
	y, x, s := base("y"), base("x"), over(isa, "y")
	alpha, h := isa.argument("alpha"), newHasher(isa)
	s.each(2, func(_ int, k tail) {
		keep := h.keep()
		v, sum := s.load(x, k), s.load(y, k)
		VMAXPS(h.zero, v, v)
		if isa == AVX512 {
			VFMADD231PS(v, alpha, keep, sum)
		} else {
			VANDPS(keep, v, v)
			VFMADD231PS(v, alpha, sum)
		}
		s.store(sum, y, k)
	})
	end()
}

// dropReLUGrad leaves keep·g where x is above 0, else 0, and sums its products with x.
func dropReLUGrad(isa ISA) {
	const above = 0x1e
	kernel(isa, "dropReLUGrad", "(x, g []float32, key, threshold uint32) (sum float32)")
	x, g, s := base("x"), base("g"), over(isa, "x")
	h, sums := newHasher(isa), isa.sums(2)
	s.each(2, func(j int, k tail) {
		keep := h.keep()
		v, d := s.load(x, k), s.load(g, k)
		if isa == AVX512 {
			m := K()
			VCMPPS(U8(above), h.zero, v, keep, m)
			VMOVAPS_Z(d, m, d)
			VMOVAPS_Z(v, m, v)
		} else {
			m := YMM()
			VCMPPS(U8(above), h.zero, v, m)
			VANDPS(keep, m, m)
			VANDPS(m, d, d)
			VANDPS(m, v, v)
		}
		VFMADD231PS(v, d, sums[j])
		s.store(d, x, k)
	})
	result("sum", isa.total(sums))
	end()
}

// atMost is the kernel below: it writes the places of the elements that are at most limit.
func atMost(isa ISA) {
	const most = 0x12
	kernel(isa, "below", "(x []float32, limit float32, first uint32, dst []uint32) int")
	x, dst, s := base("x"), base("dst"), over(isa, "x")
	limit, start, at := isa.argument("limit"), GP64(), GP32()
	Load(Param("first"), at)
	MOVQ(dst, start)
	var places reg.VecVirtual
	if isa == AVX512 {
		places = ZMM()
		table := GP64()
		LEAQ(placeLanes, table)
		VMOVUPS(Mem{Base: table}, places)
	}
	s.each(1, func(_ int, k tail) {
		none, bits, v := s.next("none"), GP32(), s.load(x, k)
		if isa == AVX512 {
			m := K()
			if k == nil {
				VCMPPS(U8(most), limit, v, m)
			} else {
				VCMPPS(U8(most), limit, v, k, m)
			}
			KMOVW(m, bits)
			TESTL(bits, bits)
			JEQ(LabelRef(none))
			p := ZMM()
			VPBROADCASTD(at, p)
			VPADDD(places, p, p)
			VPCOMPRESSD_Z(p, m, p)
			count, ones, written := GP32(), GP32(), K()
			POPCNTL(bits, count)
			MOVL(I32(-1), ones)
			BZHIL(count, ones, ones)
			KMOVW(ones, written)
			VMOVDQU32(p, written, Mem{Base: dst})
			LEAQ(Mem{Base: dst, Index: count.As64(), Scale: 4}, dst)
		} else {
			m := YMM()
			VCMPPS(U8(most), limit, v, m)
			if k != nil {
				VANDPS(k, m, m)
			}
			VMOVMSKPS(m, bits)
			TESTL(bits, bits)
			JEQ(LabelRef(none))
			one, lane := s.next("one"), GP32()
			Label(one)
			TZCNTL(bits, lane)
			ADDL(at, lane)
			MOVL(lane, Mem{Base: dst})
			ADDQ(U8(4), dst)
			t := GP32()
			LEAL(Mem{Base: bits.As64(), Disp: -1}, t)
			ANDL(t, bits)
			JNE(LabelRef(one))
		}
		Label(none)
		ADDL(U8(uint8(int(isa)/4)), at)
	})
	SUBQ(start, dst)
	SHRQ(U8(2), dst)
	Store(dst, ReturnIndex(0))
	end()
}

// placeLanes are the numbers of the lanes.
var placeLanes Mem
