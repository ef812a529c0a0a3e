//go:build !purego

package simd

// dot is Dot, and l2 is L2. A call of a kernel variable goes through code that
// moves each argument from its register to the stack, and through a closure with
// AVX2: a third of the time of a pair of 128 elements. A call by name does neither.
func dot(a, b []float32) float32 {
	pair("Dot", len(a), len(b))
	k := active.Load()
	switch {
	case k.lanes == 16:
		return dotAVX512(a, b)
	case k.lanes == 8 && len(a) >= floatBlock:
		return dotAVX2(a, b)
	}
	return k.dot(hide(a), hide(b))
}

func l2(a, b []float32) float32 {
	pair("L2", len(a), len(b))
	k := active.Load()
	switch {
	case k.lanes == 16:
		return l2AVX512(a, b)
	case k.lanes == 8 && len(a) >= floatBlock:
		return l2AVX2(a, b)
	}
	return k.l2(hide(a), hide(b))
}
