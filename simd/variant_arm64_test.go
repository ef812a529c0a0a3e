//go:build !purego

package simd

import "testing"

func TestNEONIsExactWithAndWithoutTheDotProductInstruction(t *testing.T) {
	variants(t, map[string]*kernels{"old": neon(false)})
}
