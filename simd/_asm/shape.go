package main

import (
	"fmt"
	pow "math/bits"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// op is what a distance kernel computes, for one block of W elements at a time.
type op interface {
	ISA() ISA
	// Name is that of the generic kernel's shape: dotHalf becomes dotRowsHalf.
	Name() (verb, kind string)
	// Types are the Go types of a query element, a row element, a result of a
	// pair and of a list, with the sizes of the first two.
	Types() (q, row, pair, list string, qsize, rowsize int)
	// Blocks is the number of elements in a block and of blocks in a step. A
	// step's blocks have accumulators of their own, so that they overlap.
	Blocks() (w, u int)
	// Const prepares registers that stay the same for the whole call; start
	// makes the accumulators of row r.
	Const(b *body)
	Start(r int)
	// Query loads block u of the query; Row adds the block of row r at m. Both
	// keep to the mask.
	Query(m Mem, u int, k *mask)
	Row(m Mem, r, u int, k *mask)
	// Fold reduces the accumulators of n rows, 1 or 4, to n 32-bit lanes of
	// X0. With wide it is one 64-bit lane.
	Fold(n int, wide bool)
}

// body is one kernel under construction.
type body struct {
	op
	label
	q, dim, limit, i reg.GPVirtual // query; elements; those in whole steps; element index
	rows             [4]reg.GPVirtual
	late             bool // masks are prepared when there is something left
	head             int  // bytes of a row before its elements
	twice            bool // whole steps go by pairs; those of one block have accumulators of their own
}

// How the gather kernels fetch ahead. Rows of up to narrow bytes are fetched
// whole, a row after the other: many rows before their turn if of up to short
// bytes, else some; wider ones line by line, in step with the four rows being
// scored. (416 bytes, lists of 32: 26 ns a row with 32 rows ahead, 32 with 16,
// 37 with 8; from 1200 bytes on there is no difference from 8 up.)
//
// Into which cache is said at byVendor and byCache.
const (
	few    = 192
	short  = 1024
	many   = 32
	some   = 16
	narrow = 2048

	// lookahead is the number of bytes that dense rows are fetched ahead of.
	lookahead = 8192

	// Dense rows wideRow or more bytes apart are walked as denseRows says; long is
	// the number of rows from which they are taken to come from memory.
	wideRow = 96
	long    = 64
)

// shapes writes the three kernels of an op.
func shapes(o op) {
	verb, kind := o.Name()
	q, row, pair, list, _, _ := o.Types()
	sfx := kind + o.ISA().Suffix()
	switch {
	case q == row && pair == "float32":
		pointers(o)
	case verb == "hamming":
		TEXT(verb+sfx, 4, fmt.Sprintf("func(a, b []%s) %s", q, pair))
		Pragma("noescape")
		onePair(o, pair == "int")
	default:
		TEXT(verb+sfx, 4, fmt.Sprintf("func(a []%s, b []%s) %s", q, row, pair))
		Pragma("noescape")
		onePair(o, pair == "int")
	}
	args := fmt.Sprintf("q []%s, rows []%s, stride int", q, row)
	TEXT(verb+"Rows"+sfx, 4, fmt.Sprintf("func(%s, out []%s)", args, list))
	Pragma("noescape")
	denseRows(o)
	TEXT(verb+"Gather"+sfx, 4, fmt.Sprintf("func(%s, ids []uint32, out []%s)", args, list))
	Pragma("noescape")
	gatherRows(o)
}

// begin loads the query and prepares the constants, and masks.
func begin(o op, query string) *body { return prepare(o, query, false) }

// prepare is begin, but leaves masks to be prepared late.
func prepare(o op, query string, late bool) *body {
	q := Load(Param(query).Base(), GP64()).(reg.GPVirtual)
	return prepareAt(o, q, Load(Param(query).Len(), GP64()).(reg.GPVirtual), late)
}

// prepareAt is prepare for a query at q of dim elements.
func prepareAt(o op, q, dim reg.GPVirtual, late bool) *body {
	b := &body{op: o, late: late, q: q, dim: dim}
	w, u := o.Blocks()
	whole := b.dim
	if a, ok := o.(*affine); ok {
		b.head = header
		b.dim, whole = a.code.Extent(b.dim)
	}
	b.limit = GP64()
	MOVQ(whole, b.limit)
	ANDQ(I32(int32(-w*u)), b.limit)
	if !late && !(b.words() && b.ISA() == AVX2) {
		b.masks()
	}
	b.i = GP64()
	o.Const(b)
	return b
}

// masks prepares the masks of what whole blocks leave.
func (b *body) masks() {
	w, u := b.Blocks()
	rem := GP64()
	if b.ISA() == AVX512 {
		MOVQ(b.dim, rem)
		SUBQ(b.limit, rem)
		if u > 1 {
			ANDQ(U32(uint32(w-1)), rem)
		}
		b.trailing(rem, rem, ks[0])
	} else {
		// A mask of the last dim mod w lanes; a lane is as wide as an
		// element after widening.
		lane, table := int(AVX2)/w, GP64()
		MOVQ(b.dim, rem)
		ANDQ(U32(uint32(w-1)), rem)
		LEAQ(maskTable, table)
		VMOVDQU(Mem{Base: table, Index: rem, Scale: uint8(lane)}, reg.Y14)
	}
}

// before is the number of elements' room that a header gives a block before the
// first element. A block of a query may then start before the query: its mask
// makes that safe.
func (b *body) before() int {
	_, _, _, _, _, size := b.Types()
	return b.head / size
}

// trailing makes k the mask of n of the last rem lanes of a block, the first of
// them; of the first lanes if no block fits before the end of a row.
func (b *body) trailing(rem, n reg.GPVirtual, k reg.Register) {
	w, _ := b.Blocks()
	ones, shift, none := GP64(), GP64(), GP64()
	MOVQ(I32(-1), ones)
	BZHIQ(n, ones, ones)
	MOVQ(U32(uint32(w)), shift)
	SUBQ(rem, shift)
	XORQ(none, none)
	CMPQ(b.dim, U8(w-b.before()))
	CMOVQLT(none, shift)
	SHLXQ(shift, ones, ones)
	KMOVQ(ones, k)
}

// blocks runs f over the blocks of dim elements: in whole steps, then what is
// left. whole runs after each step, rest if anything is left.
//
// The last block ends with the vectors and overlaps elements already counted,
// which its mask leaves out: a block that went on beyond a row, though masked,
// would wait for a line of memory that nothing fetched ahead.
func (b *body) blocks(whole, rest func(), f func(at Mem, u int, k *mask)) {
	w, u := b.Blocks()
	start, tail, done := b.next("step"), b.next("tail"), b.next("done")
	XORQ(b.i, b.i)
	if b.twice {
		b.double(f)
	}
	CMPQ(b.i, b.limit)
	JGE(LabelRef(tail))
	loop(start)
	for j := range u {
		f(Mem{Index: b.i, Disp: j * w}, j, nil)
	}
	if whole != nil {
		whole()
	}
	ADDQ(U32(uint32(w*u)), b.i)
	CMPQ(b.i, b.limit)
	JL(LabelRef(start))
	Label(tail)
	CMPQ(b.i, b.dim)
	JGE(LabelRef(done))
	if rest != nil {
		rest()
	}
	if b.words() && b.ISA() == AVX2 {
		b.pieces(done, f)
		Label(done)
		return
	}
	last := GP64()
	LEAQ(Mem{Base: b.dim, Disp: -w}, last)
	for j := range u - 1 {
		skip := b.next("half")
		CMPQ(b.i, last)
		JG(LabelRef(skip))
		f(Mem{Index: b.i}, j, nil)
		ADDQ(U32(uint32(w)), b.i)
		Label(skip)
	}
	if u > 1 {
		CMPQ(b.i, b.dim)
		JGE(LabelRef(done))
	}
	switch {
	case b.ISA() == AVX512:
		XORQ(b.i, b.i)
		CMPQ(last, I8(-b.before()))
		CMOVQGE(last, b.i)
		f(Mem{Index: b.i}, u-1, &mask{k: ks[0]})
	default:
		MOVQ(last, b.i)
		f(Mem{Index: b.i}, u-1, &mask{v: reg.Y14})
	}
	Label(done)
}

// words reports whether elements are words, whose AVX2 kernels serve short
// vectors too, and need no masks.
func (b *body) words() bool {
	_, _, _, _, _, size := b.Types()
	return size == 8
}

// pieces runs f over the last one to three words, by two and one.
func (b *body) pieces(done string, f func(at Mem, u int, k *mask)) {
	one := b.next("word")
	TESTQ(U32(2), b.dim)
	JZ(LabelRef(one))
	f(Mem{Index: b.i}, 0, &mask{words: 2})
	ADDQ(U8(2), b.i)
	Label(one)
	TESTQ(U32(1), b.dim)
	JZ(LabelRef(done))
	f(Mem{Index: b.i}, 0, &mask{words: 1})
}

// double runs f over pairs of whole steps. Steps of one block add to registers of
// their own, so that sums of one row do not wait for each other.
func (b *body) double(f func(at Mem, u int, k *mask)) {
	w, u := b.Blocks()
	start, done := b.next("pair"), b.next("unpaired")
	end := GP64()
	LEAQ(Mem{Base: b.limit, Disp: -2 * w * u}, end)
	CMPQ(b.i, end)
	JG(LabelRef(done))
	loop(start)
	for j := range 2 * u {
		f(Mem{Index: b.i, Disp: j * w}, j%max(u, 2), nil)
	}
	ADDQ(U32(uint32(2*w*u)), b.i)
	CMPQ(b.i, end)
	JLE(LabelRef(start))
	Label(done)
}

// pass scores n rows side by side, leaving the results in X0.
func (b *body) pass(n int, wide bool, whole, rest func()) {
	a, isAffine := b.op.(*affine)
	b.twice = b.late || isAffine && n == 1
	for r := range n {
		b.Start(r)
	}
	if isAffine && n == 1 {
		b.Start(1)
	}
	f := func(at Mem, u int, k *mask) {
		b.query(at, u, k)
		for r := range n {
			b.row(at, r, u, k)
		}
	}
	if n == 4 && b.words() && b.ISA() == AVX2 {
		b.across(whole, rest, f)
	} else {
		b.blocks(whole, rest, f)
		b.Fold(n, wide)
	}
	if isAffine {
		a.finish(b, n)
	}
}

// sequence scores four rows one after the other, leaving the results in X0.
func (b *body) sequence() {
	b.twice = false
	for r := range 4 {
		b.Start(r)
		b.blocks(nil, nil, func(at Mem, u int, k *mask) {
			b.query(at, u, k)
			b.row(at, r, u, k)
		})
	}
	b.Fold(4, false)
	if a, ok := b.op.(*affine); ok {
		a.finish(b, 4)
	}
}

// query loads a block of the query; row adds the one of row r.
func (b *body) query(at Mem, u int, k *mask) {
	_, _, _, _, size, _ := b.Types()
	b.Query(Mem{Base: b.q, Index: at.Index, Scale: uint8(size), Disp: at.Disp * size}, u, k)
}

func (b *body) row(at Mem, r, u int, k *mask) {
	_, _, _, _, _, size := b.Types()
	b.Row(Mem{Base: b.rows[r], Index: at.Index, Scale: uint8(size), Disp: at.Disp*size + b.head}, r, u, k)
}

func onePair(o op, wide bool) {
	_, late := o.(*float) // others use them before, or are not called for a pair
	b := prepare(o, "a", late)
	b.rows[0] = Load(Param("b").Base(), GP64()).(reg.GPVirtual)
	b.pair(wide)
}

// pair ends the kernel of a pair.
func (b *body) pair(wide bool) {
	var rest func()
	if b.late {
		rest = b.masks
	}
	b.pass(1, wide, nil, rest)
	_, _, pair, _, _, _ := b.Types()
	switch pair {
	case "float32":
		Store(reg.X0, ReturnIndex(0))
	case "int32":
		t := GP32()
		VMOVD(reg.X0, t)
		Store(t, ReturnIndex(0))
	default:
		t := GP64()
		VMOVQ(reg.X0, t)
		Store(t, ReturnIndex(0))
	}
	VZEROUPPER()
	RET()
}

// unit is the number of bytes that the stride of the rows counts.
func (b *body) unit() int {
	if b.head > 0 {
		return 1
	}
	_, _, _, _, _, size := b.Types()
	return size
}

// stride loads the distance of rows in bytes.
func stride(size int) reg.GPVirtual {
	s := Load(Param("stride"), GP64()).(reg.GPVirtual)
	if size > 1 {
		SHLQ(U8(pow.TrailingZeros(uint(size))), s)
	}
	return s
}

// denseRows has three ways. Four rows at a time share the query's registers and
// one fold, which is fastest in a cache: it is for calls of fewer than long rows.
// Longer calls and narrow rows are taken to come from memory: four at a time with
// a sweep that fetches, once each, the lines that come lookahead bytes later; or,
// on AMD's CPUs, one row after the other with a shared fold, in address
// order.
//
// Sapphire Rapids, 256 MB in rows of 128 to 3136 bytes: 12 to 16 GB/s with the
// sweep, 5 to 15 without, 6 to 11 in one stream; 15 by Probe. Zen 4, 512 MB in rows
// of 128 to 1552 bytes: 1.02 to 1.66 times Probe's time with the sweep, 0.93 to
// 1.05 in one stream. Calls of 32 rows lose a quarter by the sweep.
func denseRows(o op) {
	_, _, _, _, _, size := o.Types()
	w, u := o.Blocks()
	b := begin(o, "q")
	base := Load(Param("rows").Base(), GP64()).(reg.GPVirtual)
	step := stride(b.unit())
	out := Load(Param("out").Base(), GP64())
	n := Load(Param("out").Len(), GP64())
	for r := range b.rows {
		b.rows[r] = GP64()
	}
	b.rows[0] = base
	CMPQ(n, U8(4))
	JL(LabelRef("few"))
	CMPQ(step, U32(wideRow))
	JL(LabelRef("four"))
	CMPQ(n, U8(long))
	JL(LabelRef("plain"))
	CMPB(Mem{Symbol: Symbol{Name: "·amd"}, Base: reg.StaticBase}, U8(0))
	JNE(LabelRef("wide"))
	four := func(name string, score func()) {
		loop(name)
		LEAQ(Mem{Base: b.rows[0], Index: step, Scale: 1}, b.rows[1])
		LEAQ(Mem{Base: b.rows[0], Index: step, Scale: 2}, b.rows[2])
		LEAQ(Mem{Base: b.rows[1], Index: step, Scale: 2}, b.rows[3])
		score()
		VMOVDQU(reg.X0, Mem{Base: out})
		ADDQ(U8(16), out)
		LEAQ(Mem{Base: base, Index: step, Scale: 4}, base)
		SUBQ(U8(4), n)
		CMPQ(n, U8(4))
		JGE(LabelRef(name))
	}
	four("four", func() {
		ahead := GP64()
		LEAQ(Mem{Base: base, Index: step, Scale: 4, Disp: lookahead}, ahead)
		fetch := func() {
			for at := 0; at < 4*w*u*size; at += 64 {
				PREFETCHT0(Mem{Base: ahead, Disp: at})
			}
		}
		b.pass(4, false, func() {
			fetch()
			ADDQ(U32(uint32(4*w*u*size)), ahead)
		}, fetch)
	})
	JMP(LabelRef("few"))
	four("plain", func() { b.pass(4, false, nil, nil) })
	JMP(LabelRef("few"))
	four("wide", b.sequence)
	Label("few")
	TESTQ(n, n)
	JZ(LabelRef("end"))
	loop("one")
	b.pass(1, false, nil, nil)
	VMOVD(reg.X0, Mem{Base: out})
	ADDQ(U8(4), out)
	ADDQ(step, base)
	DECQ(n)
	JNZ(LabelRef("one"))
	Label("end")
	VZEROUPPER()
	RET()
}
