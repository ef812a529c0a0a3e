package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pointers writes the kernel of a pair of float32 vectors. Arguments are two
// pointers and two lengths; see dot in pair_amd64.go. That of AVX-512 begins with
// the choice among the implementations: the others are reached by a jump, for all
// have the same arguments.
func pointers(o op) {
	verb, _ := o.Name()
	name := verb + "AVX2"
	if o.ISA() == AVX512 {
		name = verb + "AMD64"
	}
	TEXT(name, 4, "func(a, b *float32, n, m int) float32")
	Pragma("noescape")
	n := Load(Param("n"), GP64()).(reg.GPVirtual)
	if o.ISA() == AVX512 {
		choose(verb, n)
	}
	b := prepareAt(o, Load(Param("a"), GP64()).(reg.GPVirtual), n, true)
	b.rows[0] = Load(Param("b"), GP64()).(reg.GPVirtual)
	b.pair(false)
}

// choose goes on if AVX-512 is active and both lengths are n. block is the least
// length of AVX2's; lanes is the first field of what active points to.
func choose(verb string, n reg.GPVirtual) {
	const block = 8
	m, err := Param("m").Resolve()
	if err != nil {
		panic(err)
	}
	active := GP64()
	CMPQ(n, m.Addr)
	JNE(LabelRef("plain"))
	MOVQ(Mem{Symbol: Symbol{Name: "·active"}, Base: reg.StaticBase}, active)
	CMPQ(Mem{Base: active}, U8(16))
	JEQ(LabelRef("here"))
	CMPQ(Mem{Base: active}, U8(8))
	JNE(LabelRef("plain"))
	CMPQ(n, U8(block))
	JL(LabelRef("plain"))
	leave(verb + "AVX2")
	Label("plain")
	leave(verb + "Plain")
	Label("here")
}

// leave jumps to another function.
func leave(name string) {
	to := Mem{Symbol: Symbol{Name: "·" + name}, Base: reg.StaticBase}
	Instruction(&ir.Instruction{Opcode: "JMP", Operands: []Op{to}, IsTerminal: true})
}
