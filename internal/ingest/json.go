package ingest

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// parser reads one JSON value, strictly: names twice in an object, invalid
// UTF-8, halves of surrogate pairs and nesting beyond MaxDepth are refused.
// Integers become int64 and other numbers float64; an integer that int64 cannot
// hold is refused rather than rounded.
type parser struct {
	b []byte
	i int
}

// end checks that nothing but white space follows.
func (p *parser) end() error {
	if p.i = space(p.b, p.i); p.i < len(p.b) {
		return badRow("%.20q after the end of the object", p.b[p.i:])
	}
	return nil
}

// peek skips white space and returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.i = space(p.b, p.i); p.i < len(p.b) {
		return p.b[p.i]
	}
	return 0
}

// object calls fn for each member with the parser at its value, which fn must
// read.
func (p *parser) object(depth int, fn func(name string) error) error {
	if depth > MaxDepth {
		return badRow("JSON nested more than %d deep", MaxDepth)
	}
	if p.peek() != '{' {
		return badRow("an object is expected, not %.20q", p.b[p.i:])
	}
	p.i++
	if p.peek() == '}' {
		p.i++
		return nil
	}
	seen := names{}
	for {
		if p.peek() != '"' {
			return badRow("a member's name is expected, not %.20q", p.b[p.i:])
		}
		name, err := p.string()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return badRow("the name %q comes twice", name)
		}
		if p.peek() != ':' {
			return badRow("a colon is expected after the name %q", name)
		}
		p.i++
		if err := fn(name); err != nil {
			return err
		}
		switch p.peek() {
		case ',':
			p.i++
		case '}':
			p.i++
			return nil
		default:
			return badRow("a comma or } is expected after the member %q", name)
		}
	}
}

// names is a set that needs no map while it is small.
type names struct {
	few  []string
	many map[string]bool
}

func (n *names) add(name string) bool {
	if n.many == nil && len(n.few) < 16 {
		for _, s := range n.few {
			if s == name {
				return false
			}
		}
		n.few = append(n.few, name)
		return true
	}
	if n.many == nil {
		n.many = make(map[string]bool, 32)
		for _, s := range n.few {
			n.many[s] = true
		}
	}
	if n.many[name] {
		return false
	}
	n.many[name] = true
	return true
}

// value reads any value.
func (p *parser) value(depth int) (any, error) {
	switch c := p.peek(); {
	case c == '"':
		return p.string()
	case c == '{':
		m := map[string]any{}
		err := p.object(depth, func(name string) (err error) {
			m[name], err = p.value(depth + 1)
			return err
		})
		return m, err
	case c == '[':
		return p.array(depth)
	case c == '-' || isDigit(c):
		return p.number()
	case p.word("true"):
		return true, nil
	case p.word("false"):
		return false, nil
	case p.word("null"):
		return nil, nil
	}
	if p.i >= len(p.b) {
		return nil, badRow("the object does not end")
	}
	return nil, badRow("%.20q is not a JSON value", p.b[p.i:])
}

func (p *parser) word(w string) bool {
	if bytes.HasPrefix(p.b[p.i:], []byte(w)) {
		p.i += len(w)
		return true
	}
	return false
}

// skip reads a value for its grammar only.
func (p *parser) skip(depth int) error {
	if p.peek() == '[' {
		// Most skipped bytes are vectors; this keeps them out of []any.
		if _, n, err := ParseFloats(p.b[p.i:], nil); err == nil {
			p.i += n
			return nil
		}
	}
	_, err := p.value(depth)
	return err
}

func (p *parser) number() (any, error) {
	start := p.i
	n, end, err := scanNumber(p.b, p.i)
	if err != nil {
		return nil, err
	}
	p.i = end
	text := string(p.b[start:end])
	if n.whole {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, nil
		}
		return nil, badRow("the integer %.40s is beyond 64 bits: write it as a string, or with a decimal point if it may be rounded", text)
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, badRow("%.40s is beyond the range of float64", text)
	}
	return f, nil
}

// array reads a list: of one scalar type if all elements are of it (int64 and
// float64 make float64), else of any.
func (p *parser) array(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, badRow("JSON nested more than %d deep", MaxDepth)
	}
	p.i++
	list := []any{}
	if p.peek() == ']' {
		p.i++
		return list, nil
	}
	for {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		switch p.peek() {
		case ',':
			p.i++
		case ']':
			p.i++
			return uniform(list), nil
		default:
			return nil, badRow("a comma or ] is expected in a list")
		}
	}
}

// uniform gives a list the type of its elements if they have one.
func uniform(list []any) any {
	switch list[0].(type) {
	case string:
		return listOf[string](list)
	case bool:
		return listOf[bool](list)
	case int64:
		if l, ok := listOf[int64](list).([]int64); ok {
			return l
		}
		return floatsOf(list)
	case float64:
		return floatsOf(list)
	}
	return list
}

func listOf[T any](list []any) any {
	out := make([]T, len(list))
	for i, v := range list {
		t, ok := v.(T)
		if !ok {
			return list
		}
		out[i] = t
	}
	return out
}

func floatsOf(list []any) any {
	out := make([]float64, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case float64:
			out[i] = v
		case int64:
			out[i] = float64(v)
			if int64(out[i]) != v {
				return list
			}
		default:
			return list
		}
	}
	return out
}

// string reads a string, the parser being at its first quote.
func (p *parser) string() (string, error) {
	start := p.i + 1
	for i := start; i < len(p.b); i++ {
		switch c := p.b[i]; {
		case c == '"':
			s := p.b[start:i]
			if !utf8.Valid(s) {
				return "", badRow("a string is not valid UTF-8")
			}
			p.i = i + 1
			return string(s), nil
		case c == '\\':
			return p.escaped(start, i)
		case c < ' ':
			return "", badRow("a control character 0x%02x in a string", c)
		}
	}
	return "", badRow("a string does not end")
}

// escaped reads a string whose first escape is at i.
func (p *parser) escaped(start, i int) (string, error) {
	out := append([]byte(nil), p.b[start:i]...)
	for i < len(p.b) {
		c := p.b[i]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", badRow("a string is not valid UTF-8")
			}
			p.i = i + 1
			return string(out), nil
		case c < ' ':
			return "", badRow("a control character 0x%02x in a string", c)
		case c != '\\':
			out = append(out, c)
			i++
		default:
			r, n := unescape(p.b[i:])
			if n == 0 {
				return "", badRow("%.12q is not an escape", p.b[i:])
			}
			out = utf8.AppendRune(out, r)
			i += n
		}
	}
	return "", badRow("a string does not end")
}

// unescape reads the escape b starts with; n is its length, 0 if it is none.
func unescape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(b[2:])
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0, 0
		}
		low, ok := hex4(b[8:])
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return 0, 0
		}
		return r, 12
	}
	return 0, 0
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[:4]), 16, 16)
	return rune(v), err == nil && b[0] != '+' && b[0] != '_'
}
