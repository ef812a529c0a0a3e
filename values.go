package eider

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/eiderdb/eider/index"
	"github.com/eiderdb/eider/storage/format"
)

// MaxKeyword is the longest keyword, in bytes, that a filter index takes.
const MaxKeyword = 1000

// encodeFields turns a document's fields into their stored form. Nil values
// are left out. Errors wrap ErrInvalid or ErrUnknownField.
func (s *stored) encodeFields(fields map[string]any) ([]format.Field, error) {
	if len(fields) > MaxDocFields {
		return nil, fmt.Errorf("%w: %d fields; at most %d", ErrInvalid, len(fields), MaxDocFields)
	}
	out := make([]format.Field, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		x := fields[name]
		f, declared := s.Schema.Fields[name]
		if !declared {
			if s.Schema.Strict {
				return nil, s.unknownField(name)
			}
			if !validField(name) {
				return nil, fmt.Errorf("%w: field name %q; use a letter or _, then up to 127 of A-Z a-z 0-9 _ . -", ErrInvalid, name)
			}
		}
		if x == nil {
			continue
		}
		v, err := encodeValue(x, f.Type)
		if err != nil {
			return nil, fmt.Errorf("%w: field %q: %v", ErrInvalid, name, err)
		}
		if f.Index {
			if err := checkKeywords(v); err != nil {
				return nil, fmt.Errorf("%w: field %q: %v", ErrInvalid, name, err)
			}
		}
		out = append(out, format.Field{Name: name, Value: v})
	}
	return out, nil
}

func (s *stored) unknownField(name string) error {
	if near := index.Nearest(name, slices.Sorted(maps.Keys(s.Schema.Fields))); near != "" {
		return fmt.Errorf("%w: %q; did you mean %q?", ErrUnknownField, name, near)
	}
	return fmt.Errorf("%w: %q; the collection is strict, add the field to its schema first", ErrUnknownField, name)
}

func checkKeywords(v format.Value) error {
	for _, e := range scalars(v) {
		if e.Kind() == format.KindString && len(e.Text()) > MaxKeyword {
			return fmt.Errorf("a keyword of %d bytes is too long for a filter index (%d); use type text", len(e.Text()), MaxKeyword)
		}
	}
	return nil
}

// scalars returns the values a field matches by: the elements of a list, or the
// value itself.
func scalars(v format.Value) []format.Value {
	if v.Kind() == format.KindList {
		return v.List()
	}
	return []format.Value{v}
}

// encodeValue turns a Go value into a stored value of type t ("" = the type of
// the value).
func encodeValue(x any, t FieldType) (format.Value, error) {
	switch t {
	case Text:
		if s, ok := x.(string); ok {
			return format.String(s), nil
		}
		return format.Value{}, fmt.Errorf("%T is not a string", x)
	case JSON:
		return encodeJSON(x)
	case Point:
		return encodePoint(x)
	case "":
		return encodeDynamic(x)
	}
	rv := reflect.ValueOf(x)
	if rv.Kind() != reflect.Slice {
		return encodeScalar(x, t)
	}
	list := make([]format.Value, 0, rv.Len())
	for i := range rv.Len() {
		v, err := encodeScalar(rv.Index(i).Interface(), t)
		if err != nil {
			return v, fmt.Errorf("element %d: %v", i, err)
		}
		list = append(list, v)
	}
	v := format.List(list...)
	return v, v.Validate()
}

func encodeScalar(x any, t FieldType) (format.Value, error) {
	var v format.Value
	switch t {
	case Keyword:
		s, ok := x.(string)
		if !ok {
			return v, fmt.Errorf("%v (%T) is not a string", x, x)
		}
		v = format.String(s)
	case Bool:
		b, ok := x.(bool)
		if !ok {
			return v, fmt.Errorf("%v (%T) is not a bool", x, x)
		}
		v = format.Bool(b)
	case Int64:
		i, ok := toInt(x)
		if !ok {
			return v, fmt.Errorf("%v (%T) is not an integer of 64 bits", x, x)
		}
		v = format.Int64(i)
	case Float64:
		f, ok := toFloat(x)
		if !ok || math.IsNaN(f) || math.IsInf(f, 0) {
			return v, fmt.Errorf("%v (%T) is not a finite number", x, x)
		}
		v = format.Float64(f)
	case Time:
		ts, err := toTime(x)
		if err != nil {
			return v, err
		}
		v = format.Time(ts.UnixNano())
	}
	return v, v.Validate()
}

// encodePoint accepts Geo, *Geo-like maps {"lat","lon"}, and lists of Geo.
func encodePoint(x any) (format.Value, error) {
	one := func(x any) (format.Value, error) {
		var g Geo
		switch p := x.(type) {
		case Geo:
			g = p
		case map[string]any:
			lat, ok1 := toFloat(p["lat"])
			lon, ok2 := toFloat(p["lon"])
			if !ok1 || !ok2 || len(p) != 2 {
				return format.Value{}, fmt.Errorf(`a point is {"lat": number, "lon": number}`)
			}
			g = Geo{Lat: lat, Lon: lon}
		default:
			return format.Value{}, fmt.Errorf("%v (%T) is not a point; use eider.Geo", x, x)
		}
		v := format.Geo(g.Lat, g.Lon)
		return v, v.Validate()
	}
	var list []format.Value
	switch ps := x.(type) {
	case []Geo:
		for _, p := range ps {
			list = append(list, format.Geo(p.Lat, p.Lon))
		}
	case []any:
		for _, p := range ps {
			v, err := one(p)
			if err != nil {
				return v, err
			}
			list = append(list, v)
		}
	default:
		return one(x)
	}
	v := format.List(list...)
	return v, v.Validate()
}

func encodeJSON(x any) (format.Value, error) {
	b, err := json.Marshal(x)
	if err != nil {
		return format.Value{}, fmt.Errorf("not representable as JSON: %v", err)
	}
	v := format.JSON(string(b))
	return v, v.Validate()
}

// encodeDynamic types a value by itself: strings are keywords, whole numbers
// int64, lists of one scalar type lists, all else JSON.
func encodeDynamic(x any) (format.Value, error) {
	switch v := x.(type) {
	case string:
		return encodeScalar(v, Keyword)
	case bool:
		return format.Bool(v), nil
	case time.Time:
		return encodeScalar(v, Time)
	case Geo, []Geo:
		return encodePoint(v)
	}
	if _, ok := toInt(x); ok {
		return encodeScalar(x, Int64)
	}
	if _, ok := toFloat(x); ok {
		return encodeScalar(x, Float64)
	}
	if rv := reflect.ValueOf(x); rv.Kind() == reflect.Slice && rv.Len() > 0 {
		for _, t := range []FieldType{Keyword, Bool, Int64, Float64, Time} {
			if v, err := encodeValue(x, t); err == nil && (t != Time || rv.Type().Elem() == timeType) {
				return v, nil
			}
		}
	}
	return encodeJSON(x)
}

func toInt(x any) (int64, bool) {
	switch n := x.(type) {
	case json.Number:
		i, err := strconv.ParseInt(string(n), 10, 64)
		return i, err == nil
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	case nil, bool, string:
		return 0, false
	}
	rv := reflect.ValueOf(x)
	switch {
	case rv.CanInt():
		return rv.Int(), true
	case rv.CanUint():
		return int64(rv.Uint()), rv.Uint() <= math.MaxInt64
	}
	return 0, false
}

func toFloat(x any) (float64, bool) {
	switch n := x.(type) {
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	case nil, bool, string:
		return 0, false
	}
	rv := reflect.ValueOf(x)
	switch {
	case rv.CanFloat():
		return rv.Float(), true
	case rv.CanInt():
		return float64(rv.Int()), true
	case rv.CanUint():
		return float64(rv.Uint()), true
	}
	return 0, false
}

func toTime(x any) (time.Time, error) {
	ts, ok := x.(time.Time)
	if s, isText := x.(string); isText {
		var err error
		if ts, err = time.Parse(time.RFC3339Nano, s); err != nil {
			if ts, err = time.Parse(time.DateOnly, s); err != nil {
				return ts, fmt.Errorf("%q is not an RFC 3339 time such as 2026-01-02T15:04:05Z", s)
			}
		}
		ok = true
	}
	if !ok {
		return ts, fmt.Errorf("%v (%T) is not a time", x, x)
	}
	if y := ts.Year(); y < 1678 || y > 2261 {
		return ts, fmt.Errorf("year %d is outside 1678 to 2261", y)
	}
	return ts.UTC(), nil
}

// decodeValue turns a stored value into the Go value that Doc.Fields carries.
func decodeValue(v format.Value) any {
	switch v.Kind() {
	case format.KindBool:
		return v.Bool()
	case format.KindInt64:
		return v.Int64()
	case format.KindFloat64:
		return v.Float64()
	case format.KindString:
		return v.Text()
	case format.KindTime:
		return v.Time()
	case format.KindGeo:
		lat, lon := v.Geo()
		return Geo{Lat: lat, Lon: lon}
	case format.KindJSON:
		var x any
		if json.Unmarshal([]byte(v.Text()), &x) != nil {
			return nil
		}
		return x
	case format.KindList:
		return decodeList(v.List())
	}
	return nil
}

// decodeList gives a slice of the element type; lists are of one type unless
// they came from JSON.
func decodeList(list []format.Value) any {
	if len(list) == 0 {
		return []any{}
	}
	switch list[0].Kind() {
	case format.KindString:
		return collect(list, format.Value.Text)
	case format.KindInt64:
		return collect(list, format.Value.Int64)
	case format.KindFloat64:
		return collect(list, format.Value.Float64)
	case format.KindBool:
		return collect(list, format.Value.Bool)
	case format.KindTime:
		return collect(list, format.Value.Time)
	case format.KindGeo:
		return collect(list, func(v format.Value) Geo { lat, lon := v.Geo(); return Geo{Lat: lat, Lon: lon} })
	}
	return collect(list, decodeValue)
}

func collect[T any](list []format.Value, get func(format.Value) T) []T {
	out := make([]T, len(list))
	for i, v := range list {
		out[i] = get(v)
	}
	return out
}

// filterValue turns the typed literal of a filter into a stored value.
func filterValue(x any) (format.Value, bool) {
	switch v := x.(type) {
	case string:
		return format.String(v), true
	case bool:
		return format.Bool(v), true
	case int64:
		return format.Int64(v), true
	case float64:
		return format.Float64(v), true
	case time.Time:
		return format.Time(v.UnixNano()), true
	}
	return format.Value{}, false
}
