package simd

import "unsafe"

// Fetch asks the CPU to bring s into its caches, for a read that comes soon. It
// reads nothing itself, so others may write to s meanwhile. Where there is no
// assembly for it, it does nothing.
func Fetch(s []uint32) { fetch(s) }

const wideRow = 2048 // bytes; generated kernels call it narrow

// FetchRows is Fetch for the first width elements of each row of a list: row
// ids[i], which starts at element ids[i]*stride of rows, save where ids[i] >=
// len(seen) or seen[ids[i]] == epoch. Wide rows, of more than 2 KiB, are left to the
// gather kernels, which fetch them as they go. spare is overwritten. It panics if
// spare is shorter than ids.
//
// Others may store to ids meanwhile, each element at once. seen is read.
func FetchRows[T any](ids []uint32, seen []uint8, epoch uint8, rows []T, stride, width int, spare []uint32) {
	if len(spare) < len(ids) {
		panicOut("FetchRows", len(spare), len(ids))
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	if width*size > wideRow {
		return
	}
	fetchRows(ids, seen, epoch, (*uint8)(unsafe.Pointer(unsafe.SliceData(rows))), stride*size, width*size, spare)
}
