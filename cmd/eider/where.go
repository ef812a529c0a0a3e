package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/eiderdb/eider"
)

// filters are the flags that restrict documents.
type filters struct {
	Where  []string `short:"w" sep:"none" help:"Condition: 'price<120', 'brand=acme', 'brand!=acme', 'brand in acme,zed', 'name^=run', 'seen>=2026-01-31', 'brand exists', 'brand missing', 'place within 48.85,2.35,2km'. Repeat for and." placeholder:"COND"`
	Filter string   `help:"Filter as a JSON tree, or @FILE." placeholder:"JSON"`
}

// tree is the filter the flags ask for, nil for none.
func (f filters) tree(s eider.Schema) (*eider.Filter, error) {
	var all []eider.Filter
	if f.Filter != "" {
		text, err := inline(f.Filter)
		if err != nil {
			return nil, err
		}
		var tree eider.Filter
		if err := strictJSON(text, &tree); err != nil {
			return nil, usage(fmt.Sprintf("--filter is not a filter: %v", err), `write it like '{"field":"price","lt":120}'`)
		}
		all = append(all, tree)
	}
	for _, w := range f.Where {
		cond, err := parseWhere(w, s)
		if err != nil {
			return nil, usage(fmt.Sprintf("--where %q: %v", w, err), "see `eider search --help` for the forms")
		}
		all = append(all, cond)
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return &all[0], nil
	}
	both := eider.And(all...)
	return &both, nil
}

// strictJSON decodes exactly one JSON value and refuses unknown names. Numbers
// in untyped places stay exact.
func strictJSON(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("text after the value")
	}
	return nil
}

var (
	fieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*`)
	operators = []string{"<=", ">=", "!=", "^=", "==", "=", "<", ">"} // longest first
	words     = []string{"in", "exists", "missing", "within"}
)

// parseWhere reads one condition as people type it. The value takes the type
// the schema gives the field; for a field the schema does not name it is a
// number or boolean if it reads as one, else a string; quotes make it a
// string. "a != b" also holds for documents without the field.
func parseWhere(text string, s eider.Schema) (eider.Filter, error) {
	text = strings.TrimSpace(text)
	name := fieldName.FindString(text)
	if name == "" {
		return eider.Filter{}, errors.New("it must begin with the name of a field")
	}
	op, value, err := splitWhere(text[len(name):])
	if err != nil {
		return eider.Filter{}, err
	}
	typ := s.Fields[name].Type
	switch op {
	case "exists", "missing":
		if value != "" {
			return eider.Filter{}, fmt.Errorf("nothing may follow %s", op)
		}
		f := eider.Exists(name)
		if op == "missing" {
			f = eider.Not(f)
		}
		return f, nil
	case "within":
		return parseWithin(name, value)
	case "in":
		return parseIn(name, value, typ)
	case "^=":
		prefix, _, err := unquote(value)
		if err != nil || prefix == "" {
			return eider.Filter{}, errors.New("^= needs the beginning of a word after it")
		}
		return eider.Prefix(name, prefix), nil
	}
	v, err := parseValue(value, typ)
	if err != nil {
		return eider.Filter{}, err
	}
	switch op {
	case "!=":
		return eider.Not(eider.Eq(name, v)), nil
	case "<":
		return eider.Lt(name, v), nil
	case "<=":
		return eider.Lte(name, v), nil
	case ">":
		return eider.Gt(name, v), nil
	case ">=":
		return eider.Gte(name, v), nil
	default:
		return eider.Eq(name, v), nil
	}
}

// splitWhere takes the operator off what follows the field.
func splitWhere(rest string) (op, value string, err error) {
	trimmed := strings.TrimSpace(rest)
	for _, op := range operators {
		if v, ok := strings.CutPrefix(trimmed, op); ok {
			return op, strings.TrimSpace(v), nil
		}
	}
	word, value, _ := strings.Cut(trimmed, " ")
	for _, op := range words {
		if strings.EqualFold(word, op) {
			return op, strings.TrimSpace(value), nil
		}
	}
	return "", "", errors.New("the field must be followed by one of = != < <= > >= ^= in, exists, missing, within")
}

func parseIn(name, text string, typ eider.FieldType) (eider.Filter, error) {
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	parts, err := splitList(text)
	if err != nil {
		return eider.Filter{}, err
	}
	values := make([]any, len(parts))
	for i, part := range parts {
		if values[i], err = parseValue(part, typ); err != nil {
			return eider.Filter{}, err
		}
	}
	return eider.In(name, values...), nil
}

// splitList splits at commas outside quotes.
func splitList(text string) ([]string, error) {
	var parts []string
	var quote rune
	start, escaped := 0, false
	for i, r := range text {
		switch {
		case escaped:
			escaped = false
		case quote == '"' && r == '\\':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == ',':
			parts = append(parts, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	parts = append(parts, strings.TrimSpace(text[start:]))
	for _, p := range parts {
		if p == "" {
			return nil, errors.New("a value is missing; write an empty string as ''")
		}
	}
	return parts, nil
}

// parseWithin reads "lat,lon,distance", the distance in m or km.
func parseWithin(name, text string) (eider.Filter, error) {
	bad := errors.New("within needs latitude,longitude,distance, like 48.85,2.35,2km")
	parts := strings.Split(text, ",")
	if len(parts) != 3 {
		return eider.Filter{}, bad
	}
	far, unit := strings.TrimSpace(parts[2]), 1.0
	if v, ok := strings.CutSuffix(far, "km"); ok {
		far, unit = v, 1000
	} else {
		far = strings.TrimSuffix(far, "m")
	}
	var nums [3]float64
	for i, p := range []string{parts[0], parts[1], far} {
		v, err := strconv.ParseFloat(strings.TrimSpace(p), 64)
		if err != nil {
			return eider.Filter{}, bad
		}
		nums[i] = v
	}
	f := eider.Within(name, nums[0], nums[1], nums[2]*unit)
	return f, f.Validate()
}

// unquote takes the quotes off text, if any: "..." as in JSON, '...' as it
// stands.
func unquote(text string) (value string, quoted bool, err error) {
	switch {
	case strings.HasPrefix(text, `"`):
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			return "", true, errors.New("a quoted value does not end where it should")
		}
		return value, true, nil
	case strings.HasPrefix(text, "'"):
		if len(text) < 2 || text[len(text)-1] != '\'' {
			return "", true, errors.New("a quoted value does not end where it should")
		}
		return text[1 : len(text)-1], true, nil
	}
	return text, false, nil
}

// parseValue reads text as a value of type typ ("" when unknown).
func parseValue(text string, typ eider.FieldType) (any, error) {
	value, quoted, err := unquote(text)
	if err != nil {
		return nil, err
	}
	if value == "" && !quoted {
		return nil, errors.New("a value is missing; write an empty string as ''")
	}
	switch typ {
	case eider.Keyword:
		return value, nil
	case eider.Bool:
		if b, err := strconv.ParseBool(value); err == nil {
			return b, nil
		}
		return nil, fmt.Errorf("%q is not true or false", value)
	case eider.Int64, eider.Float64:
		return parseNumber(value)
	case eider.Time:
		return parseTime(value)
	case eider.Text, eider.JSON:
		return nil, fmt.Errorf("a %s field can only be asked whether it exists", typ)
	case eider.Point:
		return nil, errors.New("a point can only be asked within lat,lon,distance")
	}
	if !quoted {
		if value == "true" || value == "false" {
			return value == "true", nil
		}
		if n, err := parseNumber(value); err == nil {
			return n, nil
		}
	}
	return value, nil
}

func parseNumber(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f-f != 0 { // f-f is NaN for infinities and NaN
		return nil, fmt.Errorf("%q is not a finite number", text)
	}
	return f, nil
}

func parseTime(text string) (any, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC().Format(time.RFC3339Nano), nil
		}
	}
	return nil, fmt.Errorf("%q is not a time; write 2026-01-31 or 2026-01-31T15:04:05Z", text)
}
