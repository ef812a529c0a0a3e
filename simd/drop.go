package simd

import "fmt"

// Masks of dropout are functions of a key and of the place of an element, so that a
// backward pass makes them again and nothing is stored: element j stays where
// keep(key, j) is no less than a threshold, so a threshold of p·2³² drops the share p
// and 0 drops nothing. All implementations give the same masks.

// dropHash is a multiply-xorshift hash of the key plus j steps. Its last shift is left
// out: comparisons are decided by the high bits.
func dropHash(key uint32, j int) uint32 {
	x := key + uint32(j)*0x9e3779b9
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	return x * 0x846ca68b
}

// DropReLU adds alpha*x[j] to y[j] where x[j] is above 0 and the mask of key and
// threshold keeps j: a weighted row of dropout(relu(x)), save for its scale. It panics
// if the lengths differ.
func DropReLU(y, x []float32, alpha float32, key, threshold uint32) {
	pair("DropReLU", len(y), len(x))
	if len(x) > 0 {
		active.Load().dropReLU(hide(y), hide(x), alpha, key, threshold)
	}
}

// DropReLUGrad is DropReLU backwards: where it would have added x[j], x[j] becomes
// g[j], and elsewhere 0. It returns the sum of g[j]*x[j], of x as it was, over the
// former, which is the gradient of alpha if g is that of y. It panics if the lengths
// differ.
func DropReLUGrad(x, g []float32, key, threshold uint32) float32 {
	pair("DropReLUGrad", len(x), len(g))
	if len(x) == 0 {
		return 0
	}
	return active.Load().dropReLUGrad(hide(x), hide(g), key, threshold)
}

// Below writes first+j, for every x[j] that is at most limit, to dst, in order, and
// returns their number. It panics if dst is shorter than x.
func Below(x []float32, limit float32, first uint32, dst []uint32) int {
	if len(dst) < len(x) {
		panic(fmt.Sprintf("simd: Below: dst has length %d for %d elements", len(dst), len(x)))
	}
	if len(x) == 0 {
		return 0
	}
	return active.Load().below(hide(x), limit, first, hide(dst))
}

func dropReLUGeneric(y, x []float32, alpha float32, key, threshold uint32) {
	x = x[:len(y)]
	for j, v := range x {
		if v > 0 && dropHash(key, j) >= threshold {
			y[j] += alpha * v
		}
	}
}

func dropReLUGradGeneric(x, g []float32, key, threshold uint32) (sum float32) {
	g = g[:len(x)]
	for j, v := range x {
		if v > 0 && dropHash(key, j) >= threshold {
			sum += g[j] * v
			x[j] = g[j]
		} else {
			x[j] = 0
		}
	}
	return sum
}

func belowGeneric(x []float32, limit float32, first uint32, dst []uint32) (n int) {
	for j, v := range x {
		if v <= limit {
			dst[n] = first + uint32(j)
			n++
		}
	}
	return n
}
