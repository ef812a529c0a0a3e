package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// lanes is what codes have in common that accumulate row r in register r.
type lanes struct{ isa ISA }

func (c lanes) Start(r int) { c.isa.zero(r) }
func (c lanes) Merge(int)   {}

// affine8 is a signed byte a component against an unsigned query: AVX-512 has an
// instruction for just that; AVX2 widens to 16 bits. 8 holds the query.
type affine8 struct{ lanes }

func (c *affine8) Kind() string                          { return "I8" }
func (c *affine8) Types() (q string, qsize, rowsize int) { return "uint8", 1, 1 }
func (c *affine8) Const(*body)                           {}

func (c *affine8) Extent(n reg.GPVirtual) (dim, whole reg.GPVirtual) { return n, n }

func (c *affine8) Width() int {
	if c.isa == AVX512 {
		return 64
	}
	return 16
}

func (c *affine8) Query(_ *body, m Mem, k *mask) {
	q := c.isa.Vec(8)
	switch {
	case c.isa == AVX2:
		VPMOVZXBW(m, q)
		if k != nil {
			VPAND(k.v, q, q)
		}
	case k == nil:
		VMOVDQU8(m, q)
	default:
		VMOVDQU8_Z(m, k.k, q)
	}
}

func (c *affine8) Row(m Mem, r int, k *mask) {
	acc, q, t := c.isa.Vec(r), c.isa.Vec(8), c.isa.Vec(10)
	switch {
	case c.isa == AVX2:
		VPMOVSXBW(m, t)
		VPMADDWD(t, q, t)
		VPADDD(t, acc, acc)
	case k == nil:
		VPDPBUSD(m, q, acc)
	default:
		VMOVDQU8_Z(m, k.k, t)
		VPDPBUSD(t, q, acc)
	}
}

// affine4 is a nibble a component, low ones against the first half of a signed
// query, in 8, and high ones against the second half, in 14. 15 is the mask of
// the low nibble and, with AVX2, 12 is ones.
//
// The second half may be a byte shorter than the row, so whole blocks go up to
// its end. AVX-512 masks each half by itself. AVX2 takes the last block of the
// query from tail: its last bytes are those left of each half, after zeros for
// what was counted.
type affine4 struct{ lanes }

func (c *affine4) Kind() string                          { return "I4" }
func (c *affine4) Types() (q string, qsize, rowsize int) { return "int8", 1, 1 }
func (c *affine4) Width() int                            { return int(c.isa) }

func (c *affine4) Extent(n reg.GPVirtual) (dim, whole reg.GPVirtual) {
	dim, whole = GP64(), GP64()
	LEAQ(Mem{Base: n, Disp: 1}, dim)
	SHRQ(U8(1), dim)
	MOVQ(n, whole)
	SHRQ(U8(1), whole)
	return dim, whole
}

func (c *affine4) Const(b *body) {
	c.isa.broadcast(15, 0x0f)
	if c.isa == AVX2 {
		AVX2.zero(12)
		VPCMPEQW(Y(12), Y(12), Y(12))
		VPSRLW(U8(15), Y(12), Y(12))
		return
	}
	n, rem := Load(Param("q").Len(), GP64()).(reg.GPVirtual), GP64()
	SHRQ(U8(1), n)
	SUBQ(b.limit, n)
	MOVQ(b.dim, rem)
	SUBQ(b.limit, rem)
	b.trailing(rem, n, ks[1])
}

func (c *affine4) Query(b *body, m Mem, k *mask) {
	lo, hi := c.isa.Vec(8), c.isa.Vec(14)
	if k != nil && c.isa == AVX2 {
		tail := Load(Param("tail"), GP64())
		VMOVDQU(Mem{Base: tail}, lo)
		VMOVDQU(Mem{Base: tail, Disp: 32}, hi)
		return
	}
	second := GP64()
	LEAQ(Mem{Base: b.q, Index: b.dim, Scale: 1}, second)
	n := m
	n.Base = second
	switch {
	case c.isa == AVX2:
		VMOVDQU(m, lo)
		VMOVDQU(n, hi)
	case k == nil:
		VMOVDQU8(m, lo)
		VMOVDQU8(n, hi)
	default:
		VMOVDQU8_Z(m, k.k, lo)
		VMOVDQU8_Z(n, ks[1], hi)
	}
}

func (c *affine4) Row(m Mem, r int, k *mask) {
	acc, lo, hi, low := c.isa.Vec(r), c.isa.Vec(8), c.isa.Vec(14), c.isa.Vec(15)
	t, u := c.isa.Vec(10), c.isa.Vec(11)
	if c.isa == AVX2 {
		VMOVDQU(m, t)
		VPSRLW(U8(4), t, u)
		VPAND(low, t, t)
		VPAND(low, u, u)
		// A sum of four products is 7680 or less.
		VPMADDUBSW(lo, t, t)
		VPMADDUBSW(hi, u, u)
		VPADDW(u, t, t)
		VPMADDWD(Y(12), t, t)
		VPADDD(t, acc, acc)
		return
	}
	if k == nil {
		VMOVDQU8(m, t)
	} else {
		VMOVDQU8_Z(m, k.k, t)
	}
	VPSRLW(U8(4), t, u)
	VPANDD(low, t, t)
	VPANDD(low, u, u)
	VPDPBUSD(lo, t, acc)
	VPDPBUSD(hi, u, acc)
}

// affine1 is a bit a component against a query of four planes of bits. AVX-512
// keeps the planes in 8 and 12-14 and counts plane p of row r in 16+4r+p. AVX2
// adds up the planes of a block in bytes, at most 8·15: 12 is the table of ones
// in a nibble, 13 the nibble mask, 15 the sum.
type affine1 struct {
	isa    ISA
	planes [4]Mem
}

func (c *affine1) Kind() string                          { return "I1" }
func (c *affine1) Types() (q string, qsize, rowsize int) { return "uint64", 8, 8 }
func (c *affine1) Width() int                            { return int(c.isa) / 8 }

func (c *affine1) Extent(n reg.GPVirtual) (dim, whole reg.GPVirtual) {
	SHRQ(U8(2), n)
	return n, n
}

func (c *affine1) Const(*body) {
	if c.isa == AVX2 {
		nibbles()
	}
}

func (c *affine1) Start(r int) {
	if c.isa == AVX2 {
		AVX2.zero(r)
		return
	}
	for p := range 4 {
		c.isa.zero(16 + 4*r + p)
	}
}

func (c *affine1) Query(b *body, m Mem, k *mask) {
	first, third := GP64(), GP64()
	if k != nil && c.isa == AVX512 {
		// What is left of a plane goes to the lanes that the mask names.
		m = Mem{Base: b.q, Index: b.limit, Scale: 8}
	}
	LEAQ(m, first)
	LEAQ(Mem{Base: first, Index: b.dim, Scale: 8}, third)
	LEAQ(Mem{Base: third, Index: b.dim, Scale: 8}, third)
	c.planes = [4]Mem{{Base: first}, {Base: first, Index: b.dim, Scale: 8}, {Base: third}, {Base: third, Index: b.dim, Scale: 8}}
	if c.isa == AVX2 {
		return
	}
	for p, at := range c.planes {
		if k == nil {
			VMOVDQU64(at, c.plane(p))
		} else {
			VPEXPANDQ_Z(at, k.k, c.plane(p))
		}
	}
}

// plane is the register of plane p.
func (c *affine1) plane(p int) reg.VecPhysical { return c.isa.Vec([]int{8, 12, 13, 14}[p]) }

func (c *affine1) Row(m Mem, r int, k *mask) {
	if c.isa == AVX2 {
		c.lookup(m, r, k)
		return
	}
	x := c.isa.Vec(15)
	if k == nil {
		VMOVDQU64(m, x)
	} else {
		VMOVDQU64_Z(m, k.k, x)
	}
	for p := range 4 {
		t, acc := c.isa.Vec(10+p%2), c.isa.Vec(16+4*r+p)
		VPANDQ(x, c.plane(p), t)
		VPOPCNTQ(t, t)
		VPADDQ(t, acc, acc)
	}
}

// lookup is Row by tables of nibbles.
func (c *affine1) lookup(m Mem, r int, k *mask) {
	if k != nil {
		k.word(m, 8)
	} else {
		VMOVDQU(m, Y(8))
	}
	c.sum(func(at Mem) {
		if k == nil {
			VPAND(at, Y(8), Y(10))
		} else {
			k.word(at, 10)
			VPAND(Y(8), Y(10), Y(10))
		}
	})
	VPADDQ(Y(10), Y(r), Y(r))
}

// Count is that of a counter.
func (c *affine1) Count(b *body, m Mem, words int) {
	c.Query(b, m, nil)
	c.sum(func(at Mem) {
		spread(at, words, 10)
		VPAND(Y(8), Y(10), Y(10))
	})
}

// sum leaves the sums of words in register 10; and makes that what the plane and
// the row have in common.
func (c *affine1) sum(and func(plane Mem)) {
	t, u, sum := Y(10), Y(11), Y(15)
	for p := 3; p >= 0; p-- {
		and(c.planes[p])
		VPSRLW(U8(4), t, u)
		VPAND(Y(13), t, t)
		VPAND(Y(13), u, u)
		VPSHUFB(t, Y(12), t)
		VPSHUFB(u, Y(12), u)
		if p == 3 {
			VPADDB(u, t, sum)
			continue
		}
		VPADDB(sum, sum, sum)
		VPADDB(u, t, t)
		VPADDB(t, sum, sum)
	}
	AVX2.zero(11)
	VPSADBW(u, sum, t)
}

func (c *affine1) Merge(n int) {
	if c.isa == AVX2 {
		return
	}
	for r := range n {
		at := func(p int) reg.VecPhysical { return c.isa.Vec(16 + 4*r + p) }
		for p := 3; p > 0; p-- {
			VPADDQ(at(p), at(p), at(p))
			dst := at(p - 1)
			if p == 1 {
				dst = c.isa.Vec(r)
			}
			VPADDQ(at(p), at(p-1), dst)
		}
	}
}
