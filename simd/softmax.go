package simd

import "math"

// Softmax writes e^src[i] / Σ e^src[j] to dst[i] and returns log Σ e^src[j], for
// any finite src: it takes the largest element off first. -Inf has the share 0; a
// row with NaN or +Inf, or of -Inf only, gives NaN throughout. The log-sum of an
// empty row is -Inf; it is a float64 so that it may be taken from an element
// without losing what is left. dst may be src. It panics if the lengths differ.
func Softmax(dst, src []float32) (lse float64) {
	pair("Softmax", len(dst), len(src))
	if len(src) == 0 {
		return math.Inf(-1)
	}
	most, sum := active.Load().softmax(hide(dst), hide(src))
	return float64(most) + math.Log(float64(sum))
}

func softmaxGeneric(dst, src []float32) (most, sum float32) {
	dst, most = dst[:len(src)], src[0]
	for _, x := range src {
		if x > most {
			most = x
		}
	}
	var total float64
	for i, x := range src {
		y := math.Exp(float64(x) - float64(most))
		dst[i], total = float32(y), total+y
	}
	share := float32(1 / total)
	for i := range dst {
		dst[i] *= share
	}
	return most, float32(total)
}
