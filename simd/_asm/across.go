package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// across scores four rows of words side by side with AVX2, leaving the results in
// X0: blocks as f does, then the last one to three words of all four rows in the
// same registers, whose sums register 14 collects in 64-bit lanes.
//
// Of rows of less than a block, which are those of up to 192 dimensions, that is
// all there is.
func (b *body) across(whole, rest func(), f func(at Mem, u int, k *mask)) {
	w, _ := b.Blocks()
	start, tail, one, done, folded := b.next("step"), b.next("tail"), b.next("word"), b.next("done"), b.next("folded")
	AVX2.zero(14)
	XORQ(b.i, b.i)
	CMPQ(b.i, b.limit)
	JGE(LabelRef(tail))
	loop(start)
	f(Mem{Index: b.i}, 0, nil)
	if whole != nil {
		whole()
	}
	ADDQ(U8(w), b.i)
	CMPQ(b.i, b.limit)
	JL(LabelRef(start))
	Label(tail)
	CMPQ(b.i, b.dim)
	JGE(LabelRef(done))
	if rest != nil {
		rest()
	}
	TESTQ(U32(2), b.dim)
	JZ(LabelRef(one))
	b.twoWords()
	ADDQ(U8(2), b.i)
	Label(one)
	TESTQ(U32(1), b.dim)
	JZ(LabelRef(done))
	b.oneWord()
	Label(done)
	TESTQ(b.limit, b.limit)
	JZ(LabelRef(folded)) // X0 is zero
	b.Fold(4, false)
	Label(folded)
	VEXTRACTI128(U8(1), Y(14), X(10))
	VSHUFPS(U8(0x88), X(10), X(14), X(14))
	VPADDD(X(14), X(0), X(0))
}

// counter is an op of words that can count rows that share a register.
type counter interface {
	// Count leaves in each 64-bit lane of register 10 the sum of that word of
	// register 8, given the one or two words of the query at m.
	Count(b *body, m Mem, words int)
}

// counter is the op, or what it does with codes.
func (b *body) counter() counter {
	if a, ok := b.op.(*affine); ok {
		return a.code.(counter)
	}
	return b.op.(counter)
}

// word is where the next words of row r are; rest is that of the query.
func (b *body) word(r, at int) Mem {
	return Mem{Base: b.rows[r], Index: b.i, Scale: 8, Disp: b.head + 8*at}
}

func (b *body) rest() Mem { return Mem{Base: b.q, Index: b.i, Scale: 8} }

// twoWords starts register 14: two rows at a time, two words each.
func (b *body) twoWords() {
	VMOVDQU(b.word(0, 0), X(8))
	VINSERTI128(U8(1), b.word(2, 0), Y(8), Y(8))
	b.counter().Count(b, b.rest(), 2)
	VMOVDQA(Y(10), Y(14))
	VMOVDQU(b.word(1, 0), X(8))
	VINSERTI128(U8(1), b.word(3, 0), Y(8), Y(8))
	b.counter().Count(b, b.rest(), 2)
	VPUNPCKLQDQ(Y(10), Y(14), Y(11))
	VPUNPCKHQDQ(Y(10), Y(14), Y(14))
	VPADDQ(Y(11), Y(14), Y(14))
}

// oneWord adds a word of each row to register 14.
func (b *body) oneWord() {
	VMOVQ(b.word(0, 0), X(8))
	VPINSRQ(U8(1), b.word(1, 0), X(8), X(8))
	VMOVQ(b.word(2, 0), X(10))
	VPINSRQ(U8(1), b.word(3, 0), X(10), X(10))
	VINSERTI128(U8(1), X(10), Y(8), Y(8))
	b.counter().Count(b, b.rest(), 1)
	VPADDQ(Y(10), Y(14), Y(14))
}

// spread loads one or two words into all of register n.
func spread(m Mem, words int, n int) {
	if words == 2 {
		VBROADCASTI128(m, ys[n])
	} else {
		VPBROADCASTQ(m, ys[n])
	}
}
