//go:build purego || !amd64

package simd

// dot is Dot, and l2 is L2.
func dot(a, b []float32) float32 {
	pair("Dot", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().dot(hide(a), hide(b))
}

func l2(a, b []float32) float32 {
	pair("L2", len(a), len(b))
	if len(a) == 0 {
		return 0
	}
	return active.Load().l2(hide(a), hide(b))
}
