package tabular

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrValue reports a cell or a target that cannot be used, ErrSchema columns that do
// not fit, ErrEncoder bytes that are no encoder, ErrSplit shares or times that divide
// nothing; the message names row, column or number.
var (
	ErrValue   = errors.New("tabular: bad value")
	ErrSchema  = errors.New("tabular: bad schema")
	ErrEncoder = errors.New("tabular: not an encoder")
	ErrSplit   = errors.New("tabular: bad split")
)

// form is what a cell holds.
type form uint8

const (
	absent form = iota
	number
	text
	other // a list or an object: there, and not read
)

// value is a cell.
type value struct {
	text string
	num  float64 // finite
	form form
}

// missing are the texts that stand for no value, in lower case.
var missing = map[string]bool{"": true, "?": true, "na": true, "n/a": true, "nan": true, "null": true, "none": true}

// valueOf reads a cell. Times become seconds since 1970, booleans the texts false and
// true, texts that are numbers as one writes them become numbers: 39.0 and 39 are one
// value, 007 is a text. NaN is absent. Error: ErrValue for an infinite number.
func valueOf(v any) (value, error) {
	switch v := v.(type) {
	case nil:
		return value{}, nil
	case string:
		return textOf(v), nil
	case bool:
		return value{text: strconv.FormatBool(v), form: text}, nil
	case int:
		return value{num: float64(v), form: number}, nil
	case int64:
		return value{num: float64(v), form: number}, nil
	case float32:
		return numberOf(float64(v))
	case float64:
		return numberOf(v)
	case time.Time:
		return value{num: float64(v.UnixMicro()) / 1e6, form: number}, nil
	}
	return value{form: other}, nil
}

func numberOf(x float64) (value, error) {
	switch {
	case math.IsNaN(x):
		return value{}, nil
	case math.IsInf(x, 0):
		return value{}, fmt.Errorf("%w: an infinite number", ErrValue)
	}
	return value{num: x, form: number}, nil
}

// textOf reads a cell of a text file, without the blanks around it.
func textOf(s string) value {
	s = strings.TrimSpace(s)
	if missing[strings.ToLower(s)] {
		return value{}
	}
	if x, err := strconv.ParseFloat(s, 64); err == nil && plain(s) && !math.IsInf(x, 0) {
		return value{num: x, form: number}
	}
	return value{text: strings.ToValidUTF8(strings.Clone(s), "\uFFFD"), form: text}
}

// plain reports whether a number is written as a number, not as a code: without a
// plus, a leading zero, or the digits of other bases.
func plain(s string) bool {
	s = strings.TrimPrefix(s, "-")
	if s == "" || strings.Trim(s, "0123456789.eE+-") != "" || s[0] == '+' {
		return false
	}
	return len(s) == 1 || s[0] != '0' || s[1] == '.' || s[1] == 'e' || s[1] == 'E'
}

// key is the text that stands for the value in a vocabulary: "" if absent.
func (v value) key() string {
	switch {
	case v.form == number && v.num == 0:
		return "0" // and of -0
	case v.form == number && math.Abs(v.num) < 1e15:
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case v.form == number:
		return strconv.FormatFloat(v.num, 'g', -1, 64)
	}
	return v.text
}
