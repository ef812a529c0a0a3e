package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// ISA is a vector extension.
type ISA int

const (
	AVX2   ISA = 32 // bytes of a register
	AVX512 ISA = 64
)

// Suffix ends the names of the ISA's kernels.
func (i ISA) Suffix() string {
	if i == AVX512 {
		return "AVX512"
	}
	return "AVX2"
}

var (
	zs = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10,
		reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15, reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21,
		reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
	ys = []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7, reg.Y8, reg.Y9, reg.Y10,
		reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}
	ks = []reg.Register{reg.K1, reg.K2}
)

// Vec is vector register n in full width. Registers are assigned by hand: 0-7
// accumulate, 8-9 hold the query, the rest as each op says. Those that meet an
// instruction without EVEX form must be below 16.
func (i ISA) Vec(n int) reg.VecPhysical {
	if i == AVX512 {
		return zs[n]
	}
	return ys[n]
}

// X and Y are the low parts of vector register n < 16.
func X(n int) reg.Register { return ys[n].AsX() }
func Y(n int) reg.Register { return ys[n] }

// mask names the lanes of a block that count; nil is all of them.
type mask struct {
	// k selects lanes; memory behind the others is not touched (AVX-512).
	k reg.Register
	// v keeps the trailing lanes, of a block that lies wholly inside the
	// vectors but overlaps elements already counted (AVX2).
	v reg.Register
	// words, 1 or 2, is all there is of a block of words (AVX2).
	words int
}

// word loads as many words as the mask says, clearing the rest.
func (k *mask) word(m Mem, n int) {
	if k.words == 2 {
		VMOVDQU(m, X(n))
	} else {
		VMOVQ(m, X(n))
	}
}

// maskTable holds 32 zero bytes, 32 bytes of ones, 32 zero bytes. Loaded at n
// it is a mask of the last n bytes, loaded at 64-n of the first n.
var maskTable Mem

func masks() {
	maskTable = GLOBL("maskTable", 8|16)
	for i := range 12 {
		v := uint64(0)
		if i/4 == 1 {
			v--
		}
		DATA(i*8, U64(v))
	}
}

// fetcher is an instruction that asks for a line.
type fetcher func(m Op)

// byVendor writes what fetches lines, by the instruction that suits the CPU, and
// goes on at the label end, which the caller sets right after. name is unique.
//
// AMD's get PREFETCHT1, which fills the second cache only: on Zen 4 it does not
// take one of the 24 miss buffers of the first cache, and twice as many lines are
// in flight as with PREFETCHT0 (128 elements: 30 ns a row, not 60). On Intel's, each
// line then has to come on from the second cache later: random rows of 416, 512,
// 1,024 and 3,136 bytes took Sapphire Rapids 47, 54, 88 and 282 ns a row with
// PREFETCHT1, 39, 47, 77 and 239 with PREFETCHT0. See byCache for shorter ones.
func byVendor(name, end string, write func(fetch fetcher, name string)) {
	CMPB(Mem{Symbol: Symbol{Name: "·amd"}, Base: reg.StaticBase}, U8(0))
	JNE(LabelRef(name + "Second"))
	write(PREFETCHT0, "")
	JMP(LabelRef(end))
	Label(name + "Second")
	write(PREFETCHT1, "Second")
}

// byCache is byVendor of the lines of a row of n elements of size bytes after head
// others. Rows of up to few bytes get PREFETCHT1 from all CPUs: on Sapphire Rapids,
// random ones of 80 to 192 bytes took 4 to 12 % less time than with PREFETCHT0.
func byCache(name, end string, n reg.GPVirtual, size, head int, write func(fetch fetcher, name string)) {
	CMPQ(n, U32(uint32((few-head)/size)))
	JLE(LabelRef(name + "Second"))
	byVendor(name, end, write)
}

// label makes names that are unique in a function.
type label int

func (l *label) next(s string) string { *l++; return fmt.Sprintf("%s%d", s, int(*l)) }

// loop is a label that jumps go back to, aligned so that a short body is fetched
// in one turn: without, the same loop took up to twice as long from one version
// to the next.
func loop(name string) {
	Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []Op{Imm(32)}})
	Label(name)
}

// broadcast fills vector register n with a byte.
func (i ISA) broadcast(n int, b byte) {
	t := GP32()
	MOVL(U32(uint32(b)*0x01010101), t)
	VMOVD(t, X(n))
	VPBROADCASTD(X(n), i.Vec(n))
}

// zero clears vector register n.
func (i ISA) zero(n int) {
	if i == AVX512 {
		VPXORD(i.Vec(n), i.Vec(n), i.Vec(n))
	} else {
		VPXOR(i.Vec(n), i.Vec(n), i.Vec(n))
	}
}

// cpuid is the instruction of that name, to ask for what x/sys/cpu does not
// tell.
func cpuid() {
	TEXT("cpuid", 4, "func(leaf, sub uint32) (a, b, c, d uint32)")
	Doc("cpuid executes the CPUID instruction.")
	Load(Param("leaf"), reg.EAX)
	Load(Param("sub"), reg.ECX)
	CPUID()
	Store(reg.EAX, Return("a"))
	Store(reg.EBX, Return("b"))
	Store(reg.ECX, Return("c"))
	Store(reg.EDX, Return("d"))
	RET()
}
