package quant

import (
	"math"
	"math/bits"

	"github.com/eiderdb/eider/simd"
)

// seed is where the signs of every rotation start: part of the format.
const seed = 0x6569646572626974

// rounds of signs and Hadamard transforms: two for the coordinates at either end,
// four for most of them.
const rounds = 4

// rotation turns vectors of dim components into size coordinates, dim filled up to
// a multiple of 64, by an orthogonal map that looks random to any data. A round
// flips the sign of some coordinates and then applies the Hadamard transform to the
// first span coordinates, or in odd rounds to the last; span is the largest power
// of two up to size. Sign r·size+j of all, for coordinate j in round r, is bit j%64
// of output (r·size+j)/64 of SplitMix64 that began at seed; 1 means minus. O(size
// log size); the same bits on every machine.
type rotation struct {
	size, span int
	signs      [rounds][]float32 // ±1; within the span scaled by 1/√span
}

func newRotation(dim int) *rotation {
	r := &rotation{size: (dim + 63) &^ 63}
	r.span = 1 << (bits.Len(uint(r.size)) - 1)
	shrink := float32(1 / math.Sqrt(float64(r.span)))
	state := uint64(seed)
	for k := range r.signs {
		s := make([]float32, r.size)
		var word uint64
		for j := range s {
			if j%64 == 0 {
				word = splitmix(&state)
			}
			s[j] = 1 - 2*float32(word>>(j%64)&1)
		}
		simd.Scale(r.part(s, k), shrink)
		r.signs[k] = s
	}
	return r
}

// splitmix is the next output of SplitMix64 (Steele, Lea and Flood, 2014).
func splitmix(state *uint64) uint64 {
	*state += 0x9e3779b97f4a7c15
	z := *state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// part is what round k transforms of y.
func (r *rotation) part(y []float32, k int) []float32 {
	if k%2 == 0 {
		return y[:r.span]
	}
	return y[r.size-r.span:]
}

// apply turns y, of size coordinates, in place.
func (r *rotation) apply(y []float32) {
	for k, s := range r.signs {
		simd.Mul(y, s)
		hadamard(r.part(y, k))
	}
}

// undo is the inverse of apply, up to rounding.
func (r *rotation) undo(y []float32) {
	for k := rounds - 1; k >= 0; k-- {
		hadamard(r.part(y, k)) // its own inverse, but for the scale in signs
		simd.Mul(y, r.signs[k])
	}
}

// hadamard replaces y, whose length is a power of two and at least 4, by its
// Walsh-Hadamard transform. Two of the stages go in one pass.
func hadamard(y []float32) {
	for q := y; len(q) >= 4; q = q[4:] {
		a, b, c, d := q[0], q[1], q[2], q[3]
		a, b, c, d = a+b, a-b, c+d, c-d
		q[0], q[1], q[2], q[3] = a+c, b+d, a-c, b-d
	}
	h := 4
	for ; 4*h <= len(y); h *= 4 {
		for q := y; len(q) >= 4*h; q = q[4*h:] {
			four(q[:h], q[h:2*h], q[2*h:3*h], q[3*h:4*h])
		}
	}
	if h < len(y) {
		lo, hi := y[:h], y[h:][:h]
		for i, a := range lo {
			b := hi[i]
			lo[i], hi[i] = a+b, a-b
		}
	}
}

// four is two stages over quarters of a run.
func four(p, q, r, s []float32) {
	q, r, s = q[:len(p)], r[:len(p)], s[:len(p)]
	for i, a := range p {
		b, c, d := q[i], r[i], s[i]
		a, b, c, d = a+b, a-b, c+d, c-d
		p[i], q[i], r[i], s[i] = a+c, b+d, a-c, b-d
	}
}
