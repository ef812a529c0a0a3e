package simd

// gemmGeneric is the meaning of the kernels of matrix products.
var gemmGeneric = gemmKernels{
	rows:        4,
	lanes:       4,
	cols:        func(int) int { return 4 },
	tile:        tileGeneric,
	packRows:    packRowsGeneric,
	packColumns: packColumnsGeneric,
}

// tileGeneric sums a tile of up to 4 x 4 elements. The conversions keep the
// compiler from fusing operations on some CPUs only.
func tileGeneric(t *tile) {
	var sums [4][4]float32
	for l := range t.depth {
		row := t.b[l*t.bStep:][:t.cols]
		for i := range t.rows {
			x, s := t.a[i*t.aRow+l*t.aStep], &sums[i]
			for j, v := range row {
				s[j&3] += float32(x * v)
			}
		}
	}
	for i := range t.rows {
		t.finish(t.c[i*t.cRow:][:t.cols], sums[i][:t.cols])
	}
}

func packRowsGeneric(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	for i := range rows {
		copy(dst[i*dstRow:][:cols], src[i*srcRow:])
	}
}

func packColumnsGeneric(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	for i := range rows {
		for j, v := range src[i*srcRow:][:cols] {
			dst[j*dstRow+i] = v
		}
	}
}
