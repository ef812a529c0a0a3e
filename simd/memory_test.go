package simd

import "unsafe"

func view[T any](mem []float32) []T {
	var zero T
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)*4/int(unsafe.Sizeof(zero)))
}

func half16(mem []float32) []uint16         { return view[uint16](mem) }
func view8[T int8 | uint8](m []float32) []T { return view[T](m) }
func view64(mem []float32) []uint64         { return view[uint64](mem) }
