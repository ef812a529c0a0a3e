package simd

import "unsafe"

// smallB is the number of elements, rows rounded up to eight, up to which a
// transposed b is packed on the stack, of which tinyB are cleared faster.
const (
	tinyB  = 64
	smallB = 256
)

// direct reports whether the product is tiles of operands where they are, save
// for a small b. What packing needs costs as much as a product of 16 x 16.
func (p *matmul) direct(g *gemmKernels) bool {
	return !g.padded && p.k <= p.depth && !p.packA && (!p.packB || p.transB && p.k*((p.n+7)&^7) <= smallB)
}

// small computes a product that is direct.
func (p *matmul) small(g *gemmKernels) {
	switch {
	case !p.transB:
		p.grid(g, p.b, p.ldb)
	case p.k*((p.n+7)&^7) <= tinyB:
		var room [tinyB + 24]float32
		p.packed(g, room[:])
	default:
		var room [smallB + 24]float32
		p.packed(g, room[:])
	}
}

// packed packs b into room, from the start of a cache line on, and computes the
// tiles.
func (p *matmul) packed(g *gemmKernels, room []float32) {
	room = room[-int(uintptr(unsafe.Pointer(unsafe.SliceData(room)))/4)&15:]
	row := (p.n + 7) &^ 7
	g.packColumns(hide(room), row, hide(p.b), p.ldb, p.n, p.k)
	p.grid(g, room, row)
}

// grid computes all tiles of c, with b stored k x n.
func (p *matmul) grid(g *gemmKernels, b []float32, ldb int) {
	// Not a literal, which would be made elsewhere and copied.
	var t tile
	t.aRow, t.aStep, t.bStep, t.cRow, t.depth = p.lda, 1, ldb, p.ldc, p.k
	t.alpha, t.beta, t.act = p.alpha, p.beta, p.act
	if p.transA {
		t.aRow, t.aStep = 1, p.lda
	}
	high, least, more := 1, p.m, 0
	if p.m > g.rows { // divisions are slow beside a small product
		high = (p.m + g.rows - 1) / g.rows
		least, more = p.m/high, p.m%high
	}
	width := g.cols(least + min(more, 1))
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
