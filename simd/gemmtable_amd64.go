//go:build !purego

package simd

import "unsafe"

//go:generate go -C _asm run . -isa gemm -out ../gemm_amd64.s -stubs ../gemm_amd64.go -pkg simd

// Micro-kernels by rows and by registers of columns.
var (
	tilesAVX2 = [...][]func(*uint8){
		{gemm1x8AVX2, gemm1x16AVX2, gemm1x24AVX2, gemm1x32AVX2},
		{gemm2x8AVX2, gemm2x16AVX2, gemm2x24AVX2, gemm2x32AVX2},
		{gemm3x8AVX2, gemm3x16AVX2},
		{gemm4x8AVX2, gemm4x16AVX2},
		{gemm5x8AVX2, gemm5x16AVX2},
		{gemm6x8AVX2, gemm6x16AVX2},
	}
	tilesAVX512 = [...][]func(*uint8){
		{gemm1x16AVX512, gemm1x32AVX512, gemm1x48AVX512, gemm1x64AVX512},
		{gemm2x16AVX512, gemm2x32AVX512, gemm2x48AVX512, gemm2x64AVX512},
		{gemm3x16AVX512, gemm3x32AVX512, gemm3x48AVX512, gemm3x64AVX512},
		{gemm4x16AVX512, gemm4x32AVX512, gemm4x48AVX512, gemm4x64AVX512},
		{gemm5x16AVX512, gemm5x32AVX512, gemm5x48AVX512, gemm5x64AVX512},
		{gemm6x16AVX512, gemm6x32AVX512, gemm6x48AVX512, gemm6x64AVX512},
		{gemm7x16AVX512, gemm7x32AVX512},
		{gemm8x16AVX512, gemm8x32AVX512},
		{gemm9x16AVX512, gemm9x32AVX512},
		{gemm10x16AVX512, gemm10x32AVX512},
		{gemm11x16AVX512, gemm11x32AVX512},
		{gemm12x16AVX512, gemm12x32AVX512},
		{gemm13x16AVX512, gemm13x32AVX512},
		{gemm14x16AVX512, gemm14x32AVX512},
	}
)

var (
	gemmAVX2 = gemmKernels{
		rows: len(tilesAVX2), lanes: 8,
		cols:        func(rows int) int { return 8 * len(tilesAVX2[rows-1]) },
		tile:        func(t *tile) { tilesAVX2[t.rows-1][(t.cols-1)/8]((*uint8)(unsafe.Pointer(t))) },
		packRows:    packRowsAVX2,
		packColumns: packColumns,
	}
	gemmAVX512 = gemmKernels{
		rows: len(tilesAVX512), lanes: 16,
		cols:        func(rows int) int { return 16 * len(tilesAVX512[rows-1]) },
		tile:        func(t *tile) { tilesAVX512[t.rows-1][(t.cols-1)/16]((*uint8)(unsafe.Pointer(t))) },
		packRows:    packRowsAVX2,
		packColumns: packColumns512,
	}
)

// packColumns transposes eight rows at a time, the last first: what is written
// after the last rows of a step is then overwritten by the first of the next.
func packColumns(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	if cols < 8 {
		packColumnsGeneric(dst, dstRow, src, srcRow, rows, cols)
		return
	}
	for i := (rows - 1) &^ 7; i >= 0; i -= 8 {
		packColumnsAVX2(dst[i:], dstRow, src[i*srcRow:], srcRow, min(8, rows-i), cols)
	}
}

// packColumns512 is packColumns by 16 rows where there are as many, after the rest:
// they write nothing but themselves.
func packColumns512(dst []float32, dstRow int, src []float32, srcRow, rows, cols int) {
	whole := rows &^ 15
	if cols < 16 {
		whole = 0
	}
	if whole < rows {
		packColumns(dst[whole:], dstRow, src[whole*srcRow:], srcRow, rows-whole, cols)
	}
	for i := 0; i < whole; i += 16 {
		packColumns16AVX512(dst[i:], dstRow, src[i*srcRow:], srcRow, cols)
	}
}
