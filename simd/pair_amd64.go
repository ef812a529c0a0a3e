//go:build !purego

package simd

import "unsafe"

// dot is Dot, and l2 is L2. Both are inlined down to the call of an assembly
// function, which compares the lengths, reads the active implementation and goes
// on as its kernel. Arguments of assembly go through the stack: two pointers and
// two lengths are two words less than two slices, and no frame of Go lies between.
// A call of a pair of 128 elements spent a third of its time on these.
func dot(a, b []float32) float32 {
	return dotAMD64(unsafe.SliceData(a), unsafe.SliceData(b), len(a), len(b))
}

func l2(a, b []float32) float32 {
	return l2AMD64(unsafe.SliceData(a), unsafe.SliceData(b), len(a), len(b))
}

// The assembly reads lanes where active points.
var _ = [1]struct{}{}[unsafe.Offsetof(kernels{}.lanes)]

// dotPlain is where dotAMD64 goes with vectors of unequal lengths, those shorter
// than AVX2's block, and all without assembly.
//
//lint:ignore U1000 assembly goes there
func dotPlain(a, b *float32, n, m int) float32 {
	pair("Dot", n, m)
	return dotGeneric(unsafe.Slice(a, n), unsafe.Slice(b, n))
}

// l2Plain is dotPlain of l2AMD64.
//
//lint:ignore U1000 assembly goes there
func l2Plain(a, b *float32, n, m int) float32 {
	pair("L2", n, m)
	return l2Generic(unsafe.Slice(a, n), unsafe.Slice(b, n))
}
