package simd

import "sync"

// gemmKernels is what an implementation has for products of matrices.
type gemmKernels struct {
	rows  int                // of a tile, at most
	lanes int                // of a register
	cols  func(rows int) int // of a tile, at most; a multiple of lanes
	// padded is set if tiles read packed operands only, of rows and cols(rows)
	// elements a step whatever the tile has; what is beyond is zero.
	padded bool

	tile func(t *tile)
	// packRows copies rows of cols elements. packColumns writes element j of row
	// i, of up to rows, to dst[j*dstRow+i]; it may write up to seven elements
	// beyond the last of a step, which later steps write again.
	packRows, packColumns func(dst []float32, dstRow int, src []float32, srcRow, rows, cols int)
}

// tile is a block of c, and the rows of op(a) and columns of op(b) it is made of.
// The assembly knows its layout: see _asm/gemm.go. Strides count elements.
type tile struct {
	a, b, c, bias []float32
	aRow, aStep   int // of op(a), from row to row and from column to column
	bStep         int // of op(b), from row to row; columns are contiguous
	cRow          int
	depth         int // at least 1
	rows, cols    int // at least 1
	alpha, beta   float32
	act           Activation
	_             uint32
	ahead         int // what to fetch: elements after the row of b in use
}

// Blocking. A panel of b, of depth rows and the columns of a tile, stays in the
// first cache while panels of a pass; blocks of both stay in the second.
const (
	blockDepth = 256
	blockRows  = 224
	blockCols  = 1024
)

// What is not worth packing, or a tile.
const (
	// fewDots is the number of rows of op(a) up to which a transposed b is read by
	// dot products.
	fewDots = 4
	// axpyFrom is the number of elements of b from which a single row is a sum of
	// b's rows in memory's order.
	axpyFrom = 1 << 16
	// Operands are read where they are if small, or read few times: b of up to
	// directB elements for up to directRows tiles one below the other, a of up to
	// directA or for up to directCols columns.
	directB    = 1 << 13
	directRows = 6
	directA    = 1 << 12
	directCols = 128
)

// plan is how a product is computed. The order of sums depends on it, so that it
// is made of the whole product before that is split.
type plan struct {
	path         path
	swap         bool // the column is computed as the row that is its transpose
	packA, packB bool
	depth        int // of a block
}

type path int

const (
	byTiles path = iota
	byScale      // there are no products to add
	byDots       // of rows of op(a) with those of b, which is transposed
	byAxpy       // op(a) is one row; b is read once, in order
)

// choose makes the plan.
func (p *matmul) choose(k *kernels) {
	g := k.gemm
	switch {
	case p.k == 0 || p.alpha == 0:
		p.path = byScale
	case p.n == 1 && p.m > 1:
		t := matmul{transB: !p.transA, m: 1, n: p.m, k: p.k, alpha: 1}
		t.choose(k)
		p.plan, p.swap = t.plan, true
	case p.transB && p.m <= fewDots:
		p.path = byDots
	case !p.transB && p.m == 1 && (g.padded || p.k*p.n > axpyFrom):
		p.path = byAxpy
	default:
		p.depth = p.k
		if p.k > blockDepth {
			blocks := (p.k + blockDepth - 1) / blockDepth
			p.depth = (p.k + blocks - 1) / blocks
		}
		p.packB = g.padded || p.transB || p.m > 2*g.rows && p.k*p.n > directB || p.m > directRows*g.rows
		p.packA = g.padded || p.n > directCols && p.m*p.k > directA
	}
}

func (p *matmul) run(k *kernels) {
	p.choose(k)
	p.follow(k)
}

// follow computes the product as planned.
func (p *matmul) follow(k *kernels) {
	switch {
	case p.m == 0 || p.n == 0:
	case p.swap:
		p.swapped(k)
	case p.path == byScale:
		for i := range p.m {
			p.finish(p.c[i*p.ldc:][:p.n], nil)
		}
	case p.path == byTiles && p.direct(k.gemm):
		p.small(k.gemm)
	case p.path == byTiles:
		p.tiles(k.gemm)
	default:
		p.vectors(k)
	}
}

// workspace is where operands are packed.
type workspace struct{ a, b []float32 }

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// room makes s hold n elements, and those that packColumns may write after them.
func room(s *[]float32, n int) []float32 {
	n += 8
	if cap(*s) < n {
		*s = make([]float32, n+n/4)
	}
	return (*s)[:n]
}

// vectors computes rows of c one after the other, of dot products with rows of b
// or of sums of rows of b.
func (p *matmul) vectors(k *kernels) {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	sums := room(&w.b, p.n)[:p.n]
	for i := range p.m {
		x := w.row(p.a, p.lda, p.transA, i, p.k)
		if p.path == byDots {
			k.dotRows(hide(x), hide(p.b), p.ldb, sums)
		} else {
			clear(sums)
			for l, v := range x {
				k.axpy(v, hide(p.b[l*p.ldb:][:p.n]), sums)
			}
		}
		p.finish(p.c[i*p.ldc:][:p.n], sums)
	}
}

// row is row i of a matrix, or column i gathered, of n elements.
func (w *workspace) row(s []float32, stride int, column bool, i, n int) []float32 {
	if !column {
		return s[i*stride:][:n]
	}
	if stride == 1 {
		return s[i:][:n]
	}
	x := room(&w.a, n)[:n]
	for l := range x {
		x[l] = s[l*stride+i]
	}
	return x
}

// swapped computes a single column of c as the row that is its transpose.
func (p *matmul) swapped(k *kernels) {
	w := workspaces.Get().(*workspace)
	defer workspaces.Put(w)
	sums := room(&w.b, p.m)[:p.m]
	q := matmul{transB: !p.transA, m: 1, n: p.m, k: p.k, alpha: 1,
		a: w.row(p.b, p.ldb, !p.transB, 0, p.k), lda: p.k, b: p.a, ldb: p.lda, c: sums, ldc: p.m, plan: p.plan}
	q.swap = false
	q.follow(k)
	if p.ldc == 1 && p.bias == nil {
		p.finish(p.c[:p.m], sums)
		return
	}
	for i := range sums {
		p.finish(p.c[i*p.ldc:][:1], sums[i:i+1])
	}
}

// finish makes a row of c of its sums: alpha times the sum, plus beta times what
// is there, plus the bias, through the activation. Without sums they are zero.
func (p *matmul) finish(c, sums []float32) {
	t := tile{alpha: p.alpha, beta: p.beta, bias: p.bias, act: p.act}
	t.finish(c, sums)
}
