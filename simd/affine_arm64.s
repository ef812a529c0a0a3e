//go:build !purego

// NEON kernels of affine codes, by hand. A step is 16 bytes of codes. What is
// left after whole steps is one more that ends with the row: its first bytes
// were counted, or are of the header, and tail has zeros against them.
//
// V16-V19 hold the query and constants, V20-V23 are for passing values, row r
// accumulates in V(4r) and V(4r+1), V24-V27 hold scales, words, sums and norms
// of four rows, V28-V31 and V15 the coefficients. R23 is the tail, R25 the bytes
// left, R24 those less 16, R26 what the parts of a query are apart.

#include "textflag.h"
#include "neon_arm64.h"

// START is common to the kernels; it leaves R14, R24, R25 and R26 to each.
#define START \
	MOVD q_base+0(FP), R13; \
	MOVD q_len+8(FP), R14; \
	MOVD tail+24(FP), R23; \
	MOVD k+32(FP), R0; \
	MOVD rows_base+40(FP), R15; \
	MOVD stride+64(FP), R16; \
	MOVD ids_base+72(FP), R17; \
	MOVD ids_len+80(FP), R19; \
	MOVD out_base+96(FP), R20; \
	VLD1R.P 4(R0), [V28.S4]; \
	VLD1R.P 4(R0), [V29.S4]; \
	VLD1R.P 4(R0), [V30.S4]; \
	VLD1R.P 4(R0), [V31.S4]; \
	VLD1R (R0), [V15.S4]

// SCORE makes results of the sums in V0, in the order that affine.go has.
#define SCORE \
	SCVTF(0, 0); \
	VUSHR $16, V25.S4, V25.S4; \
	VSHL $16, V25.S4, V25.S4; \
	FMUL(30, 25, 25); \
	FADD(25, 28, 25); \
	FMUL(31, 26, 26); \
	FMUL(15, 27, 27); \
	FADD(27, 26, 26); \
	FADD(26, 25, 25); \
	FMUL(29, 24, 24); \
	FMUL(24, 0, 0); \
	FADD(25, 0, 0)

#define STEP(p, KIND, a) \
	VLD1.P 16(p), [V20.B16]; \
	KIND(a)

#define LAST(p, KIND, a) \
	ADD R24, p; \
	VLD1 (p), [V20.B16]; \
	KIND(a)

#define AFFINEONE(PARTS, QUERY, TAIL, KIND, MERGE) \
	LD4S0(1, 24); \
	ADD $16, R1; \
	VEOR V0.B16, V0.B16, V0.B16; \
	VEOR V1.B16, V1.B16, V1.B16; \
	PARTS; \
	CBZ R5, onelast; \
onestep: \
	QUERY; \
	STEP(R1, KIND, 0); \
	SUBS $1, R5; \
	BNE onestep; \
onelast: \
	CBZ R25, onesum; \
	TAIL; \
	LAST(R1, KIND, 0); \
onesum: \
	MERGE(V0, V1); \
	VADDP V0.S4, V0.S4, V0.S4; \
	VADDP V0.S4, V0.S4, V0.S4; \
	SCORE

#define AFFINEFOUR(PARTS, QUERY, TAIL, KIND, MERGE) \
	LD4S0(1, 24); \
	LD4S1(2, 24); \
	LD4S2(3, 24); \
	LD4S3(4, 24); \
	ADD $16, R1; \
	ADD $16, R2; \
	ADD $16, R3; \
	ADD $16, R4; \
	ZERO(V0, V4, V8, V12); \
	ZERO(V1, V5, V9, V13); \
	PARTS; \
	CBZ R5, fourlast; \
fourstep: \
	QUERY; \
	STEP(R1, KIND, 0); \
	STEP(R2, KIND, 4); \
	STEP(R3, KIND, 8); \
	STEP(R4, KIND, 12); \
	TST $3, R5; \
	BNE fournofetch; \
	FETCH; \
fournofetch: \
	SUBS $1, R5; \
	BNE fourstep; \
fourlast: \
	FETCH; \
	FETCH; \
	CBZ R25, foursum; \
	TAIL; \
	LAST(R1, KIND, 0); \
	LAST(R2, KIND, 4); \
	LAST(R3, KIND, 8); \
	LAST(R4, KIND, 12); \
foursum: \
	MERGE(V0, V1); \
	MERGE(V4, V5); \
	MERGE(V8, V9); \
	MERGE(V12, V13); \
	VADDP V4.S4, V0.S4, V0.S4; \
	VADDP V12.S4, V8.S4, V8.S4; \
	VADDP V8.S4, V0.S4, V0.S4; \
	SCORE

#define AFFINE(PARTS, QUERY, TAIL, KIND, MERGE) \
	GATHER(AFFINEONE(PARTS, QUERY, TAIL, KIND, MERGE), AFFINEFOUR(PARTS, QUERY, TAIL, KIND, MERGE))

#define NOMERGE(a, b)

// Bytes: q·c is (q-128)·c + 128·c, where q-128 is q xor 0x80, signed. V18 is
// ones, V19 0x80; the second accumulator has the sum of c.

#define PARTSI8
#define QUERYI8 \
	VLD1.P 16(R0), [V16.B16]; \
	VEOR V19.B16, V16.B16, V16.B16
#define TAILI8 \
	VLD1 (R23), [V16.B16]; \
	VEOR V19.B16, V16.B16, V16.B16
#define CODEI8(a) \
	SDOT(20, 16, a); \
	SDOT(20, 18, a+1)
#define CODEI8OLD(a) \
	SMULL(20, 16, 21); \
	SMULL2(20, 16, 22); \
	SADALP(21, a); \
	SADALP(22, a); \
	SADDLP(20, 20); \
	SADALP(20, a+1)
#define MERGEI8(a, b) \
	VSHL $7, b.S4, b.S4; \
	VADD b.S4, a.S4, a.S4
#define STARTI8 \
	START; \
	VMOVI $1, V18.B16; \
	VMOVI $128, V19.B16; \
	AND $15, R14, R25; \
	SUB $16, R25, R24; \
	LSR $4, R14

// func affineGatherI8NEON(q []uint8, tail *[16]uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
TEXT ·affineGatherI8NEON(SB), NOSPLIT, $0-120
	STARTI8
	AFFINE(PARTSI8, QUERYI8, TAILI8, CODEI8, MERGEI8)

// func affineGatherI8OldNEON(q []uint8, tail *[16]uint8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
TEXT ·affineGatherI8OldNEON(SB), NOSPLIT, $0-120
	STARTI8
	AFFINE(PARTSI8, QUERYI8, TAILI8, CODEI8OLD, MERGEI8)

// Nibbles: R6 walks the second half of the query. V18 is the mask of the low
// nibble. The sum of two products is 3840 or less.

#define PARTSI4 \
	ADD R26, R0, R6
#define QUERYI4 \
	VLD1.P 16(R0), [V16.B16]; \
	VLD1.P 16(R6), [V17.B16]
#define TAILI4 \
	VLD1 (R23), [V16.B16, V17.B16]
#define CODEI4(a) \
	VUSHR $4, V20.B16, V21.B16; \
	VAND V18.B16, V20.B16, V20.B16; \
	SDOT(20, 16, a); \
	SDOT(21, 17, a)
#define CODEI4OLD(a) \
	VUSHR $4, V20.B16, V21.B16; \
	VAND V18.B16, V20.B16, V20.B16; \
	SMULL(20, 16, 22); \
	SMULL2(20, 16, 23); \
	SMLAL(21, 17, 22); \
	SMLAL2(21, 17, 23); \
	SADALP(22, a); \
	SADALP(23, a)
#define STARTI4 \
	START; \
	VMOVI $15, V18.B16; \
	ADD $1, R14, R26; \
	LSR $1, R26; \
	LSR $5, R14; \
	SUB R14<<4, R26, R25; \
	SUB $16, R25, R24

// func affineGatherI4NEON(q []int8, tail *[32]int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
TEXT ·affineGatherI4NEON(SB), NOSPLIT, $0-120
	STARTI4
	AFFINE(PARTSI4, QUERYI4, TAILI4, CODEI4, NOMERGE)

// func affineGatherI4OldNEON(q []int8, tail *[32]int8, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
TEXT ·affineGatherI4OldNEON(SB), NOSPLIT, $0-120
	STARTI4
	AFFINE(PARTSI4, QUERYI4, TAILI4, CODEI4OLD, NOMERGE)

// Bits: R0 and R6-R8 walk the planes. A byte counts 8·15 or less.

#define PARTSI1 \
	ADD R26, R0, R6; \
	ADD R26, R6, R7; \
	ADD R26, R7, R8
#define QUERYI1 \
	VLD1.P 16(R0), [V16.B16]; \
	VLD1.P 16(R6), [V17.B16]; \
	VLD1.P 16(R7), [V18.B16]; \
	VLD1.P 16(R8), [V19.B16]
#define TAILI1 \
	VLD1 (R23), [V16.B16, V17.B16, V18.B16, V19.B16]
#define PLANE(v) \
	VADD V21.B16, V21.B16, V21.B16; \
	VAND v.B16, V20.B16, V22.B16; \
	VCNT V22.B16, V22.B16; \
	VADD V22.B16, V21.B16, V21.B16
#define CODEI1(a) \
	VAND V19.B16, V20.B16, V21.B16; \
	VCNT V21.B16, V21.B16; \
	PLANE(V18); \
	PLANE(V17); \
	PLANE(V16); \
	UADDLP(21, 21); \
	UADALP(21, a)

// func affineGatherI1NEON(q []uint64, tail *[8]uint64, k *[5]float32, rows []uint8, stride int, ids []uint32, out []float32)
TEXT ·affineGatherI1NEON(SB), NOSPLIT, $0-120
	START
	LSR $2, R14, R25
	LSL $3, R25, R26
	LSR $3, R14
	AND $8, R26, R25
	SUB $16, R25, R24
	AFFINE(PARTSI1, QUERYI1, TAILI1, CODEI1, NOMERGE)
