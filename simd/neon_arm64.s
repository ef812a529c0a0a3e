//go:build !purego

// NEON kernels, by hand. Every kernel has two shapes, a pair and rows by id;
// both run the macros ONE and, for rows, FOUR, so they add in the same order.
//
// V16-V19 hold the query, V20-V23 a row, and row r accumulates in V(4r) to
// V(4r+3).

#include "textflag.h"
#include "neon_arm64.h"

#define ZEROFOUR \
	ZERO(V0, V1, V2, V3); \
	ZERO(V4, V5, V6, V7); \
	ZERO(V8, V9, V10, V11); \
	ZERO(V12, V13, V14, V15)

// Floats: 16 elements a step, then 4, then 1; loading one clears the other
// lanes, which then add nothing.

#define DOT16(p, a, b, c, d) \
	VLD1.P 64(p), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VFMLA V20.S4, V16.S4, a.S4; \
	VFMLA V21.S4, V17.S4, b.S4; \
	VFMLA V22.S4, V18.S4, c.S4; \
	VFMLA V23.S4, V19.S4, d.S4

#define DOTREST(a) \
	VFMLA V20.S4, V16.S4, a.S4

#define L216(p, a, b, c, d) \
	VLD1.P 64(p), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	FSUB(20, 16, 20); \
	FSUB(21, 17, 21); \
	FSUB(22, 18, 22); \
	FSUB(23, 19, 23); \
	VFMLA V20.S4, V20.S4, a.S4; \
	VFMLA V21.S4, V21.S4, b.S4; \
	VFMLA V22.S4, V22.S4, c.S4; \
	VFMLA V23.S4, V23.S4, d.S4

#define L2REST(a) \
	FSUB(20, 16, 20); \
	VFMLA V20.S4, V20.S4, a.S4

#define FLOATONE(STEP, REST) \
	ZERO(V0, V1, V2, V3); \
	SUBS $16, R5; \
	BLT onefour; \
onestep: \
	VLD1.P 64(R0), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	STEP(R1, V0, V1, V2, V3); \
	SUBS $16, R5; \
	BGE onestep; \
onefour: \
	ADDS $12, R5; \
	BLT onesingle; \
onefourstep: \
	VLD1.P 16(R0), [V16.S4]; \
	VLD1.P 16(R1), [V20.S4]; \
	REST(V0); \
	SUBS $4, R5; \
	BGE onefourstep; \
onesingle: \
	ADDS $4, R5; \
	BEQ onesum; \
onesinglestep: \
	FMOVS.P 4(R0), F16; \
	FMOVS.P 4(R1), F20; \
	REST(V0); \
	SUBS $1, R5; \
	BNE onesinglestep; \
onesum: \
	FADD(1, 0, 0); \
	FADD(3, 2, 2); \
	FADD(2, 0, 0); \
	FADDP(0, 0, 0); \
	FADDP(0, 0, 0)

#define FLOATFOUR(STEP, REST) \
	ZEROFOUR; \
	SUBS $16, R5; \
	BLT fourfour; \
fourstep: \
	FETCH; \
	VLD1.P 64(R0), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	STEP(R1, V0, V1, V2, V3); \
	STEP(R2, V4, V5, V6, V7); \
	STEP(R3, V8, V9, V10, V11); \
	STEP(R4, V12, V13, V14, V15); \
	SUBS $16, R5; \
	BGE fourstep; \
fourfour: \
	FETCH; \
	ADDS $12, R5; \
	BLT foursingle; \
fourfourstep: \
	VLD1.P 16(R0), [V16.S4]; \
	VLD1.P 16(R1), [V20.S4]; \
	REST(V0); \
	VLD1.P 16(R2), [V20.S4]; \
	REST(V4); \
	VLD1.P 16(R3), [V20.S4]; \
	REST(V8); \
	VLD1.P 16(R4), [V20.S4]; \
	REST(V12); \
	SUBS $4, R5; \
	BGE fourfourstep; \
foursingle: \
	ADDS $4, R5; \
	BEQ foursum; \
foursinglestep: \
	FMOVS.P 4(R0), F16; \
	FMOVS.P 4(R1), F20; \
	REST(V0); \
	FMOVS.P 4(R2), F20; \
	REST(V4); \
	FMOVS.P 4(R3), F20; \
	REST(V8); \
	FMOVS.P 4(R4), F20; \
	REST(V12); \
	SUBS $1, R5; \
	BNE foursinglestep; \
foursum: \
	FADD(1, 0, 0); \
	FADD(3, 2, 2); \
	FADD(2, 0, 0); \
	FADD(5, 4, 4); \
	FADD(7, 6, 6); \
	FADD(6, 4, 4); \
	FADD(9, 8, 8); \
	FADD(11, 10, 10); \
	FADD(10, 8, 8); \
	FADD(13, 12, 12); \
	FADD(15, 14, 14); \
	FADD(14, 12, 12); \
	FADDP(4, 0, 0); \
	FADDP(12, 8, 8); \
	FADDP(8, 0, 0)

// Bytes: 16 a step, then 1 in an otherwise clear register. KIND adds what V16
// and V20 give to the 32-bit lanes of an accumulator.

#define DOTI8(a) SDOT(20, 16, a)
#define DOTU8(a) UDOT(20, 16, a)

#define L2I8(a) \
	SABD(20, 16, 20); \
	UDOT(20, 20, a)

#define L2U8(a) \
	UABD(20, 16, 20); \
	UDOT(20, 20, a)

#define DOTI8OLD(a) \
	SMULL(20, 16, 21); \
	SMULL2(20, 16, 22); \
	SADALP(21, a); \
	SADALP(22, a)

#define DOTU8OLD(a) \
	UMULL(20, 16, 21); \
	UMULL2(20, 16, 22); \
	UADALP(21, a); \
	UADALP(22, a)

#define SQUAREOLD(a) \
	UMULL(20, 20, 21); \
	UMULL2(20, 20, 22); \
	UADALP(21, a); \
	UADALP(22, a)

#define L2I8OLD(a) \
	SABD(20, 16, 20); \
	SQUAREOLD(a)

#define L2U8OLD(a) \
	UABD(20, 16, 20); \
	SQUAREOLD(a)

#define HAMMING(a) \
	VEOR V16.B16, V20.B16, V20.B16; \
	VCNT V20.B16, V20.B16; \
	UADDLP(20, 20); \
	UADALP(20, a)

#define BYTESONE(KIND) \
	VEOR V0.B16, V0.B16, V0.B16; \
	SUBS $16, R5; \
	BLT onesingle; \
onestep: \
	VLD1.P 16(R0), [V16.B16]; \
	VLD1.P 16(R1), [V20.B16]; \
	KIND(0); \
	SUBS $16, R5; \
	BGE onestep; \
onesingle: \
	ADDS $16, R5; \
	BEQ onesum; \
onesinglestep: \
	VEOR V16.B16, V16.B16, V16.B16; \
	VEOR V20.B16, V20.B16, V20.B16; \
	VLD1.P 1(R0), V16.B[0]; \
	VLD1.P 1(R1), V20.B[0]; \
	KIND(0); \
	SUBS $1, R5; \
	BNE onesinglestep; \
onesum: \
	VADDP V0.S4, V0.S4, V0.S4; \
	VADDP V0.S4, V0.S4, V0.S4

#define BYTESINGLE(KIND, p, a) \
	VEOR V20.B16, V20.B16, V20.B16; \
	VLD1.P 1(p), V20.B[0]; \
	KIND(a)

#define BYTESTEP(KIND, p, a) \
	VLD1.P 16(p), [V20.B16]; \
	KIND(a)

#define BYTESFOUR(KIND) \
	ZERO(V0, V4, V8, V12); \
	SUBS $16, R5; \
	BLT foursingle; \
fourstep: \
	VLD1.P 16(R0), [V16.B16]; \
	BYTESTEP(KIND, R1, 0); \
	BYTESTEP(KIND, R2, 4); \
	BYTESTEP(KIND, R3, 8); \
	BYTESTEP(KIND, R4, 12); \
	TST $48, R5; \
	BNE fournofetch; \
	FETCH; \
fournofetch: \
	SUBS $16, R5; \
	BGE fourstep; \
foursingle: \
	FETCH; \
	ADDS $16, R5; \
	BEQ foursum; \
foursinglestep: \
	VEOR V16.B16, V16.B16, V16.B16; \
	VLD1.P 1(R0), V16.B[0]; \
	BYTESINGLE(KIND, R1, 0); \
	BYTESINGLE(KIND, R2, 4); \
	BYTESINGLE(KIND, R3, 8); \
	BYTESINGLE(KIND, R4, 12); \
	SUBS $1, R5; \
	BNE foursinglestep; \
foursum: \
	VADDP V4.S4, V0.S4, V0.S4; \
	VADDP V12.S4, V8.S4, V8.S4; \
	VADDP V8.S4, V0.S4, V0.S4

TEXT ·dotNEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	FLOATONE(DOT16, DOTREST)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·dotGatherNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	LSL $2, R16
	GATHER(FLOATONE(DOT16, DOTREST), FLOATFOUR(DOT16, DOTREST))

TEXT ·l2NEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	FLOATONE(L216, L2REST)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·l2GatherNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	LSL $2, R16
	GATHER(FLOATONE(L216, L2REST), FLOATFOUR(L216, L2REST))

TEXT ·dotI8NEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(DOTI8)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·dotGatherI8NEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(DOTI8), BYTESFOUR(DOTI8))

TEXT ·dotI8OldNEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(DOTI8OLD)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·dotGatherI8OldNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(DOTI8OLD), BYTESFOUR(DOTI8OLD))

TEXT ·l2I8NEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(L2I8)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·l2GatherI8NEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(L2I8), BYTESFOUR(L2I8))

TEXT ·l2I8OldNEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(L2I8OLD)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·l2GatherI8OldNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(L2I8OLD), BYTESFOUR(L2I8OLD))

TEXT ·dotU8NEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(DOTU8)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·dotGatherU8NEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(DOTU8), BYTESFOUR(DOTU8))

TEXT ·dotU8OldNEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(DOTU8OLD)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·dotGatherU8OldNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(DOTU8OLD), BYTESFOUR(DOTU8OLD))

TEXT ·l2U8NEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(L2U8)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·l2GatherU8NEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(L2U8), BYTESFOUR(L2U8))

TEXT ·l2U8OldNEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	BYTESONE(L2U8OLD)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·l2GatherU8OldNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	GATHER(BYTESONE(L2U8OLD), BYTESFOUR(L2U8OLD))

TEXT ·hammingNEON(SB), NOSPLIT, $0-52
	MOVD a_base+0(FP), R0
	MOVD a_len+8(FP), R5
	MOVD b_base+24(FP), R1
	LSL $3, R5
	BYTESONE(HAMMING)
	FMOVS F0, ret+48(FP)
	RET

TEXT ·hammingGatherNEON(SB), NOSPLIT, $0-104
	MOVD q_base+0(FP), R13
	MOVD q_len+8(FP), R14
	MOVD rows_base+24(FP), R15
	MOVD stride+48(FP), R16
	MOVD ids_base+56(FP), R17
	MOVD ids_len+64(FP), R19
	MOVD out_base+80(FP), R20
	LSL $3, R16
	LSL $3, R14
	GATHER(BYTESONE(HAMMING), BYTESFOUR(HAMMING))
