package format

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// Kind is the type of a Value. The numbers are on disk.
type Kind uint8

// The kinds of value.
const (
	KindNull    Kind = 0 // no value
	KindBool    Kind = 1
	KindInt64   Kind = 2
	KindFloat64 Kind = 3 // never NaN
	KindString  Kind = 4 // UTF-8
	KindTime    Kind = 5 // nanoseconds since 1970 UTC
	KindGeo     Kind = 6 // latitude and longitude in degrees
	KindJSON    Kind = 7 // JSON text, kept as given
	KindList    Kind = 8 // scalars, not lists
)

var kindNames = [...]string{"null", "bool", "int64", "float64", "string", "time", "geo", "json", "list"}

// String returns the kind's lower-case name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one immutable typed value. The zero Value is null. Copying a Value
// is cheap; lists share their elements.
type Value struct {
	kind Kind
	num  uint64 // bool, int64, time, float64 bits, latitude bits
	lon  uint64 // longitude bits
	text string // string, JSON
	list []Value
}

// Null returns the null value.
func Null() Value { return Value{} }

// Bool returns a boolean value.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, num: 1}
	}
	return Value{kind: KindBool}
}

// Int64 returns an integer value.
func Int64(i int64) Value { return Value{kind: KindInt64, num: uint64(i)} }

// Float64 returns a floating-point value; -0 becomes 0. NaN is kept but
// refused by every encoder.
func Float64(f float64) Value {
	return Value{kind: KindFloat64, num: math.Float64bits(f + 0)}
}

// String returns a text value; encoders refuse invalid UTF-8.
func String(s string) Value { return Value{kind: KindString, text: s} }

// Time returns an instant given in nanoseconds since 1970 UTC (years 1678 to
// 2262).
func Time(ns int64) Value { return Value{kind: KindTime, num: uint64(ns)} }

// Geo returns a point: degrees of latitude in [-90, 90] and of longitude in
// [-180, 180]. Encoders refuse others.
func Geo(lat, lon float64) Value {
	return Value{kind: KindGeo, num: math.Float64bits(lat + 0), lon: math.Float64bits(lon + 0)}
}

// JSON returns a JSON value. The caller checks that text is valid JSON.
func JSON(text string) Value { return Value{kind: KindJSON, text: text} }

// List returns a multi-valued field. It keeps vs, which must not change.
func List(vs ...Value) Value { return Value{kind: KindList, list: vs} }

// Kind returns the value's type.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// Bool returns the boolean, false for other kinds.
func (v Value) Bool() bool { return v.kind == KindBool && v.num == 1 }

// Int64 returns the integer of KindInt64 or the nanoseconds of KindTime, 0 for
// other kinds.
func (v Value) Int64() int64 {
	if v.kind == KindInt64 || v.kind == KindTime {
		return int64(v.num)
	}
	return 0
}

// Float64 returns the number of KindFloat64, 0 for other kinds.
func (v Value) Float64() float64 {
	if v.kind == KindFloat64 {
		return math.Float64frombits(v.num)
	}
	return 0
}

// Text returns the text of KindString or KindJSON, "" for other kinds.
func (v Value) Text() string { return v.text }

// Time returns the instant in UTC, the zero time for other kinds.
func (v Value) Time() time.Time {
	if v.kind != KindTime {
		return time.Time{}
	}
	return time.Unix(0, int64(v.num)).UTC()
}

// Geo returns the point in degrees, zeros for other kinds.
func (v Value) Geo() (lat, lon float64) {
	if v.kind != KindGeo {
		return 0, 0
	}
	return math.Float64frombits(v.num), math.Float64frombits(v.lon)
}

// List returns the elements of KindList, nil for other kinds. Read only.
func (v Value) List() []Value { return v.list }

// Equal reports whether v and o are the same kind and value.
func (v Value) Equal(o Value) bool {
	if v.kind != o.kind || v.num != o.num || v.lon != o.lon || v.text != o.text || len(v.list) != len(o.list) {
		return false
	}
	for i := range v.list {
		if !v.list[i].Equal(o.list[i]) {
			return false
		}
	}
	return true
}

// Compare orders values by kind and then by value: false before true, numbers
// numerically, text by bytes, points by latitude, lists element by element.
func (v Value) Compare(o Value) int {
	if c := cmp.Compare(v.kind, o.kind); c != 0 {
		return c
	}
	switch v.kind {
	case KindFloat64:
		return cmp.Compare(v.Float64(), o.Float64())
	case KindGeo:
		a, b := v.Geo()
		c, d := o.Geo()
		return cmp.Or(cmp.Compare(a, c), cmp.Compare(b, d))
	case KindString, KindJSON:
		return cmp.Compare(v.text, o.text)
	case KindList:
		for i := 0; i < len(v.list) && i < len(o.list); i++ {
			if c := v.list[i].Compare(o.list[i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(v.list), len(o.list))
	default:
		return cmp.Compare(int64(v.num), int64(o.num))
	}
}

// String formats v for people; it is not an encoding.
func (v Value) String() string {
	switch v.kind {
	case KindNull:
		return "null"
	case KindBool:
		return strconv.FormatBool(v.num == 1)
	case KindInt64:
		return strconv.FormatInt(int64(v.num), 10)
	case KindFloat64:
		return strconv.FormatFloat(v.Float64(), 'g', -1, 64)
	case KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case KindGeo:
		lat, lon := v.Geo()
		return fmt.Sprintf("%g,%g", lat, lon)
	case KindList:
		return fmt.Sprint(v.list)
	default:
		return v.text
	}
}

// Validate reports why v cannot be stored: ErrValue or ErrLimit.
func (v Value) Validate() error {
	switch v.kind {
	case KindNull, KindInt64, KindTime:
		return nil
	case KindBool:
		return nil
	case KindFloat64:
		if f := v.Float64(); f != f {
			return fmt.Errorf("%w: NaN is not a number that can be ordered", ErrValue)
		}
	case KindString, KindJSON:
		if len(v.text) > MaxValue {
			return fmt.Errorf("%w: text of %d bytes, at most %d", ErrLimit, len(v.text), MaxValue)
		}
		if !utf8.ValidString(v.text) {
			return fmt.Errorf("%w: text is not UTF-8", ErrValue)
		}
	case KindGeo:
		lat, lon := v.Geo()
		if !(lat >= -90 && lat <= 90 && lon >= -180 && lon <= 180) {
			return fmt.Errorf("%w: latitude %g must be in [-90, 90] and longitude %g in [-180, 180]", ErrValue, lat, lon)
		}
	case KindList:
		if len(v.list) > MaxList {
			return fmt.Errorf("%w: list of %d values, at most %d", ErrLimit, len(v.list), MaxList)
		}
		for _, e := range v.list {
			if e.kind == KindList {
				return fmt.Errorf("%w: a list holds scalars, not lists", ErrValue)
			}
			if err := e.Validate(); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("%w: %v", ErrValue, v.kind)
	}
	return nil
}

// appendPayload appends the bytes of a validated value without its kind.
func appendPayload(dst []byte, v Value) []byte {
	switch v.kind {
	case KindNull:
		return dst
	case KindBool:
		return append(dst, byte(v.num))
	case KindString, KindJSON:
		return append(dst, v.text...)
	case KindGeo:
		dst = binary.LittleEndian.AppendUint64(dst, v.num)
		return binary.LittleEndian.AppendUint64(dst, v.lon)
	case KindList:
		dst = binary.AppendUvarint(dst, uint64(len(v.list)))
		for _, e := range v.list {
			dst = append(dst, byte(e.kind))
			dst = binary.AppendUvarint(dst, uint64(payloadLen(e)))
			dst = appendPayload(dst, e)
		}
		return dst
	default:
		return binary.LittleEndian.AppendUint64(dst, v.num)
	}
}

func payloadLen(v Value) int {
	switch v.kind {
	case KindNull:
		return 0
	case KindBool:
		return 1
	case KindString, KindJSON:
		return len(v.text)
	case KindGeo:
		return 16
	case KindList:
		n := uvarintLen(uint64(len(v.list)))
		for _, e := range v.list {
			p := payloadLen(e)
			n += 1 + uvarintLen(uint64(p)) + p
		}
		return n
	default:
		return 8
	}
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// decodePayload decodes the bytes of one value. Text is copied, so the Value
// does not keep b.
func decodePayload(kind Kind, b []byte) (Value, error) {
	if kind == KindList {
		return decodeList(b)
	}
	c := cursor{b: b}
	v := Value{kind: kind}
	switch kind {
	case KindNull:
	case KindBool:
		v.num = uint64(c.u8())
		c.bad = c.bad || v.num > 1
	case KindInt64, KindTime, KindFloat64:
		v.num = c.u64()
	case KindGeo:
		v.num, v.lon = c.u64(), c.u64()
	case KindString, KindJSON:
		v.text = string(c.bytes(uint64(len(b))))
	default:
		return Value{}, corrupt("value kind %d", kind)
	}
	if !c.done() {
		return Value{}, corrupt("%v of %d bytes", kind, len(b))
	}
	if negativeZero(v) {
		return Value{}, corrupt("%v holds a negative zero", kind)
	}
	if err := v.Validate(); err != nil {
		return Value{}, corrupt("%v", err)
	}
	return v, nil
}

// negativeZero reports an encoding that Float64 and Geo never produce (D4).
func negativeZero(v Value) bool {
	const sign = 1 << 63
	return v.kind == KindFloat64 && v.num == sign || v.kind == KindGeo && (v.num == sign || v.lon == sign)
}

func decodeList(b []byte) (Value, error) {
	c := cursor{b: b}
	n := c.uvarint(MaxList)
	if c.bad || n > uint64(len(c.b))/2 { // an element takes at least kind and length
		return Value{}, corrupt("list of %d values in %d bytes", n, len(b))
	}
	v := Value{kind: KindList, list: make([]Value, 0, n)}
	for range n {
		kind := Kind(c.u8())
		p := c.block(MaxValue)
		if c.bad || kind == KindList {
			return Value{}, corrupt("list element")
		}
		e, err := decodePayload(kind, p)
		if err != nil {
			return Value{}, err
		}
		v.list = append(v.list, e)
	}
	if !c.done() {
		return Value{}, corrupt("bytes after a list")
	}
	return v, nil
}
