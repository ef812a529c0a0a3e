package nn

import (
	"fmt"
	"math"
)

// Masks are functions of the tape's Seed and Step, the number of the dropout
// within the step and the position of the element, so a step replays exactly,
// and nothing is stored for the backward pass.

// mix is the finaliser of SplitMix64: each bit of the result depends on every
// bit of x.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// golden is 2⁶⁴ over the golden ratio, the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// key starts the stream of one dropout.
func (t *Tape) key() uint64 {
	t.dropouts++
	return mix(mix(mix(t.Seed+golden)+t.Step*golden) + t.dropouts*golden)
}

// dropRow sets elements of row whose 32 random bits are below threshold to drop,
// and the others to keep times themselves plus add. start is the position of
// row[0]; each 64 bits serve two positions.
func dropRow(row []float32, key, start, threshold uint64, keep, drop float32, add float32) {
	for j := range row {
		at := start + uint64(j)
		bits := mix(key+(at>>1)*golden) >> (at & 1 * 32) & math.MaxUint32
		if bits < threshold {
			row[j] = drop
		} else {
			row[j] = row[j]*keep + add
		}
	}
}

func threshold(p float32) uint64 { return uint64(float64(p) * (1 << 32)) }

func checkRate(op string, p float32) {
	if !(p >= 0 && p < 1) {
		panic(fmt.Sprintf("nn: %s: probability %v is not in [0, 1)", op, p))
	}
}

// Dropout sets each element to 0 with probability p, in [0, 1), and divides the
// others by 1-p. It is x itself where the tape does not train or p is 0.
func (t *Tape) Dropout(x *Var, p float32) *Var {
	checkRate("Dropout", p)
	if !t.Train || p == 0 {
		return x
	}
	v := t.node(x.Rows, x.Cols, dropoutBack, x)
	v.n, v.x = t.key(), p
	v.Set(x.Matrix)
	v.drop(v.Matrix, 1/(1-p), 0, 0)
	return v
}

// AlphaDropout is dropout for SELU networks: dropped elements become the lower
// limit of SELU, and an affine map restores mean 0 and variance 1.
func (t *Tape) AlphaDropout(x *Var, p float32) *Var {
	checkRate("AlphaDropout", p)
	if !t.Train || p == 0 {
		return x
	}
	v := t.node(x.Rows, x.Cols, dropoutBack, x)
	v.n, v.x, v.a = t.key(), p, true
	keep := alphaKeep(p)
	const low = -seluScale * seluAlpha
	add := -keep * low * float64(p)
	v.Set(x.Matrix)
	v.drop(v.Matrix, float32(keep), float32(keep*low+add), float32(add))
	return v
}

// alphaKeep is (q + α'²q(1-q))^(-1/2) with q = 1-p and α' = -λα.
func alphaKeep(p float32) float64 {
	const low = -seluScale * seluAlpha
	q := 1 - float64(p)
	return 1 / math.Sqrt(q+low*low*q*(1-q))
}

func (v *Var) drop(m Matrix, keep, drop, add float32) {
	for i := range m.Rows {
		dropRow(m.Row(i), v.n, uint64(i*m.Cols), threshold(v.x), keep, drop, add)
	}
}

func dropoutBack(t *Tape, v *Var) {
	keep := 1 / (1 - v.x)
	if v.a {
		keep = float32(alphaKeep(v.x))
	}
	v.drop(v.grad, keep, 0, 0)
	t.give(v.in[0], v.grad)
}

// ReLUDropout is Dropout(ReLU(x), p) in one pass over x and one over its gradient,
// without a branch. Masks are its own: 16 bits an element, so that p is rounded to
// 1/65536. Its value is 0 where it has no gradient.
func (t *Tape) ReLUDropout(x *Var, p float32) *Var {
	checkRate("ReLUDropout", p)
	v := t.node(x.Rows, x.Cols, reluDropoutBack, x)
	v.x = 1
	under := uint32(0) // of 1<<16
	if t.Train && p > 0 {
		v.n = t.key()
		under, v.x = uint32(p*(1<<16)+0.5), 1/(1-p)
	}
	for i := range x.Rows {
		reluDrop(v.Row(i), x.Row(i), v.n+uint64(i)*uint64(x.Cols)*golden, under, v.x)
	}
	return v
}

// reluDrop sets y to keep·max(x, 0) where 16 random bits are not below under, else 0.
func reluDrop(y, x []float32, key uint64, under uint32, keep float32) {
	for len(x) > 0 {
		bits := uint64(0)
		if under > 0 {
			key += golden
			bits = mix(key)
		}
		n := min(4, len(x))
		for j, v := range x[:n] {
			u := math.Float32bits(v)
			u &^= uint32(int32(u)>>31) | uint32(int32(uint32(bits&0xffff)-under)>>31)
			y[j] = math.Float32frombits(u) * keep
			bits >>= 16
		}
		x, y = x[n:], y[n:]
	}
}

func reluDropoutBack(t *Tape, v *Var) {
	for i := range v.Rows {
		g := v.grad.Row(i)
		for j, y := range v.Row(i) {
			some := uint32(-int32(math.Float32bits(y)) >> 31) // y >= 0: all ones but for 0
			g[j] = math.Float32frombits(math.Float32bits(g[j])&some) * v.x
		}
	}
	t.give(v.in[0], v.grad)
}
