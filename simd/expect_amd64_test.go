//go:build !purego

package simd

// expected maps a CPU flag to the implementation it must give.
var expected = map[string]string{"avx512vl": "avx512", "avx2": "avx2"}
