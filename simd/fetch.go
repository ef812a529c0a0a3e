package simd

import "unsafe"

// Fetch asks the CPU to bring s into its caches, for a read that comes soon. It
// reads nothing itself, so others may write to s meanwhile. Where there is no
// assembly for it, it does nothing.
func Fetch(s []uint32) { fetch(s) }

// WideRow is the number of bytes up to which a row is fetched whole ahead of its
// turn.
const WideRow = 2048 // generated kernels call it narrow

const wideStart = 256 // bytes of a wider row that set its stream going

// FetchRows is Fetch for the first width elements of each row of a list: row
// ids[i], which starts at element ids[i]*stride of rows, save where ids[i] >=
// len(seen) or seen[ids[i]] == epoch. Of rows of more than WideRow bytes, it is the first
// 256 bytes: the gather kernels fetch the rest as they go. spare is overwritten. It panics if
// spare is shorter than ids.
//
// Others may store to ids meanwhile, each element at once. seen is read.
func FetchRows[T any](ids []uint32, seen []uint8, epoch uint8, rows []T, stride, width int, spare []uint32) {
	if len(spare) < len(ids) {
		panicOut("FetchRows", len(spare), len(ids))
	}
	var zero T
	size := int(unsafe.Sizeof(zero))
	bytes := width * size
	if bytes > WideRow {
		bytes = wideStart
	}
	fetchRows(ids, seen, epoch, (*uint8)(unsafe.Pointer(unsafe.SliceData(rows))), stride*size, bytes, spare)
}
