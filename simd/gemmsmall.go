package simd

// smallB is the number of elements, rows rounded up to eight, up to which a
// transposed b is packed on the stack.
const smallB = 256

// direct reports whether the product is tiles of operands where they are, save
// for a small b. What packing needs costs as much as a product of 16 x 16.
func (p *matmul) direct(g *gemmKernels, pl *plan) bool {
	return !g.padded && p.k <= pl.depth && !pl.packA && (!pl.packB || p.transB && p.k*((p.n+7)&^7) <= smallB)
}

// small computes a product that is direct.
func (p *matmul) small(g *gemmKernels) {
	if !p.transB {
		p.grid(g, p.b, p.ldb)
		return
	}
	var packed [smallB + 8]float32
	row := (p.n + 7) &^ 7
	g.packColumns(hide(packed[:]), row, hide(p.b), p.ldb, p.n, p.k)
	p.grid(g, packed[:], row)
}

// grid computes all tiles of c, with b stored k x n.
func (p *matmul) grid(g *gemmKernels, b []float32, ldb int) {
	t := tile{aRow: p.lda, aStep: 1, bStep: ldb, cRow: p.ldc, depth: p.k, alpha: p.alpha, beta: p.beta, act: p.act}
	if p.transA {
		t.aRow, t.aStep = 1, p.lda
	}
	high := (p.m + g.rows - 1) / g.rows
	least, more := p.m/high, p.m%high
	width := g.cols((p.m + high - 1) / high)
	t.ahead = width
	for j := 0; j < p.n; j += width {
		t.cols = min(width, p.n-j)
		t.b = b[j:]
		if p.bias != nil {
			t.bias = p.bias[j:][:t.cols]
		}
		for i, r := 0, 0; i < high; i, r = i+1, r+t.rows {
			t.rows = least
			if i < more {
				t.rows++
			}
			t.a, t.c = p.a[r*t.aRow:], p.c[r*p.ldc+j:]
			g.tile(hidden(&t))
		}
	}
}
