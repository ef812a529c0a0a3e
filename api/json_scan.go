package api

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// string reads a string; the decoder stands on its opening quote.
func (d *jsonDecoder) string() (string, *jsonError) {
	d.i++
	start := d.i
	for d.i < len(d.b) {
		switch c := d.b[d.i]; {
		case c == '"':
			s := d.b[start:d.i]
			if !utf8.Valid(s) {
				return "", d.fail(jsonSyntax, "the string is not valid UTF-8")
			}
			d.i++
			return string(s), nil
		case c == '\\':
			return d.escaped(start)
		case c < 0x20:
			return "", d.fail(jsonSyntax, "a control character in a string must be escaped")
		}
		d.i++
	}
	return "", d.fail(jsonSyntax, "the string has no end")
}

// escaped reads the rest of a string that holds a backslash; the decoder
// stands on the first one, start is after the opening quote.
func (d *jsonDecoder) escaped(start int) (string, *jsonError) {
	out := append([]byte(nil), d.b[start:d.i]...)
	for d.i < len(d.b) {
		c := d.b[d.i]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", d.fail(jsonSyntax, "the string is not valid UTF-8")
			}
			d.i++
			return string(out), nil
		case c < 0x20:
			return "", d.fail(jsonSyntax, "a control character in a string must be escaped")
		case c != '\\':
			out = append(out, c)
			d.i++
			continue
		}
		if d.i+1 >= len(d.b) {
			break
		}
		switch e := d.b[d.i+1]; e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := d.rune()
			if !ok {
				return "", d.fail(jsonSyntax, "the \\u escape is not a character")
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			return "", d.fail(jsonSyntax, "there is no such escape in JSON")
		}
		d.i += 2
	}
	return "", d.fail(jsonSyntax, "the string has no end")
}

// rune reads \uXXXX, or a pair of them that make one character.
func (d *jsonDecoder) rune() (rune, bool) {
	r, ok := d.hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if d.i+1 >= len(d.b) || d.b[d.i] != '\\' || d.b[d.i+1] != 'u' {
		return 0, false
	}
	low, ok := d.hex()
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, false
	}
	return r, true
}

// hex reads \uXXXX.
func (d *jsonDecoder) hex() (rune, bool) {
	if d.i+6 > len(d.b) {
		return 0, false
	}
	x, err := strconv.ParseUint(string(d.b[d.i+2:d.i+6]), 16, 16)
	d.i += 6
	return rune(x), err == nil
}

// number reads a number by JSON's grammar and returns its text.
func (d *jsonDecoder) number() (string, *jsonError) {
	start := d.i
	if !d.scanNumber() {
		return "", d.fail(jsonSyntax, "this is not a JSON number")
	}
	return string(d.b[start:d.i]), nil
}

func (d *jsonDecoder) scanNumber() bool {
	b, i := d.b, d.i
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < len(b) && b[i] == '.' {
		if i++; !digits() {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	// What follows must end the number: 01 and 1x are not numbers.
	if i < len(b) && (b[i] >= '0' && b[i] <= '9' || b[i] == '.' || b[i] >= 'A' && b[i] <= 'Z' || b[i] >= 'a' && b[i] <= 'z') {
		return false
	}
	d.i = i
	return true
}

// floats reads a vector: an array of numbers, or {"f32le": base64}.
func (d *jsonDecoder) floats(c byte) ([]float32, *jsonError) {
	if c == '{' {
		return d.packed()
	}
	if c != '[' {
		return nil, d.want(`an array of numbers or {"f32le": base64}`, c)
	}
	if err := d.enter(); err != nil {
		return nil, err
	}
	// One comma per component but the last; the body cap bounds the count.
	size := 0
	if end := bytes.IndexByte(d.b[d.i:], ']'); end >= 0 {
		size = bytes.Count(d.b[d.i:d.i+end], []byte{','}) + 1
	}
	out := make([]float32, 0, size)
	for {
		// Most vectors have neither spaces nor exponents: read on while that holds.
		for len(out) > 0 && d.i < len(d.b) && d.b[d.i] == ',' {
			d.i++
			f, ok := d.decimal()
			if !ok {
				d.i--
				break
			}
			out = append(out, f)
		}
		ok, err := d.more(']', len(out) == 0)
		if err != nil {
			return nil, under(err, strconv.Itoa(len(out)))
		}
		if !ok {
			d.leave()
			return out, nil
		}
		f, err := d.float()
		if err != nil {
			return nil, under(err, strconv.Itoa(len(out)))
		}
		out = append(out, f)
	}
}

// packed reads {"f32le": base64 of little-endian float32}.
func (d *jsonDecoder) packed() ([]float32, *jsonError) {
	var p struct {
		F32LE *string `json:"f32le"`
	}
	if err := d.value(reflect.ValueOf(&p).Elem(), false); err != nil {
		return nil, err
	}
	if p.F32LE == nil {
		return nil, d.fail(jsonType, `a vector is an array of numbers or {"f32le": base64}`)
	}
	raw, berr := base64.StdEncoding.DecodeString(*p.F32LE)
	if berr != nil || len(raw)%4 != 0 {
		return nil, under(d.fail(jsonRange, "want standard base64 of 4 bytes per component"), "f32le")
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		f := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if f != f || math.IsInf(float64(f), 0) {
			return nil, under(d.fail(jsonRange, "component %d is not a finite number", i), "f32le")
		}
		out[i] = f
	}
	return out, nil
}

var pow10 = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// float reads one component, rounded to the nearest float32.
func (d *jsonDecoder) float() (float32, *jsonError) {
	if f, ok := d.decimal(); ok {
		return f, nil
	}
	start := d.i
	if !d.scanNumber() {
		if c := d.next(); c != '-' && (c < '0' || c > '9') {
			return 0, d.want("a number", c)
		}
		return 0, d.fail(jsonSyntax, "this is not a JSON number")
	}
	f, err := strconv.ParseFloat(string(d.b[start:d.i]), 32)
	if err != nil || math.IsInf(f, 0) {
		return 0, d.fail(jsonRange, "the number does not fit 32 bits")
	}
	return float32(f), nil
}

// decimal reads a component that is a short decimal without an exponent, as
// most are; otherwise it stays where it is and returns false.
//
// A mantissa below 2^53 over a power of ten up to 22 divides exactly rounded
// in float64 (Clinger 1990); rounding that to float32 is right unless it lies
// half way between two float32, which the last 29 bits tell.
func (d *jsonDecoder) decimal() (float32, bool) {
	b, i := d.b, d.i
	neg := i < len(b) && b[i] == '-'
	if neg {
		i++
	}
	from, point := i, -1
	var m uint64
	for ; i < len(b) && i-from < 19; i++ { // 18 digits and a point: m cannot overflow
		if c := b[i] - '0'; c <= 9 {
			m = m*10 + uint64(c)
		} else if b[i] == '.' && point < 0 {
			point = i
		} else {
			break
		}
	}
	scale, whole := 0, i-from
	if point >= 0 {
		scale, whole = i-point-1, point-from
	}
	switch {
	case i >= len(b) || b[i] != ',' && b[i] != ']', // the number goes on, or is not one
		whole == 0, point >= 0 && scale == 0, whole > 1 && b[from] == '0',
		m >= 1<<53:
		return 0, false
	}
	f := float64(m) / pow10[scale]
	low := math.Float64bits(f) & (1<<29 - 1)
	if half := uint64(1 << 28); low >= half-1 && low <= half+1 || f != 0 && (f <= 0x1p-126 || f >= math.MaxFloat32) {
		return 0, false
	}
	d.i = i
	if neg {
		f = -f
	}
	return float32(f), true
}
