//go:build !purego

package simd

// gemmNEON writes 8 x 8 sums, row by row, of depth steps of eight elements of a
// and of b.
//
//go:noescape
func gemmNEON(depth int, a, b, sums *float32)

var gemmNeon = gemmKernels{
	rows:        8,
	lanes:       8,
	cols:        func(int) int { return 8 },
	padded:      true,
	tile:        tileNEON,
	packRows:    packRowsGeneric,
	packColumns: packColumnsGeneric,
}

func tileNEON(t *tile) {
	var sums [64]float32
	gemmNEON(t.depth, &t.a[:8*t.depth][0], &t.b[:8*t.depth][0], &sums[0])
	for i := range t.rows {
		t.finish(t.c[i*t.cRow:][:t.cols], sums[8*i:][:t.cols])
	}
}
