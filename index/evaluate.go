package index

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
)

// FieldType is the type of a document field.
type FieldType string

// The field types and the Go types that carry their values.
const (
	Keyword FieldType = "keyword" // string
	Text    FieldType = "text"    // string, matched by exists only
	Bool    FieldType = "bool"    // bool
	Int64   FieldType = "int64"   // int64
	Float64 FieldType = "float64" // float64
	Time    FieldType = "time"    // time.Time
	Point   FieldType = "geo"     // Geo
	JSON    FieldType = "json"    // any, matched by exists only
)

// Geo is a point on the Earth in degrees.
type Geo struct {
	Lat float64 `json:"lat"` // -90..90
	Lon float64 `json:"lon"` // -180..180
}

// Range is an interval of values of one type; a nil end is open.
type Range struct {
	Lo, Hi         any
	LoIncl, HiIncl bool
}

// Fields is what a filter is evaluated against: the field indexes and, where a
// field has none, the documents, all as of one LSN. Bitmaps it returns are
// read only.
type Fields interface {
	// Type is the declared type of a field and whether it has a filter index;
	// ok is false for a field that is not declared.
	Type(field string) (t FieldType, indexed, ok bool)
	// Equal, InRange, HasPrefix and Has ask the index of a field.
	Equal(field string, value any) (*roaring.Bitmap, error)
	InRange(field string, r Range) (*roaring.Bitmap, error)
	HasPrefix(field, prefix string) (*roaring.Bitmap, error)
	Has(field string) (*roaring.Bitmap, error)
	// Points calls fn with each indexed point of a geo field that may lie in box,
	// a superset.
	Points(field string, box Box, fn func(id uint32, p Geo)) error
	// IDs are the live documents with these ids; unknown ids are ignored.
	IDs(ids []string) (*roaring.Bitmap, error)
	// Scan reads the values of a field of each document in within, for fields
	// without an index.
	Scan(ctx context.Context, field string, within *roaring.Bitmap, fn func(id uint32, values []any)) error
}

// Evaluation is the outcome of Evaluate.
type Evaluation struct {
	Matches *roaring.Bitmap // owned by the caller
	Scanned []string        // fields that had no index, so documents were read
	Read    int             // documents read for them
}

// Evaluate computes the ids in live that f matches, exactly. Indexed conditions
// come first and narrow what the unindexed ones must read.
func Evaluate(ctx context.Context, f *Filter, live *roaring.Bitmap, fields Fields) (Evaluation, error) {
	if err := f.Validate(); err != nil {
		return Evaluation{}, err
	}
	e := evaluator{ctx: ctx, fields: fields}
	m, err := e.eval(f, live)
	if err != nil {
		return Evaluation{}, err
	}
	if m == live {
		m = live.Clone()
	}
	return Evaluation{Matches: m, Scanned: e.scanned, Read: e.read}, nil
}

type evaluator struct {
	ctx     context.Context
	fields  Fields
	scanned []string
	read    int
}

// eval returns the ids of within that f matches; within itself is never
// changed, and may be the result.
func (e *evaluator) eval(f *Filter, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	if err := e.ctx.Err(); err != nil {
		return nil, err
	}
	switch {
	case f.And != nil:
		order := make([]*Filter, len(f.And))
		for i := range f.And {
			order[i] = &f.And[i]
		}
		sort.SliceStable(order, func(i, j int) bool { return !e.scans(order[i]) && e.scans(order[j]) })
		for _, c := range order {
			m, err := e.eval(c, within)
			if err != nil {
				return nil, err
			}
			within = m // an empty set goes on: the rest must still be checked for errors
		}
		return within, nil
	case f.Or != nil:
		out := roaring.New()
		for i := range f.Or {
			m, err := e.eval(&f.Or[i], within)
			if err != nil {
				return nil, err
			}
			out.Or(m)
		}
		return out, nil
	case f.Not != nil:
		m, err := e.eval(f.Not, within)
		if err != nil {
			return nil, err
		}
		return roaring.AndNot(within, m), nil
	case f.IDs != nil:
		m, err := e.fields.IDs(f.IDs)
		if err != nil {
			return nil, err
		}
		return roaring.And(within, m), nil
	}
	return e.evalLeaf(f, within)
}

// scans reports whether evaluating f reads documents.
func (e *evaluator) scans(f *Filter) bool {
	for _, name := range f.Names() {
		if _, indexed, ok := e.fields.Type(name); !ok || !indexed {
			return true
		}
	}
	return false
}

func (e *evaluator) evalLeaf(f *Filter, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	t, indexed, declared := e.fields.Type(f.Field)
	if declared {
		if err := checkLeaf(f, t); err != nil {
			return nil, err
		}
	}
	if !indexed || !declared {
		return e.scan(f, t, within)
	}
	out := within
	narrow := func(m *roaring.Bitmap, err error) error {
		if err == nil {
			out = roaring.And(out, m)
		}
		return err
	}
	// A list field matches when one value meets every condition, so conditions
	// that could be met by different values are folded into one lookup where
	// they can be; what remains is verified on the documents.
	preds := 0
	for _, set := range []bool{f.Eq != nil, f.In != nil, f.ranged(), f.Prefix != "", f.Within != nil, f.Box != nil} {
		if set {
			preds++
		}
	}
	if f.Exists != nil {
		m, err := e.fields.Has(f.Field)
		if err != nil {
			return nil, err
		}
		if *f.Exists {
			out = roaring.And(out, m)
		} else {
			out = roaring.AndNot(out, m)
		}
	}
	if f.Eq != nil {
		v, ok, err := coerce(f.Eq, t)
		if err != nil {
			return nil, fmt.Errorf("%w: field %q eq: %v", ErrFilter, f.Field, err)
		}
		if !ok {
			return roaring.New(), nil
		}
		if err := narrow(e.fields.Equal(f.Field, v)); err != nil {
			return nil, err
		}
	}
	if f.In != nil {
		union := roaring.New()
		for _, x := range f.In {
			v, ok, err := coerce(x, t)
			if err != nil {
				return nil, fmt.Errorf("%w: field %q in: %v", ErrFilter, f.Field, err)
			}
			if !ok {
				continue
			}
			m, err := e.fields.Equal(f.Field, v)
			if err != nil {
				return nil, err
			}
			union.Or(m)
		}
		if err := narrow(union, nil); err != nil {
			return nil, err
		}
	}
	if f.ranged() {
		r, empty, err := f.interval(t)
		if err != nil {
			return nil, fmt.Errorf("%w: field %q: %v", ErrFilter, f.Field, err)
		}
		if empty {
			return roaring.New(), nil
		}
		if err := narrow(e.fields.InRange(f.Field, r)); err != nil {
			return nil, err
		}
	}
	if f.Prefix != "" {
		if err := narrow(e.fields.HasPrefix(f.Field, f.Prefix)); err != nil {
			return nil, err
		}
	}
	if f.Within != nil || f.Box != nil {
		if err := narrow(e.points(f)); err != nil {
			return nil, err
		}
	}
	if preds > 1 && !out.IsEmpty() {
		return e.match(f, t, out)
	}
	return out, nil
}

// points collects the ids with a point inside every shape of f.
func (e *evaluator) points(f *Filter) (*roaring.Bitmap, error) {
	box := Box{MinLat: -90, MaxLat: 90, MinLon: -180, MaxLon: 180}
	if f.Within != nil {
		box = f.Within.bounds()
	}
	if f.Box != nil {
		box = *f.Box
	}
	out := roaring.New()
	err := e.fields.Points(f.Field, box, func(id uint32, p Geo) {
		if (f.Within == nil || f.Within.contains(p)) && (f.Box == nil || f.Box.contains(p)) {
			out.Add(id)
		}
	})
	return out, err
}

// scan evaluates a leaf by reading documents, and notes that it had to.
func (e *evaluator) scan(f *Filter, t FieldType, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	e.scanned = append(e.scanned, f.Field)
	return e.match(f, t, within)
}

func (e *evaluator) match(f *Filter, t FieldType, within *roaring.Bitmap) (*roaring.Bitmap, error) {
	test, err := compile(f, t)
	if err != nil {
		return nil, fmt.Errorf("%w: field %q: %v", ErrFilter, f.Field, err)
	}
	e.read += int(within.GetCardinality())
	var ids []uint32
	err = e.fields.Scan(e.ctx, f.Field, within, func(id uint32, values []any) {
		if test(values) {
			ids = append(ids, id)
		}
	})
	return roaring.BitmapOf(ids...), err
}

// checkLeaf refuses conditions that the type of the field cannot have.
func checkLeaf(f *Filter, t FieldType) error {
	bad := ""
	switch t {
	case Text, JSON:
		if f.Eq != nil || f.In != nil || f.ranged() || f.Prefix != "" || f.Within != nil || f.Box != nil {
			bad = "only exists"
		}
	case Point:
		if f.Eq != nil || f.In != nil || f.ranged() || f.Prefix != "" {
			bad = "within, box and exists"
		}
	case Bool:
		if f.ranged() || f.Prefix != "" || f.Within != nil || f.Box != nil {
			bad = "eq, in and exists"
		}
	case Keyword:
		if f.Within != nil || f.Box != nil {
			bad = "eq, in, ranges, prefix and exists"
		}
	default:
		if f.Prefix != "" || f.Within != nil || f.Box != nil {
			bad = "eq, in, ranges and exists"
		}
	}
	if bad != "" {
		return fmt.Errorf("%w: field %q is of type %s, which takes %s", ErrFilter, f.Field, t, bad)
	}
	return nil
}

// interval turns the range conditions of f into one Range of type t. empty is
// true when no value of the type can lie in it.
func (f *Filter) interval(t FieldType) (r Range, empty bool, err error) {
	lo, loIncl := f.Gt, false
	if f.Gte != nil {
		lo, loIncl = f.Gte, true
	}
	hi, hiIncl := f.Lt, false
	if f.Lte != nil {
		hi, hiIncl = f.Lte, true
	}
	if lo != nil {
		if r.Lo, r.LoIncl, empty, err = bound(lo, loIncl, t, +1); err != nil || empty {
			return r, empty, err
		}
	}
	if hi != nil {
		if r.Hi, r.HiIncl, empty, err = bound(hi, hiIncl, t, -1); err != nil || empty {
			return r, empty, err
		}
	}
	return r, false, nil
}

// bound converts one end of a range. A fractional bound of an int64 field
// becomes the next integer inside; one beyond the type's reach becomes open
// (nil) or makes the range empty. side is +1 for the low end, -1 for the high.
func bound(v any, incl bool, t FieldType, side int) (any, bool, bool, error) {
	if t == Int64 {
		if x, isFloat := number(v); isFloat {
			in := math.Ceil(x)
			if side < 0 {
				in = math.Floor(x)
			}
			switch {
			case math.IsNaN(x):
				return nil, false, true, fmt.Errorf("a bound is NaN")
			case in >= 1<<63:
				return nil, false, side > 0, nil
			case in < -1<<63:
				return nil, false, side < 0, nil
			}
			return int64(in), incl || in != x, false, nil
		}
	}
	c, ok, err := coerce(v, t)
	if err == nil && !ok {
		err = fmt.Errorf("%v is not a bound for type %s", v, t)
	}
	return c, incl, false, err
}

// number returns v as a float64 if it is a number that is not an exact int64.
func number(v any) (float64, bool) {
	switch x := v.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case json.Number:
		if _, err := strconv.ParseInt(string(x), 10, 64); err == nil {
			return 0, false
		}
		f, err := strconv.ParseFloat(string(x), 64)
		return f, err == nil
	case uint64:
		return float64(x), x > math.MaxInt64
	}
	return 0, false
}

// coerce turns a filter's literal into the Go type of the field. ok is false
// when the literal is of the right sort but no value of the field can equal it
// (2.5 for an int64). err says that the literal is of the wrong sort.
func coerce(v any, t FieldType) (c any, ok bool, err error) {
	switch t {
	case Keyword:
		if _, is := v.(string); is {
			return v, true, nil
		}
	case Bool:
		if _, is := v.(bool); is {
			return v, true, nil
		}
	case Int64:
		if i, is := integer(v); is {
			return i, true, nil
		}
		if x, is := number(v); is {
			if x == math.Trunc(x) && x >= -1<<63 && x < 1<<63 {
				return int64(x), true, nil
			}
			return nil, false, nil
		}
	case Float64:
		x, is := number(v)
		if i, isInt := integer(v); isInt {
			x, is = float64(i), true
		}
		if is && !math.IsNaN(x) {
			return x, true, nil
		}
	case Time:
		switch x := v.(type) {
		case time.Time:
			return x.UTC(), true, nil
		case string:
			if p, perr := time.Parse(time.RFC3339Nano, x); perr == nil {
				return p.UTC(), true, nil
			}
			if p, perr := time.Parse(time.DateOnly, x); perr == nil {
				return p, true, nil
			}
			return nil, false, fmt.Errorf("%q is not an RFC 3339 time such as 2026-01-02T15:04:05Z", x)
		}
	}
	return nil, false, fmt.Errorf("%v (%T) does not fit type %s", v, v, t)
}

// integer returns v as an int64 if it is an integer that fits.
func integer(v any) (int64, bool) {
	switch x := v.(type) {
	case int:
		return int64(x), true
	case int8:
		return int64(x), true
	case int16:
		return int64(x), true
	case int32:
		return int64(x), true
	case int64:
		return x, true
	case uint8:
		return int64(x), true
	case uint16:
		return int64(x), true
	case uint32:
		return int64(x), true
	case uint:
		return int64(x), uint64(x) <= math.MaxInt64
	case uint64:
		return int64(x), x <= math.MaxInt64
	case json.Number:
		i, err := strconv.ParseInt(string(x), 10, 64)
		return i, err == nil
	}
	return 0, false
}

// compile makes a test of a field's values out of a leaf. An empty t (a field
// that is not declared) types each condition by the value it meets.
func compile(f *Filter, t FieldType) (func(values []any) bool, error) {
	one, err := compileValue(f, t)
	if err != nil {
		return nil, err
	}
	conditions := *f
	conditions.Exists = nil
	return func(values []any) bool {
		if f.Exists != nil && *f.Exists != (len(values) > 0) {
			return false
		}
		if !conditions.leaf() {
			return true
		}
		for _, v := range values {
			if one(v) {
				return true
			}
		}
		return false
	}, nil
}

func compileValue(f *Filter, t FieldType) (func(v any) bool, error) {
	if t != "" {
		return typedTest(f, t)
	}
	tests := map[FieldType]func(any) bool{}
	return func(v any) bool {
		vt := typeOf(v)
		test, ok := tests[vt]
		if !ok {
			// A condition that does not fit the value's type does not match it.
			test, _ = typedTest(f, vt)
			if test == nil || checkLeaf(f, vt) != nil {
				test = func(any) bool { return false }
			}
			tests[vt] = test
		}
		return test(v)
	}, nil
}

func typeOf(v any) FieldType {
	switch v.(type) {
	case string:
		return Keyword
	case bool:
		return Bool
	case int64:
		return Int64
	case float64:
		return Float64
	case time.Time:
		return Time
	case Geo:
		return Point
	}
	return JSON
}

func typedTest(f *Filter, t FieldType) (func(v any) bool, error) {
	var wants []any
	anyOf := f.In
	if f.Eq != nil {
		anyOf = []any{f.Eq}
	}
	both := f.Eq != nil && f.In != nil
	for _, x := range anyOf {
		v, ok, err := coerce(x, t)
		if err != nil {
			return nil, err
		}
		if ok {
			wants = append(wants, v)
		}
	}
	var r Range
	var empty bool
	if f.ranged() {
		var err error
		if r, empty, err = f.interval(t); err != nil {
			return nil, err
		}
	}
	rest := Filter{Field: f.Field, In: f.In}
	restTest := func(any) bool { return true }
	if both {
		var err error
		if restTest, err = typedTest(&rest, t); err != nil {
			return nil, err
		}
	}
	return func(v any) bool {
		if len(anyOf) > 0 || f.In != nil {
			found := false
			for _, w := range wants {
				if compare(v, w) == 0 {
					found = true
					break
				}
			}
			if !found || !restTest(v) {
				return false
			}
		}
		if f.ranged() && (empty || !r.contains(v)) {
			return false
		}
		if f.Prefix != "" {
			if s, ok := v.(string); !ok || !strings.HasPrefix(s, f.Prefix) {
				return false
			}
		}
		if f.Within != nil || f.Box != nil {
			p, ok := v.(Geo)
			if !ok || f.Within != nil && !f.Within.contains(p) || f.Box != nil && !f.Box.contains(p) {
				return false
			}
		}
		return true
	}, nil
}

func (r Range) contains(v any) bool {
	if r.Lo != nil {
		if c := compare(v, r.Lo); c < 0 || c == 0 && !r.LoIncl || c == incomparable {
			return false
		}
	}
	if r.Hi != nil {
		if c := compare(v, r.Hi); c > 0 || c == 0 && !r.HiIncl {
			return false
		}
	}
	return true
}

// incomparable is what compare returns for values of different types.
const incomparable = 2

// compare orders two values of one type: -1, 0, +1, or incomparable.
func compare(a, b any) int {
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			switch {
			case x == y:
				return 0
			case y:
				return -1
			}
			return 1
		}
	case int64:
		if y, ok := b.(int64); ok {
			return order(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return order(x, y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return x.Compare(y)
		}
	}
	return incomparable
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
