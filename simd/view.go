package simd

import "unsafe"

// little is whether this machine stores the low byte first.
var little = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 1
}()

// Floats views b as the little-endian float32 values it holds, without a copy;
// the result shares b's memory. It reports false, and the caller decodes
// element by element, if len(b) is not a multiple of 4, b is not aligned to 4
// bytes, or the machine is big-endian.
func Floats(b []byte) ([]float32, bool) {
	if !little || len(b)%4 != 0 {
		return nil, false
	}
	if len(b) == 0 {
		return nil, true
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%unsafe.Alignof(float32(0)) != 0 {
		return nil, false
	}
	return unsafe.Slice((*float32)(p), len(b)/4), true
}

// Bytes views f as bytes in this machine's order, without a copy; the result
// shares f's memory. On a little-endian machine it is the inverse of Floats.
func Bytes(f []float32) []byte {
	if len(f) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}
