package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// functions writes what a training core needs beside distances: functions of the
// elements of slices, of rows, and steps of optimisers. Here avo chooses the
// registers.
func functions() {
	lanes8 = GLOBL("lanes", 8|16)
	for i := range 16 {
		v := uint32(0)
		if i < 8 {
			v--
		}
		DATA(4*i, U32(v))
	}
	for _, isa := range []ISA{AVX2, AVX512} {
		elementwise(isa, "exp", newExp(isa).apply)
		elementwise(isa, "log", newLog(isa).apply)
		elementwise(isa, "sigmoid", newSigmoid(isa).apply)
		elementwise(isa, "tanh", newTanh(isa).apply)
		elementwise(isa, "gelu", newGelu(isa))
		softmax(isa)
		moments(isa)
		columnMoments(isa)
		normalise(isa)
		normaliseGrad(isa)
		mulAdd(isa)
		gatherCopy(isa)
		scatterAdd(isa)
		sgd(isa)
		adam(isa)
		adagrad(isa)
	}
	drops()
}

// lanes8 is eight words of ones, then eight of zeros: loaded at 8-n, a mask of the
// first n lanes.
var lanes8 Mem

// known are the constants in memory, each eight times, by their bits.
var known = map[uint32]Mem{}

func memory(v float32) Mem {
	b := math.Float32bits(v)
	m, ok := known[b]
	if !ok {
		m = GLOBL(fmt.Sprintf("f%08x", b), 8|16)
		for i := range 8 {
			DATA(4*i, U32(b))
		}
		known[b] = m
	}
	return m
}

// vec is a register of the full width.
func (i ISA) vec() reg.VecVirtual {
	if i == AVX512 {
		return ZMM()
	}
	return YMM()
}

// fixed is a register that holds v in every lane.
func (i ISA) fixed(v float32) reg.VecVirtual {
	r := i.vec()
	VBROADCASTSS(memory(v), r)
	return r
}

// constant is an operand that is v in every lane: of the 32 registers of AVX-512
// one, of AVX2 memory.
func (i ISA) constant(v float32) Op {
	if i == AVX512 {
		return i.fixed(v)
	}
	return memory(v)
}

// argument is a register that holds a float32 argument in every lane.
func (i ISA) argument(name string) reg.VecVirtual {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	r := i.vec()
	VBROADCASTSS(p.Addr, r)
	return r
}

// result stores the first lane of v.
func result(name string, v reg.VecVirtual) {
	p, err := Return(name).Resolve()
	if err != nil {
		panic(err)
	}
	VMOVSS(v.AsX(), p.Addr)
}

// copied is another register with what v holds.
func (i ISA) copied(v Op) reg.VecVirtual {
	r := i.vec()
	VMOVAPS(v, r)
	return r
}

// across leaves in every lane the lanes of v taken together by op: halves first,
// down to one.
func (i ISA) across(v reg.VecVirtual, op func(a, b, c Op)) {
	if i == AVX512 {
		t, u := YMM(), XMM()
		VEXTRACTF64X4(U8(1), v, t)
		op(t, v.AsY(), v.AsY())
		VEXTRACTF32X4(U8(1), v.AsY(), u)
		op(u, v.AsX(), v.AsX())
	} else {
		u := XMM()
		VEXTRACTF128(U8(1), v, u)
		op(u, v.AsX(), v.AsX())
	}
	for _, order := range []uint64{0x4e, 0xb1} {
		u := XMM()
		VPERMILPS(U8(order), v.AsX(), u)
		op(u, v.AsX(), v.AsX())
	}
	VBROADCASTSS(v.AsX(), v)
}

// tail names the first lanes of the last, partial, register of a slice: nil is all
// lanes. It is an opmask with AVX-512 and a vector with AVX2.
type tail reg.Register

// sweep is a walk over slices of n elements, a register at a time.
type sweep struct {
	label
	isa   ISA
	n, i  reg.GPVirtual
	rest  tail
	where func(base reg.Register, disp int) Mem
}

// newSweep prepares to walk slices of n elements.
func newSweep(isa ISA, n reg.GPVirtual) *sweep {
	s := &sweep{isa: isa, n: n, i: GP64()}
	rem := GP64()
	MOVQ(n, rem)
	if isa == AVX512 {
		ones, k := GP32(), K()
		ANDQ(U32(15), rem)
		MOVL(I32(-1), ones)
		BZHIL(rem.As32(), ones, ones)
		KMOVW(ones, k)
		s.rest = k
	} else {
		table, k := GP64(), YMM()
		NEGQ(rem)
		ANDQ(U32(7), rem)
		LEAQ(lanes8, table)
		VMOVDQU(Mem{Base: table, Index: rem, Scale: 4}, k)
		s.rest = k
	}
	return s
}

// over is newSweep of the length of a slice parameter.
func over(isa ISA, param string) *sweep {
	return newSweep(isa, Load(Param(param).Len(), GP64()).(reg.GPVirtual))
}

func base(param string) reg.GPVirtual { return Load(Param(param).Base(), GP64()).(reg.GPVirtual) }

// each runs f over the elements, u registers a turn; j < u numbers them, so that
// sums may have registers of their own.
func (s *sweep) each(u int, f func(j int, k tail)) {
	w := int(s.isa) / 4
	end, done := GP64(), s.next("done")
	XORQ(s.i, s.i)
	for _, n := range []int{u, 1} {
		start, next := s.next("loop"), s.next("end")
		LEAQ(Mem{Base: s.n, Disp: -n * w}, end)
		CMPQ(s.i, end)
		JG(LabelRef(next))
		Label(start)
		for j := range n {
			s.where = func(base reg.Register, disp int) Mem {
				return Mem{Base: base, Index: s.i, Scale: 4, Disp: 4*j*w + disp}
			}
			f(j, nil)
		}
		ADDQ(U32(uint32(n*w)), s.i)
		CMPQ(s.i, end)
		JLE(LabelRef(start))
		Label(next)
		if u == 1 {
			break
		}
	}
	CMPQ(s.i, s.n)
	JGE(LabelRef(done))
	s.where = func(base reg.Register, disp int) Mem { return Mem{Base: base, Index: s.i, Scale: 4, Disp: disp} }
	f(0, s.rest)
	Label(done)
}

// load reads the elements at base, zeros where k has none.
func (s *sweep) load(base reg.Register, k tail) reg.VecVirtual {
	v, m := s.isa.vec(), s.where(base, 0)
	switch {
	case k == nil:
		VMOVUPS(m, v)
	case s.isa == AVX512:
		VMOVUPS_Z(m, k, v)
	default:
		VMASKMOVPS(m, k, v)
	}
	return v
}

func (s *sweep) store(v reg.VecVirtual, base reg.Register, k tail) {
	m := s.where(base, 0)
	switch {
	case k == nil:
		VMOVUPS(v, m)
	case s.isa == AVX512:
		VMOVUPS(v, k, m)
	default:
		VMASKMOVPS(v, k, m)
	}
}

// clear makes the lanes of v that k does not name those of other, zero if nil.
func (s *sweep) clear(v reg.VecVirtual, other reg.VecVirtual, k tail) {
	switch {
	case k == nil:
	case s.isa == AVX512 && other == nil:
		VMOVAPS_Z(v, k, v)
	case s.isa == AVX512:
		VBLENDMPS(v, other, k, v)
	case other == nil:
		VANDPS(k, v, v)
	default:
		VBLENDVPS(k, v, other, v)
	}
}

// sums are u registers of zeros.
func (i ISA) sums(u int) []reg.VecVirtual {
	l := make([]reg.VecVirtual, u)
	for j := range l {
		l[j] = i.vec()
		VXORPS(l[j], l[j], l[j])
	}
	return l
}

// total leaves the sum of all lanes in each lane of the first.
func (i ISA) total(l []reg.VecVirtual) reg.VecVirtual {
	for n := len(l); n > 1; n /= 2 {
		for j := range n / 2 {
			VADDPS(l[j+n/2], l[j], l[j])
		}
	}
	i.across(l[0], floatAdd)
	return l[0]
}

// number is a register that holds the integer n in every lane.
func (i ISA) number(n reg.GPVirtual) reg.VecVirtual {
	v := i.vec()
	VXORPS(v.AsX(), v.AsX(), v.AsX())
	VCVTSI2SSQ(n, v.AsX(), v.AsX())
	VBROADCASTSS(v.AsX(), v)
	return v
}

// kernel begins a function.
func kernel(isa ISA, name, signature string) {
	TEXT(name+isa.Suffix(), 4, "func"+signature)
	Pragma("noescape")
}

func end() {
	VZEROUPPER()
	RET()
}

// elementwise is a function of each element. prepare loads its constants.
func elementwise(isa ISA, name string, prepare func() func(x reg.VecVirtual) reg.VecVirtual) {
	kernel(isa, name, "(dst, src []float32)")
	dst, src, s, f := base("dst"), base("src"), over(isa, "src"), prepare()
	s.each(1, func(_ int, k tail) { s.store(f(s.load(src, k)), dst, k) })
	end()
}
