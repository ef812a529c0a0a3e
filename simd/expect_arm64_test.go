//go:build !purego

package simd

// expected maps a CPU flag to the implementation it must give.
var expected = map[string]string{"asimd": "neon"}
