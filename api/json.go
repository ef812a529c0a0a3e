package api

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/eiderdb/eider/index"
)

// maxDepth is how deep arrays and objects may nest.
const maxDepth = 32

// jsonKind says what is wrong with a body.
type jsonKind string

// The kinds of error.
const (
	jsonSyntax    jsonKind = "syntax"    // not JSON
	jsonUnknown   jsonKind = "unknown"   // a member that the type does not have
	jsonDuplicate jsonKind = "duplicate" // a member given twice
	jsonDepth     jsonKind = "depth"     // nested too deep
	jsonType      jsonKind = "type"      // JSON of the wrong type for its place
	jsonRange     jsonKind = "range"     // a number or text its place cannot hold
)

// jsonError says what is wrong with a body, and where.
type jsonError struct {
	Kind    jsonKind
	Pointer string // JSON pointer (RFC 6901) to the place, "" for the whole body
	Offset  int    // byte offset into the body
	Detail  string // what is wrong
	Hint    string // what to do about it, "" when Detail says it
}

// Error reads "at pointer: detail (hint)".
func (e *jsonError) Error() string {
	s := e.Detail
	if e.Pointer != "" {
		s = "at " + e.Pointer + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// decodeJSON reads one JSON value from b into v, which must be a non-nil pointer.
// It refuses everything that a careful reader would ask about: unknown members,
// duplicate names, nesting deeper than maxDepth, numbers beyond the reach of
// their type, invalid UTF-8, lone surrogates, text after the value.
//
// Vectors dominate the bodies that arrive here, so a []float32 is parsed
// without reflection, and may also be written as {"f32le":"<base64>"}: the
// little-endian bytes of its components.
//
// It keeps no reference to b. Numbers that land in an any become json.Number.
// Members whose name in v is one of id, ids, positive or negative and whose
// type is string also take a non-negative JSON integer. Errors are
// *jsonError; they carry no bytes of string values, so they may be logged.
func decodeJSON(b []byte, v any) error {
	d := jsonDecoder{b: b}
	if err := d.value(reflect.ValueOf(v).Elem(), false); err != nil {
		return err
	}
	if d.space(); d.i < len(d.b) {
		return d.fail(jsonSyntax, "there is text after the JSON value")
	}
	return nil
}

type jsonDecoder struct {
	b     []byte
	i     int
	depth int
}

func (d *jsonDecoder) fail(k jsonKind, format string, args ...any) *jsonError {
	return &jsonError{Kind: k, Offset: d.i, Detail: fmt.Sprintf(format, args...)}
}

// under prepends a step to the pointer of err on its way up, so that the path
// costs nothing until something is wrong.
func under(err *jsonError, step string) *jsonError {
	if strings.ContainsAny(step, "~/") {
		step = strings.ReplaceAll(strings.ReplaceAll(step, "~", "~0"), "/", "~1")
	}
	err.Pointer = "/" + step + err.Pointer
	return err
}

func (d *jsonDecoder) space() {
	for d.i < len(d.b) {
		switch d.b[d.i] {
		case ' ', '\t', '\n', '\r':
			d.i++
		default:
			return
		}
	}
}

// next skips space and returns the first byte of the next token, 0 at the end.
func (d *jsonDecoder) next() byte {
	if d.space(); d.i < len(d.b) {
		return d.b[d.i]
	}
	return 0
}

func (d *jsonDecoder) literal(word string) *jsonError {
	if len(d.b)-d.i < len(word) || string(d.b[d.i:d.i+len(word)]) != word {
		return d.fail(jsonSyntax, "this is not JSON")
	}
	d.i += len(word)
	return nil
}

// found names the JSON type that starts with c.
func found(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case 0:
		return "the end of the body"
	}
	if c == '-' || c >= '0' && c <= '9' {
		return "a number"
	}
	return "something that is not JSON"
}

func (d *jsonDecoder) want(what string, c byte) *jsonError {
	if s := found(c); c == 0 || strings.HasPrefix(s, "something") {
		return d.fail(jsonSyntax, "want %s, found %s", what, s)
	}
	return d.fail(jsonType, "want %s, found %s", what, found(c))
}

var (
	floatsType = reflect.TypeFor[[]float32]()
	rawType    = reflect.TypeFor[json.RawMessage]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	stringType = reflect.TypeFor[string]()
)

// value decodes into v. id says that a string may come as an integer.
func (d *jsonDecoder) value(v reflect.Value, id bool) *jsonError {
	c := d.next()
	t := v.Type()
	if c == 'n' && t != rawType {
		// null leaves the zero value, as absence would.
		if err := d.literal("null"); err != nil {
			return err
		}
		v.SetZero()
		return nil
	}
	switch {
	case t == floatsType:
		f, err := d.floats(c)
		if err == nil {
			v.Set(reflect.ValueOf(f))
		}
		return err
	case t == rawType:
		start := d.i
		if _, err := d.any(); err != nil {
			return err
		}
		v.SetBytes(append([]byte(nil), d.b[start:d.i]...))
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		p := reflect.New(t.Elem())
		if err := d.value(p.Elem(), id); err != nil {
			return err
		}
		v.Set(p)
		return nil
	case reflect.Struct:
		p := shapeOf(t)
		if p.text {
			return d.text(v, c)
		}
		return d.object(v, p, c)
	case reflect.Map:
		return d.mapping(v, c)
	case reflect.Slice:
		return d.slice(v, c, id)
	case reflect.Interface:
		x, err := d.any()
		if err == nil && x != nil {
			v.Set(reflect.ValueOf(x))
		}
		return err
	}
	if t.PkgPath() != "" && reflect.PointerTo(t).Implements(textType) {
		return d.text(v, c)
	}
	return d.scalar(v, c, id)
}

// text decodes a string through UnmarshalText.
func (d *jsonDecoder) text(v reflect.Value, c byte) *jsonError {
	if c != '"' {
		return d.want("a string", c)
	}
	s, err := d.string()
	if err != nil {
		return err
	}
	if uerr := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); uerr != nil {
		e := d.fail(jsonRange, "the text is not a valid %s", strings.ToLower(v.Type().Name()))
		switch v.Type().Name() {
		case "Time":
			e.Hint = "write an RFC 3339 time such as 2026-01-02T15:04:05Z"
		case "Duration":
			e.Hint = "write a duration such as 90s or 720h"
		}
		return e
	}
	return nil
}

func (d *jsonDecoder) scalar(v reflect.Value, c byte, id bool) *jsonError {
	switch v.Kind() {
	case reflect.String:
		if c == '"' {
			s, err := d.string()
			v.SetString(s)
			return err
		}
		if id && v.Type() == stringType && (c >= '0' && c <= '9') {
			n, err := d.number()
			if err != nil {
				return err
			}
			if _, perr := strconv.ParseUint(n, 10, 64); perr != nil {
				return d.fail(jsonRange, "an id is a string or an integer 0..18446744073709551615")
			}
			v.SetString(n)
			return nil
		}
		if id {
			return d.want("a string or a non-negative integer", c)
		}
		return d.want("a string", c)
	case reflect.Bool:
		if c != 't' && c != 'f' {
			return d.want("true or false", c)
		}
		v.SetBool(c == 't')
		if c == 't' {
			return d.literal("true")
		}
		return d.literal("false")
	}
	if c != '-' && (c < '0' || c > '9') {
		return d.want("a number", c)
	}
	n, err := d.number()
	if err != nil {
		return err
	}
	switch {
	case v.CanInt():
		x, perr := strconv.ParseInt(n, 10, 64)
		if perr != nil || v.OverflowInt(x) {
			return d.fail(jsonRange, "want an integer of %d bits", v.Type().Bits())
		}
		v.SetInt(x)
	case v.CanUint():
		x, perr := strconv.ParseUint(n, 10, 64)
		if perr != nil || v.OverflowUint(x) {
			return d.fail(jsonRange, "want a non-negative integer of %d bits", v.Type().Bits())
		}
		v.SetUint(x)
	case v.CanFloat():
		x, perr := strconv.ParseFloat(n, v.Type().Bits())
		if perr != nil || math.IsInf(x, 0) {
			return d.fail(jsonRange, "the number does not fit %d bits", v.Type().Bits())
		}
		v.SetFloat(x)
	default:
		return d.fail(jsonType, "no value can stand here")
	}
	return nil
}

// enter and leave bracket an array or object.
func (d *jsonDecoder) enter() *jsonError {
	if d.depth++; d.depth > maxDepth {
		return d.fail(jsonDepth, "nested deeper than %d", maxDepth)
	}
	d.i++
	return nil
}

func (d *jsonDecoder) leave() { d.i++; d.depth-- }

// more steps to the next element: false at the closing byte, an error if
// neither a comma nor the end stands here.
func (d *jsonDecoder) more(end byte, first bool) (bool, *jsonError) {
	c := d.next()
	switch {
	case c == end:
		return false, nil
	case first:
		return true, nil
	case c != ',':
		return false, d.fail(jsonSyntax, "want a comma or %q, found %s", end, found(c))
	}
	d.i++
	if d.next() == end {
		return false, d.fail(jsonSyntax, "there is a comma before %q", end)
	}
	return true, nil
}

// name reads a member's name and the colon after it.
func (d *jsonDecoder) name() (string, *jsonError) {
	if c := d.next(); c != '"' {
		return "", d.fail(jsonSyntax, "want the name of a member in quotes, found %s", found(c))
	}
	s, err := d.string()
	if err != nil {
		return "", err
	}
	if c := d.next(); c != ':' {
		return "", d.fail(jsonSyntax, "want a colon after the name, found %s", found(c))
	}
	d.i++
	return s, nil
}

func (d *jsonDecoder) object(v reflect.Value, p *shape, c byte) *jsonError {
	if c != '{' {
		return d.want("an object", c)
	}
	if err := d.enter(); err != nil {
		return err
	}
	var seen uint64
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !ok {
			d.leave()
			return nil
		}
		at := d.i
		name, err := d.name()
		if err != nil {
			return err
		}
		m, ok := p.members[name]
		if !ok {
			d.i = at
			return p.unknown(d, name)
		}
		if seen&(1<<m.index) != 0 {
			return under(d.fail(jsonDuplicate, "the member is given twice"), name)
		}
		seen |= 1 << m.index
		if err := d.value(v.Field(m.index), m.id); err != nil {
			return under(err, name)
		}
	}
}

func (d *jsonDecoder) mapping(v reflect.Value, c byte) *jsonError {
	if c != '{' {
		return d.want("an object", c)
	}
	if err := d.enter(); err != nil {
		return err
	}
	t := v.Type()
	m := reflect.MakeMap(t)
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil {
			return err
		}
		if !ok {
			d.leave()
			v.Set(m)
			return nil
		}
		name, err := d.name()
		if err != nil {
			return err
		}
		key := reflect.ValueOf(name).Convert(t.Key())
		if m.MapIndex(key).IsValid() {
			return under(d.fail(jsonDuplicate, "the member is given twice"), name)
		}
		e := reflect.New(t.Elem()).Elem()
		if err := d.value(e, false); err != nil {
			return under(err, name)
		}
		m.SetMapIndex(key, e)
	}
}

func (d *jsonDecoder) slice(v reflect.Value, c byte, id bool) *jsonError {
	if c != '[' {
		return d.want("an array", c)
	}
	if err := d.enter(); err != nil {
		return err
	}
	v.SetZero()
	for n := 0; ; n++ {
		ok, err := d.more(']', n == 0)
		if err != nil {
			return err
		}
		if !ok {
			if d.leave(); n == 0 { // an empty array stays apart from an absent one
				v.Set(reflect.MakeSlice(v.Type(), 0, 0))
			}
			return nil
		}
		v.Grow(1)
		v.SetLen(n + 1)
		if err := d.value(v.Index(n), id); err != nil {
			return under(err, strconv.Itoa(n))
		}
	}
}

// any decodes a value of any type: nil, bool, string, json.Number, []any,
// map[string]any.
func (d *jsonDecoder) any() (any, *jsonError) {
	switch c := d.next(); c {
	case 'n':
		return nil, d.literal("null")
	case 't':
		return true, d.literal("true")
	case 'f':
		return false, d.literal("false")
	case '"':
		return d.anyString()
	case '[':
		return d.anyArray()
	case '{':
		return d.anyObject()
	default:
		if c != '-' && (c < '0' || c > '9') {
			return nil, d.want("a value", c)
		}
		n, err := d.number()
		if err != nil {
			return nil, err
		}
		if f, perr := strconv.ParseFloat(n, 64); perr != nil || math.IsInf(f, 0) {
			return nil, d.fail(jsonRange, "the number does not fit 64 bits")
		}
		return json.Number(n), nil
	}
}

func (d *jsonDecoder) anyString() (any, *jsonError) {
	s, err := d.string()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (d *jsonDecoder) anyArray() (any, *jsonError) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	s := []any{}
	for n := 0; ; n++ {
		ok, err := d.more(']', n == 0)
		if err != nil {
			return nil, err
		}
		if !ok {
			d.leave()
			return s, nil
		}
		e, err := d.any()
		if err != nil {
			return nil, under(err, strconv.Itoa(n))
		}
		s = append(s, e)
	}
}

func (d *jsonDecoder) anyObject() (any, *jsonError) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	m := map[string]any{}
	for first := true; ; first = false {
		ok, err := d.more('}', first)
		if err != nil {
			return nil, err
		}
		if !ok {
			d.leave()
			return m, nil
		}
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		if _, dup := m[name]; dup {
			return nil, under(d.fail(jsonDuplicate, "the member is given twice"), name)
		}
		e, err := d.any()
		if err != nil {
			return nil, under(err, name)
		}
		m[name] = e
	}
}

// unknown is the error for a member that p does not have.
func (p *shape) unknown(d *jsonDecoder, name string) *jsonError {
	err := under(d.fail(jsonUnknown, "there is no such member"), name)
	if near := index.Nearest(name, p.names); near != "" {
		err.Hint = fmt.Sprintf("did you mean %q?", near)
	} else {
		err.Hint = "the members are " + strings.Join(p.names, ", ")
	}
	return err
}
