// What the NEON kernels share. R0 walks the query, R1-R4 walk four rows, R5
// counts what is left.

// Instructions the Go assembler does not know, operands in Go's order: d = n op m.
#define FADD(m, n, d) WORD $(0x4E20D400 | (m)<<16 | (n)<<5 | (d)) // FADD Vd.4S, Vn.4S, Vm.4S
#define FSUB(m, n, d) WORD $(0x4EA0D400 | (m)<<16 | (n)<<5 | (d)) // FSUB Vd.4S, Vn.4S, Vm.4S
#define FADDP(m, n, d) WORD $(0x6E20D400 | (m)<<16 | (n)<<5 | (d)) // FADDP Vd.4S, Vn.4S, Vm.4S
#define SDOT(m, n, d) WORD $(0x4E809400 | (m)<<16 | (n)<<5 | (d)) // SDOT Vd.4S, Vn.16B, Vm.16B
#define UDOT(m, n, d) WORD $(0x6E809400 | (m)<<16 | (n)<<5 | (d)) // UDOT Vd.4S, Vn.16B, Vm.16B
#define SABD(m, n, d) WORD $(0x4E207400 | (m)<<16 | (n)<<5 | (d)) // SABD Vd.16B, Vn.16B, Vm.16B
#define UABD(m, n, d) WORD $(0x6E207400 | (m)<<16 | (n)<<5 | (d)) // UABD Vd.16B, Vn.16B, Vm.16B
#define SMULL(m, n, d) WORD $(0x0E20C000 | (m)<<16 | (n)<<5 | (d)) // SMULL Vd.8H, Vn.8B, Vm.8B
#define SMULL2(m, n, d) WORD $(0x4E20C000 | (m)<<16 | (n)<<5 | (d)) // SMULL2 Vd.8H, Vn.16B, Vm.16B
#define UMULL(m, n, d) WORD $(0x2E20C000 | (m)<<16 | (n)<<5 | (d)) // UMULL Vd.8H, Vn.8B, Vm.8B
#define UMULL2(m, n, d) WORD $(0x6E20C000 | (m)<<16 | (n)<<5 | (d)) // UMULL2 Vd.8H, Vn.16B, Vm.16B
#define SADALP(n, d) WORD $(0x4E606800 | (n)<<5 | (d)) // SADALP Vd.4S, Vn.8H
#define UADALP(n, d) WORD $(0x6E606800 | (n)<<5 | (d)) // UADALP Vd.4S, Vn.8H
#define UADDLP(n, d) WORD $(0x6E202800 | (n)<<5 | (d)) // UADDLP Vd.8H, Vn.16B
#define SADDLP(n, d) WORD $(0x4E202800 | (n)<<5 | (d)) // SADDLP Vd.8H, Vn.16B
#define SMLAL(m, n, d) WORD $(0x0E208000 | (m)<<16 | (n)<<5 | (d)) // SMLAL Vd.8H, Vn.8B, Vm.8B
#define SMLAL2(m, n, d) WORD $(0x4E208000 | (m)<<16 | (n)<<5 | (d)) // SMLAL2 Vd.8H, Vn.16B, Vm.16B
#define FMUL(m, n, d) WORD $(0x6E20DC00 | (m)<<16 | (n)<<5 | (d)) // FMUL Vd.4S, Vn.4S, Vm.4S
#define SCVTF(n, d) WORD $(0x4E21D800 | (n)<<5 | (d)) // SCVTF Vd.4S, Vn.4S
#define LD4S0(p, d) WORD $(0x0D60A000 | (p)<<5 | (d)) // LD4 {Vd.S, Vd+1.S, Vd+2.S, Vd+3.S}[0], [Xp]
#define LD4S1(p, d) WORD $(0x0D60B000 | (p)<<5 | (d)) // … [1], [Xp]
#define LD4S2(p, d) WORD $(0x4D60A000 | (p)<<5 | (d)) // … [2], [Xp]
#define LD4S3(p, d) WORD $(0x4D60B000 | (p)<<5 | (d)) // … [3], [Xp]

#define ZERO(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

// R9-R12 walk the next four rows, a line a step, to fetch them.
#define FETCH \
	PRFM (R9), PLDL1KEEP; \
	PRFM (R10), PLDL1KEEP; \
	PRFM (R11), PLDL1KEEP; \
	PRFM (R12), PLDL1KEEP; \
	ADD $64, R9; \
	ADD $64, R10; \
	ADD $64, R11; \
	ADD $64, R12

// Rows by id. R13 is the query, R14 its length in units of the kernel, R15 the
// rows, R16 the stride in bytes, R17 the ids, R19 how many, R20 out. Four rows
// at a time while there are, each pass fetching the four after it, or the last
// again at the end of the list.

#define ADDRESS(at, p) \
	MOVWU at, p; \
	MADD R16, R15, p, p

#define NEXT(k, p) \
	CMP $(k+1), R19; \
	CSEL LT, R21, R22, R21; \
	ADD $1, R22; \
	MOVWU (R17)(R21<<2), p; \
	MADD R16, R15, p, p

#define GATHER(ONE, FOUR) \
four: \
	CMP $4, R19; \
	BLT few; \
	ADDRESS(0(R17), R1); \
	ADDRESS(4(R17), R2); \
	ADDRESS(8(R17), R3); \
	ADDRESS(12(R17), R4); \
	MOVD $3, R21; \
	MOVD $4, R22; \
	NEXT(4, R9); \
	NEXT(5, R10); \
	NEXT(6, R11); \
	NEXT(7, R12); \
	MOVD R13, R0; \
	MOVD R14, R5; \
	FOUR; \
	VST1.P [V0.S4], 16(R20); \
	ADD $16, R17; \
	SUB $4, R19; \
	JMP four; \
few: \
	CBZ R19, end; \
one: \
	ADDRESS(0(R17), R1); \
	MOVD R13, R0; \
	MOVD R14, R5; \
	ONE; \
	FMOVS.P F0, 4(R20); \
	ADD $4, R17; \
	SUBS $1, R19; \
	BNE one; \
end: \
	RET
