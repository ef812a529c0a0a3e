package simd

import (
	"fmt"
	"unsafe"
)

// placed is an element of Place.
type placed struct {
	d float32
	_ uint32
}

// Place returns where d belongs in e, after equals: the number of elements whose
// float32 is no more than d. T must be a float32 and four other bytes, in this
// order; e must ascend by the float32, none of them NaN. O(log n), or O(n) at eight
// elements a step for the last few hundred. It panics if T is not of 8 bytes.
func Place[T any](e []T, d float32) int {
	var zero T
	if size := unsafe.Sizeof(zero); size != unsafe.Sizeof(placed{}) {
		panic(fmt.Sprintf("simd: Place: elements of %d bytes; they must be a float32 and four others", size))
	}
	if len(e) == 0 {
		return 0
	}
	return active.Load().place(hide(unsafe.Slice((*placed)(unsafe.Pointer(unsafe.SliceData(e))), len(e))), d)
}

func placeGeneric(e []placed, d float32) int {
	at := within(e, d, 1)
	if at < len(e) && e[at].d <= d {
		at++
	}
	return at
}

// within returns a place that is not after the one of d, and at most n before it.
func within(e []placed, d float32, n int) int {
	lo, hi := 0, len(e)
	for hi-lo > n {
		mid := int(uint(lo+hi) >> 1)
		if e[mid].d <= d {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}
