package ingest

import (
	"fmt"
	"math"
	"strconv"
)

// ParseFloats reads a JSON array of numbers from the start of b (white space
// may come before it) and appends the numbers to dst, each rounded once to the
// nearest float32. It returns the extended slice and how many bytes it read.
//
// Errors wrap ErrRow: what is not such an array, a number beyond float32, more
// than MaxVector numbers; dst then holds what was read before. Vectors are most
// of the bytes of an import; numbers of the usual kind (at most 19 digits and a
// small exponent) are parsed without strconv, the rest with it.
func ParseFloats(b []byte, dst []float32) (out []float32, n int, err error) {
	i := space(b, 0)
	if i >= len(b) || b[i] != '[' {
		return dst, i, badRow("a vector is a list of numbers")
	}
	i = space(b, i+1)
	if i < len(b) && b[i] == ']' {
		return dst, i + 1, nil
	}
	for count := 0; ; count++ {
		if count == MaxVector {
			return dst, i, badRow("a vector of more than %d numbers", MaxVector)
		}
		f, next, err := parseFloat32(b, i)
		if err != nil {
			return dst, i, fmt.Errorf("%w (element %d)", err, count)
		}
		dst = append(dst, f)
		i = space(b, next)
		if i >= len(b) {
			return dst, i, badRow("the list of numbers does not end")
		}
		switch b[i] {
		case ',':
			i = space(b, i+1)
		case ']':
			return dst, i + 1, nil
		default:
			return dst, i, badRow("%q in a list of numbers (element %d)", b[i], count)
		}
	}
}

// space returns the first index from i on that is not JSON white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// number is a JSON number taken apart: (-1)^neg * mantissa * 10^exp, if it has
// at most 19 digits.
type number struct {
	mantissa uint64
	exp      int
	neg      bool
	whole    bool // written without fraction and exponent
	long     bool // digits beyond the 19th were left out, so mantissa is a little low
}

// scanNumber reads a number by JSON's grammar from i on and returns where it
// ends.
func scanNumber(b []byte, i int) (number, int, error) {
	n, start := number{whole: true}, i
	if i < len(b) && b[i] == '-' {
		n.neg = true
		i++
	}
	digits, zero := 0, i < len(b) && b[i] == '0'
	first := i
	for ; i < len(b) && isDigit(b[i]); i++ {
		if digits = n.add(b[i], digits); digits > 19 {
			n.exp++
		}
	}
	if i == first || zero && i > first+1 {
		return n, start, badRow("%.20q is not a number", b[start:min(len(b), start+20)])
	}
	if i < len(b) && b[i] == '.' {
		n.whole = false
		i++
		first = i
		for ; i < len(b) && isDigit(b[i]); i++ {
			if digits = n.add(b[i], digits); digits <= 19 {
				n.exp--
			}
		}
		if i == first {
			return n, start, badRow("%.20q is not a number", b[start:min(len(b), start+20)])
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		n.whole = false
		e, next, ok := scanExponent(b, i+1)
		if !ok {
			return n, start, badRow("%.20q is not a number", b[start:min(len(b), start+20)])
		}
		n.exp += e
		i = next
	}
	return n, i, nil
}

// add appends a digit to the mantissa and returns the count of significant
// digits; those past the 19th are dropped.
func (n *number) add(c byte, digits int) int {
	if digits == 0 && c == '0' {
		return 0
	}
	if digits < 19 {
		n.mantissa = n.mantissa*10 + uint64(c-'0')
	} else if c != '0' {
		n.long = true
	}
	return digits + 1
}

func scanExponent(b []byte, i int) (e, next int, ok bool) {
	neg := false
	if i < len(b) && (b[i] == '+' || b[i] == '-') {
		neg = b[i] == '-'
		i++
	}
	first := i
	for ; i < len(b) && isDigit(b[i]); i++ {
		if e < 1e6 {
			e = e*10 + int(b[i]-'0')
		}
	}
	if neg {
		e = -e
	}
	return e, i, i > first
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// pow10 are the powers of ten that float64 holds exactly.
var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseFloat32 reads one number and rounds it to float32.
func parseFloat32(b []byte, i int) (float32, int, error) {
	if f, end, ok := shortFloat32(b, i); ok {
		return f, end, nil
	}
	n, end, err := scanNumber(b, i)
	if err != nil {
		return 0, i, err
	}
	if f, ok := n.float32(); ok {
		return f, end, nil
	}
	f, err := strconv.ParseFloat(string(b[i:end]), 32)
	if err != nil {
		return 0, i, badRow("%.40s is beyond the range of float32", b[i:end])
	}
	return float32(f), end, nil
}

// shortFloat32 reads a number of at most 19 digits and a two-digit exponent,
// which is nearly every one; false means that scanNumber has to look.
func shortFloat32(b []byte, i int) (f float32, end int, ok bool) {
	n := number{}
	if i < len(b) && b[i] == '-' {
		n.neg = true
		i++
	}
	m, first := uint64(0), i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		m = m*10 + uint64(b[i]-'0')
	}
	digits := i - first
	if digits == 0 || digits > 1 && b[first] == '0' {
		return 0, i, false
	}
	if i < len(b) && b[i] == '.' {
		i++
		point := i
		for ; i < len(b) && b[i]-'0' <= 9; i++ {
			m = m*10 + uint64(b[i]-'0')
		}
		if n.exp = point - i; n.exp == 0 {
			return 0, i, false
		}
		digits -= n.exp
	}
	if digits > 19 { // m may have overflowed
		return 0, i, false
	}
	if i < len(b) && b[i]|' ' == 'e' {
		e, next, ok := scanExponent(b, i+1)
		if !ok || next-i > 4 {
			return 0, i, false
		}
		n.exp += e
		i = next
	}
	n.mantissa = m
	f, ok = n.float32()
	return f, i, ok
}

// float32 rounds in two steps, by way of float64, and returns false when that
// might differ from rounding once: the float64 is within 8 units of its last
// place of the true value (mantissa, up to two divisions, digits left out), so
// the result is right unless that close to the middle of two float32s, or
// outside the range where float32 has 24 bits.
func (n *number) float32() (float32, bool) {
	f := float64(n.mantissa)
	switch e := n.exp; {
	case n.mantissa == 0:
	case e == 0:
	case e < 0 && e >= -22:
		f /= pow10[-e]
	case e < 0 && e >= -44:
		f = f / 1e22 / pow10[-e-22]
	case e > 0 && e <= 22:
		f *= pow10[e]
	default:
		return 0, false
	}
	if n.neg {
		f = math.Copysign(f, -1)
	}
	if n.mantissa == 0 {
		return float32(f), true
	}
	const middle, near = 1 << 28, 8 // of the 29 bits that float32 lacks
	low := math.Float64bits(f) & (1<<29 - 1)
	if low >= middle-near && low <= middle+near {
		return 0, false
	}
	if a := math.Abs(f); a < 0x1p-126 || a > 0x1.fffffep127 {
		return 0, false
	}
	return float32(f), true
}
