package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// header is the number of bytes before the codes of an affine row.
const header = 16

// affine is the sum of products of a query and affine codes, and the float32
// that the row's header makes of it. Codes are in code.go. Registers: row r
// accumulates in r, unless its kind says otherwise, and a lone row in 0 and 1 by
// turns; 4-7 and 9 hold the coefficients; 8 and 10-15 are for each kind.
type affine struct {
	isa  ISA
	code coder
	b    *body
}

// coder is what a width of code computes for a block of codes.
type coder interface {
	// Kind ends the kernel's name; Types are as those of an op, where elements
	// are the units that the codes of a row are counted in: bytes or words.
	Kind() string
	Types() (q string, qsize, rowsize int)
	// Width is the number of units in a block.
	Width() int
	// Extent is the number of units in a row, and up to which whole blocks may
	// go, of a query of n elements.
	Extent(n reg.GPVirtual) (dim, whole reg.GPVirtual)
	Const(b *body)
	// Start makes the accumulators of row r; Row adds the block at m to them.
	Start(r int)
	Query(b *body, m Mem, k *mask)
	Row(m Mem, r int, k *mask)
	// Merge leaves in registers 0 to n-1 lanes whose sums are those of the rows.
	Merge(n int)
}

func (o *affine) ISA() ISA                  { return o.isa }
func (o *affine) Name() (verb, kind string) { return "affine", o.code.Kind() }
func (o *affine) Blocks() (w, u int)        { return o.code.Width(), 1 }

func (o *affine) Types() (q, row, pair, list string, qsize, rowsize int) {
	q, qsize, rowsize = o.code.Types()
	return q, "uint8", "", "float32", qsize, rowsize
}

// coefficients are the registers that hold *k.
var coefficients = [5]int{4, 5, 6, 7, 9}

func (o *affine) Const(b *body) {
	k := Load(Param("k"), GP64())
	for i, v := range coefficients {
		VBROADCASTSS(Mem{Base: k, Disp: 4 * i}, X(v))
	}
	o.b = b
	o.code.Const(b)
}

func (o *affine) Start(r int)                  { o.code.Start(r) }
func (o *affine) Query(m Mem, _ int, k *mask)  { o.code.Query(o.b, m, k) }
func (o *affine) Row(m Mem, r, u int, k *mask) { o.code.Row(m, r+u, k) }

func (o *affine) Fold(n int, _ bool) {
	if n == 1 {
		o.code.Merge(2)
		VPADDD(o.isa.Vec(1), o.isa.Vec(0), o.isa.Vec(0))
	} else {
		o.code.Merge(n)
	}
	foldInts(o.isa, n, 1)
}

// finish makes n results of n sums in X0, with the headers of the rows, in the
// order of additions that generic.go fixes. Every product and sum is rounded by
// itself, so that all implementations give the same bits.
func (o *affine) finish(b *body, n int) {
	h := []int{1, 2, 3, 8}
	for r := range n {
		VMOVUPS(Mem{Base: b.rows[r]}, X(h[r]))
	}
	if n == 1 {
		h = []int{1, 1, 1, 1}
	}
	// A transposition of four headers to scales, words, sums and norms.
	VUNPCKLPS(X(h[1]), X(h[0]), X(10))
	VUNPCKHPS(X(h[1]), X(h[0]), X(11))
	lo, hi := X(10), X(11)
	if n == 4 {
		VUNPCKLPS(X(h[3]), X(h[2]), X(1))
		VUNPCKHPS(X(h[3]), X(h[2]), X(2))
		lo, hi = X(1), X(2)
	}
	scale, word, sum, norm := X(3), X(8), X(10), X(11)
	VUNPCKLPD(lo, X(10), scale)
	VUNPCKHPD(lo, X(10), word)
	VUNPCKLPD(hi, X(11), sum)
	VUNPCKHPD(hi, X(11), norm)
	VPSRLD(U8(16), word, word)
	VPSLLD(U8(16), word, word)
	k := func(i int) reg.Register { return X(coefficients[i]) }
	VCVTDQ2PS(X(0), X(0))
	VMULPS(word, k(2), word)
	VADDPS(word, k(0), word)
	VMULPS(sum, k(3), sum)
	VMULPS(norm, k(4), norm)
	VADDPS(norm, sum, sum)
	VADDPS(sum, word, word)
	VMULPS(scale, k(1), scale)
	VMULPS(scale, X(0), X(0))
	VADDPS(word, X(0), X(0))
}

// affines writes the two kernels of a width of code.
func affines(isa ISA, code coder) {
	o := &affine{isa: isa, code: code}
	q, _, _ := code.Types()
	sfx := code.Kind() + isa.Suffix()
	args := fmt.Sprintf("q []%s, k *[5]float32, rows []uint8, stride int", q)
	if c, ok := code.(*affine4); ok && c.isa == AVX2 {
		args = "tail *[64]int8, " + args
	}
	TEXT("affineRows"+sfx, 4, fmt.Sprintf("func(%s, out []float32)", args))
	Pragma("noescape")
	denseRows(o)
	TEXT("affineGather"+sfx, 4, fmt.Sprintf("func(%s, ids []uint32, out []float32)", args))
	Pragma("noescape")
	gatherRows(o)
}
