package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// admit asks three tables about sixteen neighbours at a time: whether the walk saw
// them, which ids they have, and whether those match. Each gather is made only for
// the lanes that the test before left.
func admit() {
	TEXT("admitAVX512", 4, "func(row []uint32, seen []uint8, epoch uint8, ids []uint32, allow []uint64, dst []uint32) int")
	Doc("admitAVX512 reads seen four bytes at a time, aligned to four from its start.")
	Pragma("noescape")
	const less, differ = 1, 4 // VPCMPUD
	load := func(c string) (p, n reg.GPVirtual) {
		return Load(Param(c).Base(), GP64()).(reg.GPVirtual), Load(Param(c).Len(), GP64()).(reg.GPVirtual)
	}
	row, n := load("row")
	seen, limit := load("seen")
	ids := Load(Param("ids").Base(), GP64())
	allow, words := load("allow")
	dst := Load(Param("dst").Base(), GP64())
	epoch := GP32()
	Load(Param("epoch"), epoch)
	spread := func(r, z reg.Register) { VPBROADCASTD(r, z) }
	constant := func(v uint32, z reg.Register) {
		t := GP32()
		MOVL(U32(v), t)
		spread(t, z)
	}
	limits, epochs, half, three, byteMask, bit, one := reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22
	spread(limit.As32(), limits)
	spread(epoch, epochs)
	ADDQ(words, words) // of 32 bits
	spread(words.As32(), half)
	constant(3, three)
	constant(0xff, byteMask)
	constant(31, bit)
	constant(1, one)

	start, all, m, k := GP64(), GP32(), GP32(), GP64()
	MOVQ(dst, start)
	MOVL(U32(0xffff), all)
	JMP(LabelRef("next"))
	loop("block")
	// Lanes within the row, with memory behind the walk's views.
	BZHIL(n.As32(), all, m)
	CMPQ(n, U8(16))
	CMOVLCC(all, m)
	KMOVW(m, reg.K1)
	VMOVDQU32_Z(Mem{Base: row}, reg.K1, reg.Z0)
	VPCMPUD(U8(less), limits, reg.Z0, reg.K1, reg.K2)
	KTESTW(reg.K2, reg.K2)
	JEQ(LabelRef("skip"))
	// The byte of seen.
	VPSRLD(U8(2), reg.Z0, reg.Z1)
	VPXORD(reg.Z2, reg.Z2, reg.Z2)
	KMOVW(reg.K2, reg.K3)
	VPGATHERDD(Mem{Base: seen, Index: reg.Z1, Scale: 4}, reg.K3, reg.Z2)
	VPANDD(three, reg.Z0, reg.Z3)
	VPSLLD(U8(3), reg.Z3, reg.Z3)
	VPSRLVD(reg.Z3, reg.Z2, reg.Z2)
	VPANDD(byteMask, reg.Z2, reg.Z2)
	VPCMPUD(U8(differ), epochs, reg.Z2, reg.K2, reg.K2)
	KTESTW(reg.K2, reg.K2)
	JEQ(LabelRef("skip"))
	// The bit of the id.
	VPXORD(reg.Z4, reg.Z4, reg.Z4)
	KMOVW(reg.K2, reg.K3)
	VPGATHERDD(Mem{Base: ids, Index: reg.Z0, Scale: 4}, reg.K3, reg.Z4)
	VPSRLD(U8(5), reg.Z4, reg.Z5)
	VPCMPUD(U8(less), half, reg.Z5, reg.K2, reg.K2)
	VPXORD(reg.Z6, reg.Z6, reg.Z6)
	KMOVW(reg.K2, reg.K3)
	VPGATHERDD(Mem{Base: allow, Index: reg.Z5, Scale: 4}, reg.K3, reg.Z6)
	VPANDD(bit, reg.Z4, reg.Z4)
	VPSRLVD(reg.Z4, reg.Z6, reg.Z6)
	VPTESTMD(one, reg.Z6, reg.K2, reg.K2)
	KMOVW(reg.K2, m)
	TESTL(m, m)
	JEQ(LabelRef("skip"))
	VPCOMPRESSD_Z(reg.Z0, reg.K2, reg.Z0)
	POPCNTL(m, k.As32())
	BZHIL(k.As32(), all, m)
	KMOVW(m, reg.K1)
	VMOVDQU32(reg.Z0, reg.K1, Mem{Base: dst})
	LEAQ(Mem{Base: dst, Index: k, Scale: 4}, dst)
	Label("skip")
	ADDQ(U8(64), row)
	SUBQ(U8(16), n)
	Label("next")
	CMPQ(n, U8(0))
	JG(LabelRef("block"))
	SUBQ(start, dst)
	SHRQ(U8(2), dst)
	Store(dst, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
