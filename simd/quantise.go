package simd

import "math"

// Span returns the least and the largest element of v, +0 for a zero, and whether
// every element is an integer of magnitude below 2³¹. v must hold numbers; all
// three are zero if it is empty.
func Span(v []float32) (lo, hi float32, whole bool) {
	if len(v) == 0 {
		return 0, 0, false
	}
	lo, hi, parts := active.Load().span(hide(v))
	return 0 + lo, 0 + hi, parts<<1 == 0 && lo > -1<<31 && hi < 1<<31
}

// Steps are the levels that Quantise rounds to: Offset + Scale*i, with i in Lo..Hi.
// Inv is 1/Scale, or 0. Lo and Hi must be integers of magnitude below 2¹⁵.
type Steps struct{ Offset, Scale, Inv, Lo, Hi float32 }

// Loss says what Quantise made of a vector.
type Loss struct {
	Sum, Square int32 // Σi and Σi²
	// Err is the sum of the squares of the elements' differences from their levels,
	// each of which is computed in float32 as Offset + Scale*i is; its additions
	// are too.
	Err   float32
	Exact bool // every difference is zero
}

// Quantise writes i, the number of the level nearest to v[j], ties to the even
// number, to codes[j], for every j: its low byte. i is (v[j]-Offset)*Inv in
// float32, clamped and rounded; all implementations give the same codes, sums and
// Exact. v must hold numbers. Sums wrap modulo 2³². It panics if the lengths
// differ.
func Quantise(codes []uint8, v []float32, s *Steps) (l Loss) {
	pair("Quantise", len(codes), len(v))
	if len(v) == 0 {
		return Loss{Exact: true}
	}
	k := [5]float32{s.Offset, s.Scale, s.Inv, s.Lo, s.Hi}
	var bits uint32
	l.Sum, l.Square, l.Err, bits = active.Load().quantise(hide(codes), hide(v), coefficients(&k))
	l.Exact = bits<<1 == 0
	return l
}

func spanGeneric(v []float32) (lo, hi float32, parts uint32) {
	return spanRest(v, v[0], v[0], 0)
}

// spanRest goes on with v. It compares: the built-in min and max see to NaN and
// take three times as long.
func spanRest(v []float32, lo, hi float32, parts uint32) (float32, float32, uint32) {
	for _, x := range v {
		if x < lo {
			lo = x
		}
		if x > hi {
			hi = x
		}
		parts |= math.Float32bits(x - float32(int32(x)))
	}
	return lo, hi, parts
}

// magic, added and taken away, rounds a float32 of magnitude below 2²² to the
// nearest integer.
const magic = 3 << 22

func quantiseGeneric(codes []uint8, v []float32, k *[5]float32) (sum, square int32, err float32, bits uint32) {
	offset, scale, inv, lo, hi := k[0], k[1], k[2], k[3], k[4]
	codes = codes[:len(v)]
	for j, x := range v {
		y := (x - offset) * inv
		if y < lo {
			y = lo
		}
		if y > hi {
			y = hi
		}
		y = y + magic - magic
		d := x - (offset + float32(scale*y))
		err += d * d
		bits |= math.Float32bits(d)
		i := int32(y)
		sum += i
		square += i * i
		codes[j] = byte(i)
	}
	return sum, square, err, bits
}
