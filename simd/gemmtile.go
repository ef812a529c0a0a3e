package simd

import "unsafe"

// tiles packs blocks of the operands, if that pays, and computes tiles of c.
func (p *matmul) tiles(g *gemmKernels) {
	var b block // not a literal, which would be made elsewhere and copied
	b.matmul, b.g = p, g
	if p.packA || p.packB {
		w := workspaces.Get().(*workspace)
		defer workspaces.Put(w)
		b.w = w
	}
	high := (p.m + g.rows - 1) / g.rows
	b.width = g.cols((p.m + high - 1) / high)
	rowBlocks := (p.m + blockRows - 1) / blockRows
	b.once = rowBlocks == 1 && !g.padded
	for b.j0 = 0; b.j0 < p.n; b.j0 += blockCols {
		b.cols = min(blockCols, p.n-b.j0)
		for b.l0 = 0; b.l0 < p.k; b.l0 += p.depth {
			b.t.depth = min(p.depth, p.k-b.l0)
			b.start()
			if p.packB {
				b.roomB()
			}
			for i := range rowBlocks {
				b.i0 = p.m * i / rowBlocks
				b.rows = p.m*(i+1)/rowBlocks - b.i0
				b.high = (b.rows + g.rows - 1) / g.rows
				b.least, b.more = b.rows/b.high, b.rows%b.high
				if p.packA {
					b.fillA()
				}
				b.multiply()
			}
		}
	}
}

// block is the part of a product in hand: rows i0 on and columns j0 on of c, and
// products l0 on.
type block struct {
	*matmul
	g          *gemmKernels
	w          *workspace
	i0, j0, l0 int
	rows, cols int
	width      int // of a tile
	high       int // tiles, of least rows, the first more of them of one more
	least      int
	more       int
	once       bool // each panel of op(b) is of use to one block of rows
	t          tile
}

// start sets what the tiles of a depth have in common. The first depth takes c
// as it was, the last ends with bias and activation, which no depth has of the
// block before.
func (b *block) start() {
	t := &b.t
	t.alpha, t.beta, t.bias, t.act, t.cRow = b.alpha, b.beta, nil, None, b.ldc
	if b.l0 > 0 {
		t.beta = 1
	}
	if b.l0+t.depth == b.k {
		t.act = b.act
	}
	t.aRow, t.aStep = b.lda, 1
	if b.transA {
		t.aRow, t.aStep = 1, b.lda
	}
	t.bStep, t.ahead = b.ldb, b.width
	if b.packB {
		t.bStep, t.ahead = b.width, 4*b.width
	}
	if b.packA {
		t.aRow = 1
	}
}

// row is the first row of tile i of the high there are, one below the other: none
// is more than a row higher than another.
func (b *block) row(i int) int { return i*b.least + min(i, b.more) }

// step is the number of elements of a step of a packed panel of n rows of op(a).
func (b *block) step(n int) int {
	if b.g.padded {
		return b.g.rows
	}
	return n
}

// panel is where the packed rows of tile i start.
func (b *block) panel(i int) int {
	if b.g.padded {
		return i * b.g.rows * b.t.depth
	}
	return b.row(i) * b.t.depth
}

// fillA packs the block's rows of op(a): a panel for each tile, step by step.
func (b *block) fillA() {
	d := b.t.depth
	to := room(&b.w.a, b.panel(b.high))
	if b.g.padded {
		clear(to)
	}
	for i := range b.high {
		r, n := b.row(i), b.row(i+1)-b.row(i)
		dst := to[b.panel(i):]
		if b.transA {
			b.g.packRows(hide(dst), b.step(n), hide(b.a[b.l0*b.lda+b.i0+r:]), b.lda, d, n)
		} else {
			b.g.packColumns(hide(dst), b.step(n), hide(b.a[(b.i0+r)*b.lda+b.l0:]), b.lda, n, d)
		}
	}
}

// roomB makes room for the block's columns of op(b), and packs them unless multiply
// does, a panel at a time: it has then only just been written when it is read.
func (b *block) roomB() {
	cols := (b.cols + b.width - 1) / b.width * b.width
	if b.once {
		cols = b.width
	}
	to := room(&b.w.b, cols*b.t.depth)
	if b.g.padded {
		clear(to)
	}
	for j := 0; j < b.cols && !b.once; j += b.width {
		b.fillB(j, to[j*b.t.depth:])
	}
}

// fillB packs the panel of op(b) from column j of the block on, of the width of a
// tile, step by step.
func (b *block) fillB(j int, dst []float32) {
	d, n := b.t.depth, min(b.width, b.cols-j)
	if b.transB {
		b.g.packColumns(hide(dst), b.width, hide(b.b[(b.j0+j)*b.ldb+b.l0:]), b.ldb, n, d)
	} else {
		b.g.packRows(hide(dst), b.width, hide(b.b[b.l0*b.ldb+b.j0+j:]), b.ldb, d, n)
	}
}

// multiply computes the tiles of the block, one below the other: the columns of b
// stay in the first cache while the rows of a pass.
func (b *block) multiply() {
	t := &b.t
	last := b.l0+t.depth == b.k
	for j := 0; j < b.cols; j += b.width {
		t.cols = min(b.width, b.cols-j)
		switch {
		case !b.packB:
			t.b = b.b[b.l0*b.ldb+b.j0+j:]
		case b.once:
			t.b = b.w.b
			b.fillB(j, t.b)
		default:
			t.b = b.w.b[j*t.depth:]
		}
		if last && b.bias != nil {
			t.bias = b.bias[b.j0+j:][:t.cols]
		}
		for i := range b.high {
			r := b.row(i)
			t.rows = b.row(i+1) - r
			switch {
			case b.packA:
				t.a, t.aStep = b.w.a[b.panel(i):], b.step(t.rows)
			case b.transA:
				t.a = b.a[b.l0*b.lda+b.i0+r:]
			default:
				t.a = b.a[(b.i0+r)*b.lda+b.l0:]
			}
			t.c = b.c[(b.i0+r)*b.ldc+b.j0+j:]
			b.g.tile(hidden(t))
		}
	}
}

// hidden does for a tile what hide does for a slice.
func hidden(t *tile) *tile { return unsafe.SliceData(hide(unsafe.Slice(t, 1))) }
