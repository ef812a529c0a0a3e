//go:build !purego

// The micro-kernel of matrix products for NEON, by hand: 8 x 8 sums, of packed
// rows of eight elements a step of both operands. Row i accumulates in V(2i) and
// V(2i+1), V16-V17 hold a step of a and V18-V19 one of b.

#include "textflag.h"

// FMLA by an element: d += n * m[i].
#define FMLA0(m, n, d) WORD $(0x4F801000 | (m)<<16 | (n)<<5 | (d)) // FMLA Vd.4S, Vn.4S, Vm.S[0]
#define FMLA1(m, n, d) WORD $(0x4FA01000 | (m)<<16 | (n)<<5 | (d)) // … Vm.S[1]
#define FMLA2(m, n, d) WORD $(0x4F801800 | (m)<<16 | (n)<<5 | (d)) // … Vm.S[2]
#define FMLA3(m, n, d) WORD $(0x4FA01800 | (m)<<16 | (n)<<5 | (d)) // … Vm.S[3]

#define CLEAR(v) VEOR v.B16, v.B16, v.B16

// func gemmNEON(depth int, a, b, sums *float32)
TEXT ·gemmNEON(SB), NOSPLIT, $0-32
	MOVD depth+0(FP), R3
	MOVD a+8(FP), R0
	MOVD b+16(FP), R1
	MOVD sums+24(FP), R2
	CLEAR(V0)
	CLEAR(V1)
	CLEAR(V2)
	CLEAR(V3)
	CLEAR(V4)
	CLEAR(V5)
	CLEAR(V6)
	CLEAR(V7)
	CLEAR(V8)
	CLEAR(V9)
	CLEAR(V10)
	CLEAR(V11)
	CLEAR(V12)
	CLEAR(V13)
	CLEAR(V14)
	CLEAR(V15)

step:
	VLD1.P 32(R0), [V16.S4, V17.S4]
	VLD1.P 32(R1), [V18.S4, V19.S4]
	FMLA0(16, 18, 0)
	FMLA0(16, 19, 1)
	FMLA1(16, 18, 2)
	FMLA1(16, 19, 3)
	FMLA2(16, 18, 4)
	FMLA2(16, 19, 5)
	FMLA3(16, 18, 6)
	FMLA3(16, 19, 7)
	FMLA0(17, 18, 8)
	FMLA0(17, 19, 9)
	FMLA1(17, 18, 10)
	FMLA1(17, 19, 11)
	FMLA2(17, 18, 12)
	FMLA2(17, 19, 13)
	FMLA3(17, 18, 14)
	FMLA3(17, 19, 15)
	SUBS $1, R3
	BNE step
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R2)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R2)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R2)
	VST1 [V12.S4, V13.S4, V14.S4, V15.S4], (R2)
	RET
